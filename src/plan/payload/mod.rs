//! Payloads: our own of an exact size, and the user's, from a template or replayed from a file of records.

mod doc;
mod place;
mod placeholder;
mod replay;
mod resolve;
mod template;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use place::{EnvelopePath, Insertion};
pub use replay::{Replay, ReplayLine};
pub use template::{Facts, Template};

pub(super) use doc::PayloadDoc;

/// What each record of a test carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// `small`, `medium`, `large`, `very-large`, `maximum`, `<n> bytes` for a size given in the plan, or
    /// `template FILE` and `replay FILE`.
    pub name: String,
    /// Size on the wire, before base64, without the partition key: exact of our own payloads, the mean, counted
    /// with the longest envelope, of the user's.
    pub bytes: usize,
    /// The user's own; `None`: ours.
    pub custom: Option<Arc<Custom>>,
}

/// Records of the user's.
#[derive(Debug, PartialEq)]
pub struct Custom {
    pub source: Source,
    /// Where the envelope stands in each.
    pub envelope: EnvelopePath,
}

#[derive(Debug, PartialEq)]
pub enum Source {
    Template(Template),
    Replay(Replay),
}

impl Payload {
    /// Our own payload of so many bytes.
    pub fn sized(name: impl Into<String>, bytes: usize) -> Payload {
        Payload { name: name.into(), bytes, custom: None }
    }

    /// Bytes of the largest record.
    pub fn bytes_max(&self) -> usize {
        self.custom.as_ref().map_or(self.bytes, |custom| custom.sizes().max)
    }

    /// `500 bytes`, or `180 to 220 bytes, 201 on average`.
    pub fn size_text(&self) -> String {
        match self.custom.as_ref().map(|custom| custom.sizes()) {
            Some(sizes) if sizes.min < sizes.max => {
                format!("{} to {} bytes, {} on average", sizes.min, sizes.max, self.bytes)
            }
            _ => format!("{} bytes", self.bytes),
        }
    }
}

impl Custom {
    /// Of a template as many samples show it, of replayed records exact but for the envelope, whose longest counts.
    pub fn sizes(&self) -> Sizes {
        match &self.source {
            Source::Template(template) => template.sizes,
            Source::Replay(replay) => replay.sizes,
        }
    }
}

/// Bytes of the records of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub min: usize,
    pub max: usize,
    sum: u64,
    count: u64,
}

impl Sizes {
    fn none() -> Sizes {
        Sizes { min: usize::MAX, max: 0, sum: 0, count: 0 }
    }

    fn add(&mut self, bytes: usize) {
        self.min = self.min.min(bytes);
        self.max = self.max.max(bytes);
        self.sum += bytes as u64;
        self.count += 1;
    }

    /// Rounded up.
    pub fn mean(&self) -> usize {
        self.sum.div_ceil(self.count.max(1)) as usize
    }
}

/// Something that is wrong in a file, `at` so many bytes into its text.
#[derive(Debug, PartialEq)]
struct Fault {
    at: usize,
    found: String,
    expected: String,
}
