//! The ground that the other rooms stand on: time, the AWS clients, and AWS's limits.

#[cfg(feature = "cli")]
pub mod clients;
pub mod clock;
#[cfg(feature = "cli")]
mod credentials;
#[cfg(feature = "cli")]
mod https;
pub mod limits;
pub mod memory;
pub mod permissions;
#[cfg(feature = "cli")]
pub mod refusals;
pub mod spread;
