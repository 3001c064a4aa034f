//! The number that Kinesis gave a record, kept in place: a receipt has thousands, and a day of receipts millions.

use std::fmt;

/// Digits of a Kinesis sequence number: pattern `0|([1-9]\d{0,128})` of the Kinesis API model.
pub(super) const MAX_DIGITS: usize = 129;

/// A Kinesis sequence number as decimal digits; empty for a text that is none: the format of receipts has no place for
/// other characters.
#[derive(Clone, Copy)]
pub struct KinesisSequence {
    length: u8,
    digits: [u8; MAX_DIGITS],
}

impl KinesisSequence {
    pub(super) const NONE: KinesisSequence = KinesisSequence { length: 0, digits: [0; MAX_DIGITS] };

    /// The digits, ASCII.
    pub fn digits(&self) -> &[u8] {
        &self.digits[..usize::from(self.length)]
    }

    pub(super) fn truncate(&mut self, length: u8) {
        self.length = self.length.min(length);
    }

    /// Appends one digit; one too many is left out.
    pub(super) fn push(&mut self, value: u8) {
        if let Some(place) = self.digits.get_mut(usize::from(self.length)) {
            *place = b'0' + value;
            self.length += 1;
        }
    }
}

impl From<&str> for KinesisSequence {
    fn from(text: &str) -> KinesisSequence {
        let bytes = text.as_bytes();
        let mut sequence = KinesisSequence::NONE;
        if bytes.len() <= MAX_DIGITS && bytes.iter().all(u8::is_ascii_digit) {
            sequence.digits[..bytes.len()].copy_from_slice(bytes);
            sequence.length = bytes.len() as u8;
        }
        sequence
    }
}

impl PartialEq for KinesisSequence {
    fn eq(&self, other: &KinesisSequence) -> bool {
        self.digits() == other.digits()
    }
}

impl Eq for KinesisSequence {}

impl fmt::Display for KinesisSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.digits()))
    }
}

impl fmt::Debug for KinesisSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
