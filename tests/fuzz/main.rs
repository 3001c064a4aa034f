//! Everything that reads bytes from outside, driven with bytes from nowhere good: the endpoint's protocols, the
//! template reader, plans, receipts, run directories. Nothing may panic, hang, or take memory that the size of
//! the input does not explain, and the endpoint must answer each request with a well-formed answer.
//!
//! Deterministic: a batch is a seed. `STREAMGAUGE_FUZZ_SECONDS=600 cargo test --test fuzz` goes on with further
//! seeds for that long; `STREAMGAUGE_FUZZ_SEED=17` begins at the batch that a failure names.

mod answers;
mod bombs;
mod door;
mod files;
mod mutate;
mod runner;
mod seeds;
mod tcp;
