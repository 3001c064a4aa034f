//! Exit codes, and the one printer of errors.

use std::process::ExitCode;

use crate::session::SessionError;
use crate::stack::StackError;
use crate::stack::existing::ExistingError;

/// The documented exit codes; where several hold, the order is 2, 3, 4, 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    CriterionFailed = 1,
    BadInput = 2,
    EnvironmentFailed = 3,
    StoppedEarly = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error on its way to the user: what went wrong, what to do, how the process ends.
#[derive(Debug)]
pub struct CliError {
    pub exit: Exit,
    /// One line per problem.
    pub message: String,
    pub hint: Option<String>,
}

impl CliError {
    pub fn input(message: impl Into<String>) -> CliError {
        CliError { exit: Exit::BadInput, message: message.into(), hint: None }
    }

    pub fn environment(message: impl Into<String>) -> CliError {
        CliError { exit: Exit::EnvironmentFailed, message: message.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> CliError {
        self.hint = Some(hint.into());
        self
    }

    /// Prints to stderr: `error:` lines, then one `hint:` line.
    pub fn print(&self) {
        for line in self.message.lines() {
            eprintln!("error: {line}");
        }
        if let Some(hint) = &self.hint {
            eprintln!("hint: {hint}");
        }
    }
}

impl From<StackError> for CliError {
    fn from(error: StackError) -> CliError {
        let hint = Some(error.hint());
        CliError { exit: Exit::EnvironmentFailed, message: error.to_string(), hint }
    }
}

impl From<SessionError> for CliError {
    fn from(error: SessionError) -> CliError {
        let hint = error.hint();
        CliError { exit: Exit::EnvironmentFailed, message: error.to_string(), hint }
    }
}

impl From<ExistingError> for CliError {
    fn from(error: ExistingError) -> CliError {
        let exit = if error.is_input() { Exit::BadInput } else { Exit::EnvironmentFailed };
        CliError { exit, message: error.to_string(), hint: Some(error.hint()) }
    }
}
