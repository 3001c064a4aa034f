//! streamgauge puts a measured flow of records into a Kinesis -> Lambda pipeline, follows every one of
//! them to the end, and says what the pipeline can carry, what gives way first, and what a million
//! records cost. `ARCHITECTURE.md` is the map of these rooms; data goes one way through them.

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "consumer")]
pub mod consumer;
#[cfg(feature = "cli")]
pub mod cost;
#[cfg(feature = "cli")]
pub mod evidence;
#[cfg(feature = "cli")]
pub mod load;
#[cfg(feature = "cli")]
pub mod local;
#[cfg(feature = "cli")]
pub mod plan;
pub mod platform;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "cli")]
pub mod session;
#[cfg(feature = "cli")]
pub mod stack;
#[cfg(feature = "cli")]
pub mod verdict;
pub mod wire;
