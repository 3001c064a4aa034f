//! Run ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `20261121-013240-k3f9`: UTC start time and four random characters; sorts by time, 20 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

pub const RUN_ID_LEN: usize = 20;

#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not a run id such as 20261121-013240-k3f9")]
pub struct BadRunId(String);

impl RunId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = BadRunId;
    fn from_str(text: &str) -> Result<RunId, BadRunId> {
        let bytes = text.as_bytes();
        let well_formed = bytes.len() == RUN_ID_LEN
            && bytes.iter().enumerate().all(|(i, byte)| match i {
                8 | 15 => *byte == b'-',
                0..=14 => byte.is_ascii_digit(),
                _ => byte.is_ascii_digit() || byte.is_ascii_lowercase(),
            });
        if well_formed { Ok(RunId(text.to_owned())) } else { Err(BadRunId(text.to_owned())) }
    }
}

impl TryFrom<String> for RunId {
    type Error = BadRunId;
    fn try_from(text: String) -> Result<RunId, BadRunId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> String {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_its_own_form() {
        assert!("20261121-013240-k3f9".parse::<RunId>().is_ok());
        for bad in [
            "",
            "20261121-013240-k3f",
            "20261121_013240-k3f9",
            "2026112x-013240-k3f9",
            "../../etc/passwd/xxx",
        ] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
