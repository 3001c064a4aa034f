//! The records of a receipt as bytes: differences to the record before, because neighbours in a batch
//! are neighbours in sequence too.
//!
//! Per record, in batch order: level minus the previous level, sequence minus the previous sequence
//! (zigzag varints, wrapping), the outcome (one byte), how many leading digits of the Kinesis sequence
//! number are those of the previous one, how many follow (varints), and those, two a byte.

use super::kinesis_sequence::MAX_DIGITS;
use super::{KinesisSequence, RECORDS_MAX, RecordOutcome, RecordSeen};

/// One record at its longest: level, sequence, outcome, two lengths, digits.
pub(super) const RECORD_MAX_BYTES: usize = 5 + 10 + 1 + 2 + 2 + MAX_DIGITS.div_ceil(2);
/// Stands in the low half of the last byte when the digits are odd in number.
const NO_DIGIT: u8 = 0xf;

/// Appends records one by one; the state is what the next difference is taken to.
pub(super) struct Encoder {
    pub bytes: Vec<u8>,
    level: u32,
    sequence: u64,
    kinesis_sequence: KinesisSequence,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder { bytes: Vec::new(), level: 0, sequence: 0, kinesis_sequence: KinesisSequence::NONE }
    }
}

impl Encoder {
    pub(super) fn push(&mut self, record: &RecordSeen) {
        put_varint(&mut self.bytes, zigzag(i64::from(record.level) - i64::from(self.level)));
        put_varint(&mut self.bytes, zigzag(record.sequence.wrapping_sub(self.sequence) as i64));
        self.bytes.push(match record.outcome {
            RecordOutcome::Processed => 0,
            RecordOutcome::Failed => 1,
        });
        let digits = record.kinesis_sequence.digits();
        let shared = shared_digits(self.kinesis_sequence.digits(), digits);
        let rest = &digits[shared..];
        put_varint(&mut self.bytes, shared as u64);
        put_varint(&mut self.bytes, rest.len() as u64);
        for pair in rest.chunks(2) {
            let low = pair.get(1).map_or(NO_DIGIT, |digit| digit - b'0');
            self.bytes.push((pair[0] - b'0') << 4 | low);
        }
        self.level = record.level;
        self.sequence = record.sequence;
        self.kinesis_sequence = record.kinesis_sequence;
    }
}

fn shared_digits(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// Reads `count` records and nothing else.
pub(super) fn decode(bytes: &[u8], count: usize) -> Result<Vec<RecordSeen>, String> {
    if count > RECORDS_MAX {
        return Err(format!("{count} records, at most {RECORDS_MAX} are taken"));
    }
    let mut input = Input { bytes };
    let mut records: Vec<RecordSeen> = Vec::with_capacity(count.min(bytes.len() / 5));
    let (mut level, mut sequence, mut kinesis_sequence) = (0u32, 0u64, KinesisSequence::NONE);
    for _ in 0..count {
        let level_wide = i64::from(level).checked_add(unzigzag(input.varint()?));
        level = level_wide.and_then(|wide| u32::try_from(wide).ok()).ok_or("a level is out of range")?;
        sequence = sequence.wrapping_add(unzigzag(input.varint()?) as u64);
        let outcome = match input.byte()? {
            0 => RecordOutcome::Processed,
            1 => RecordOutcome::Failed,
            other => return Err(format!("outcome {other} is unknown")),
        };
        input.kinesis_sequence(&mut kinesis_sequence)?;
        records.push(RecordSeen { level, sequence, kinesis_sequence, outcome });
    }
    if input.bytes.is_empty() { Ok(records) } else { Err("bytes left over".into()) }
}

struct Input<'a> {
    bytes: &'a [u8],
}

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.bytes.split_first().ok_or("records are cut short")?;
        self.bytes = rest;
        Ok(*first)
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number has more than ten bytes".into())
    }

    /// Makes the number before into the next one.
    fn kinesis_sequence(&mut self, number: &mut KinesisSequence) -> Result<(), String> {
        let shared = self.varint()?;
        let rest = self.varint()?;
        let (known, most) = (number.digits().len() as u64, MAX_DIGITS as u64);
        if shared > known || rest > most.saturating_sub(shared) {
            return Err("a Kinesis sequence number is out of range".into());
        }
        number.truncate(shared as u8);
        for index in (0..rest).step_by(2) {
            let byte = self.byte()?;
            let last_is_odd = index + 1 == rest;
            push_digit(number, byte >> 4)?;
            if !last_is_odd {
                push_digit(number, byte & 0xf)?;
            } else if byte & 0xf != NO_DIGIT {
                return Err("a Kinesis sequence number has a digit too many".into());
            }
        }
        Ok(())
    }
}

fn push_digit(number: &mut KinesisSequence, value: u8) -> Result<(), String> {
    if value > 9 {
        return Err("a Kinesis sequence number holds something else than digits".into());
    }
    number.push(value);
    Ok(())
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
