//! Evidence: the run directory, the histograms, the receipts, the accounting, the CloudWatch pull; joined
//! into levels (`model`, plain data).

pub mod cloudwatch;
pub mod model;
pub mod pulled;
