//! The reference function: it reads each record's envelope, sends a receipt, and answers. It runs as
//! Lambda's own bootstrap (`provided.al2023`), as a process of the local endpoint, and, through
//! [`Handler`] alone, in virtual time.

mod event;
mod handler;
mod lambda;
mod metric;

pub use event::{KinesisData, KinesisEvent, KinesisRecord};
pub use handler::{
    ClockFn, DurationModel, Handler, HandlerError, InvocationContext, LogFn, OnPoison, ReceiptSender, Work,
};
pub use lambda::{
    ConsumerError, ENVELOPE_PATHS_VARIABLE, METRIC_VARIABLE, ON_POISON_VARIABLE, QUEUE_URL_VARIABLE,
    WORK_VARIABLE, envelope_paths_from, is_bootstrap, memory_used_mb, metric_from, on_poison_from, run,
    work_from,
};

use std::process::ExitCode;

/// Runs as a function's bootstrap until its Runtime API goes away; what went wrong is on stderr.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
