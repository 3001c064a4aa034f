//! The operations, by what they work on.

mod messages;
mod queues;
