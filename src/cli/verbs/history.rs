//! `history`: one figure over the runs of a plan.
use crate::cli::args::{Global, HistoryArgs};
use crate::cli::exit::{CliError, Exit};
pub fn run(_global: &Global, _args: &HistoryArgs) -> Result<Exit, CliError> {
    Ok(Exit::Done)
}
