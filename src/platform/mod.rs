//! The ground that the other rooms stand on: time, the AWS clients, and AWS's limits.

#[cfg(feature = "cli")]
pub mod clients;
pub mod clock;
pub mod limits;
pub mod permissions;
#[cfg(feature = "cli")]
pub mod refusals;
