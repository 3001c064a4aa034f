//! Load: when each record is due (pure), then sending it, open loop.
//!
//! [`schedule`] knows when each record is due, `pacer` wakes then and hands it on, `flight` sees it
//! through its attempts to exactly one outcome, [`kinesis`] makes one attempt. `closed` paces virtual users
//! instead: what they send depends on what became of the records before.

mod arrivals;
mod closed;
#[cfg(test)]
mod closed_tests;
pub mod driver;
mod flight;
pub mod keys;
pub mod kinesis;
pub mod outcome;
mod pacer;
pub mod payload;
pub mod schedule;

#[cfg(test)]
mod pacer_tests;
#[cfg(test)]
mod testing;

pub use pacer::{Job, LevelEvent, LoadEnd, run_test};
