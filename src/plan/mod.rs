//! A plan: YAML in, a validated [`Plan`] or errors with positions out. Pure: no files, no clock, no async.

pub mod model;

pub use model::*;
