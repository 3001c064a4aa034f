//! A pipeline that was there before: looked at, never made, changed or deleted. Nothing here writes.

mod inspect;
mod outputs;
mod readers;

use std::collections::BTreeMap;

use super::StackError;

pub use inspect::{configuration, inspect};
pub use outputs::{OutputsError, pipeline_of};

/// The tag with which a stream's owner allows load on it, and its value.
pub const TAG_ALLOW: &str = "streamgauge:allow";
pub const TAG_ALLOW_VALUE: &str = "true";

/// Settings of stream, mapping and function by name (`mapping.batch_size`), as text: what two looks are compared by.
pub type Configuration = BTreeMap<String, String>;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Names or ARNs.
    pub stream: String,
    pub function: String,
}

/// What is known of an existing pipeline beside what every [`super::Standing`] tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Existing {
    /// Everything that reads the stream, a line each; and what could not be asked.
    pub readers: Vec<String>,
    pub configuration: Configuration,
    /// The stream carries `streamgauge:allow=true`.
    pub allowed: bool,
    /// Whether receipts are read from a queue.
    pub receipts: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ExistingError {
    #[error(transparent)]
    Outputs(#[from] OutputsError),
    #[error("the stream {stream} is in {found}, not in {expected}")]
    Elsewhere { stream: String, found: String, expected: String },
    #[error("no event source mapping of the function {function} reads the stream {stream}{}", others(.readers))]
    NotConnected { stream: String, function: String, readers: Vec<String> },
    #[error("the stream {stream} does not carry the tag {TAG_ALLOW}={TAG_ALLOW_VALUE}")]
    NotAllowed { stream: String },
    #[error(transparent)]
    Stack(#[from] StackError),
}

fn others(readers: &[String]) -> String {
    if readers.is_empty() { String::new() } else { format!("; it is read by: {}", readers.join("; ")) }
}

impl ExistingError {
    /// Whether the plan is wrong, and not the environment.
    pub fn is_input(&self) -> bool {
        !matches!(self, ExistingError::Stack(_))
    }

    /// One line of what to do.
    pub fn hint(&self) -> String {
        match self {
            ExistingError::Outputs(_) => {
                "write it with `terraform output -json` or `cdk deploy --outputs-file`; docs/existing.md".into()
            }
            ExistingError::Elsewhere { .. } => {
                "pass the --region and --profile that the stream belongs to; streams of other accounts are not supported".into()
            }
            ExistingError::NotConnected { .. } => {
                "name the function that reads this stream, or the stream that this function reads".into()
            }
            ExistingError::NotAllowed { stream } => format!(
                "its owner allows load with `aws kinesis add-tags-to-stream --stream-name {stream} --tags {TAG_ALLOW}={TAG_ALLOW_VALUE}`; \
                 or pass --i-own-this-stream"
            ),
            ExistingError::Stack(error) => error.hint(),
        }
    }
}

/// Refuses a stream whose owner has not allowed load on it, unless the user answers for it.
///
/// # Errors
/// [`ExistingError::NotAllowed`].
pub fn check_allowed(standing: &super::Standing, user_owns_it: bool) -> Result<(), ExistingError> {
    match &standing.existing {
        Some(existing) if !existing.allowed && !user_owns_it => {
            Err(ExistingError::NotAllowed { stream: standing.stream_name.clone() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
