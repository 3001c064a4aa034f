//! Evidence: the run directory, the histograms, the receipts, the accounting, the CloudWatch pull; joined
//! into levels (`model`, plain data).

pub mod cloudwatch;
pub mod accounting;
pub mod append;
pub mod collector;
pub mod confirm;
pub mod error;
pub mod events;
pub mod hlog;
pub mod join;
pub mod model;
pub mod pulled;
pub mod receipts;
pub mod recorder;
pub mod rundir;
pub mod sends;
pub mod sequences;
#[cfg(test)]
pub(crate) mod testing;

pub use error::EvidenceError;
pub use join::{Rooms, load_with};
