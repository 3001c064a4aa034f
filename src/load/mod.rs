//! Load: when each record is due (pure), then sending it, open loop.

pub mod driver;
pub mod outcome;
