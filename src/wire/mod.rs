//! What the generator and the function both know: run ids, the envelope inside each record, and the
//! receipt that the function sends for each invocation. The receipt format is public: `docs/receipts.md`.

pub mod envelope;
mod envelope_path;
pub mod receipt;
pub mod run_id;
