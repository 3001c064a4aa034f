//! What a failing or forbidding AWS does to the tool: each fault is injected at the door of the in-process endpoint,
//! and each must end in one plain message that names the permission or the operation, with nothing left behind
//! that the message does not name.

// The whole main job is one future: the layout of so many nested ones goes deeper than the default.
#![recursion_limit = "256"]

mod denied;
mod environment;
mod job;
mod permissions;
mod recording;
#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../support/mod.rs"]
mod support;
