//! The records of a receipt as bytes: differences to the record before, because neighbours in a batch
//! are neighbours in sequence too.
//!
//! Per record, in batch order: level minus the previous level, sequence minus the previous sequence
//! (zigzag varints, wrapping), the outcome (one byte), how many leading digits of the Kinesis sequence
//! number are those of the previous one, how many follow (varints), and those, two a byte.

use super::{RECORDS_MAX, RecordOutcome, RecordSeen};

/// Digits of a Kinesis sequence number: pattern `0|([1-9]\d{0,128})` of the Kinesis API model.
const KINESIS_SEQUENCE_MAX_DIGITS: usize = 129;
/// One record at its longest: level, sequence, outcome, two lengths, digits.
pub(super) const RECORD_MAX_BYTES: usize = 5 + 10 + 1 + 2 + 2 + KINESIS_SEQUENCE_MAX_DIGITS.div_ceil(2);
/// Stands in the low half of the last byte when the digits are odd in number.
const NO_DIGIT: u8 = 0xf;

/// Appends records one by one; the state is what the next difference is taken to.
#[derive(Default)]
pub(super) struct Encoder {
    pub bytes: Vec<u8>,
    level: u32,
    sequence: u64,
    kinesis_sequence: String,
}

impl Encoder {
    pub(super) fn push(&mut self, record: &RecordSeen) {
        put_varint(&mut self.bytes, zigzag(i64::from(record.level) - i64::from(self.level)));
        put_varint(&mut self.bytes, zigzag(record.sequence.wrapping_sub(self.sequence) as i64));
        self.bytes.push(match record.outcome {
            RecordOutcome::Processed => 0,
            RecordOutcome::Failed => 1,
        });
        let kinesis_sequence = encodable(&record.kinesis_sequence);
        let shared = shared_digits(&self.kinesis_sequence, kinesis_sequence);
        let rest = &kinesis_sequence.as_bytes()[shared..];
        put_varint(&mut self.bytes, shared as u64);
        put_varint(&mut self.bytes, rest.len() as u64);
        for pair in rest.chunks(2) {
            let low = pair.get(1).map_or(NO_DIGIT, |digit| digit - b'0');
            self.bytes.push((pair[0] - b'0') << 4 | low);
        }
        self.level = record.level;
        self.sequence = record.sequence;
        kinesis_sequence.clone_into(&mut self.kinesis_sequence);
    }
}

/// The number, or nothing where it is not one: the format has no place for other characters.
fn encodable(kinesis_sequence: &str) -> &str {
    let digits = kinesis_sequence.bytes().all(|byte| byte.is_ascii_digit());
    if digits && kinesis_sequence.len() <= KINESIS_SEQUENCE_MAX_DIGITS { kinesis_sequence } else { "" }
}

fn shared_digits(left: &str, right: &str) -> usize {
    left.bytes().zip(right.bytes()).take_while(|(left, right)| left == right).count()
}

/// Reads `count` records and nothing else.
pub(super) fn decode(bytes: &[u8], count: usize) -> Result<Vec<RecordSeen>, String> {
    if count > RECORDS_MAX {
        return Err(format!("{count} records, at most {RECORDS_MAX} are taken"));
    }
    let mut input = Input { bytes };
    let mut records: Vec<RecordSeen> = Vec::with_capacity(count.min(bytes.len() / 5));
    let (mut level, mut sequence, mut previous) = (0u32, 0u64, String::new());
    for _ in 0..count {
        let level_wide = i64::from(level).checked_add(unzigzag(input.varint()?));
        level = level_wide.and_then(|wide| u32::try_from(wide).ok()).ok_or("a level is out of range")?;
        sequence = sequence.wrapping_add(unzigzag(input.varint()?) as u64);
        let outcome = match input.byte()? {
            0 => RecordOutcome::Processed,
            1 => RecordOutcome::Failed,
            other => return Err(format!("outcome {other} is unknown")),
        };
        previous = input.kinesis_sequence(&previous)?;
        records.push(RecordSeen { level, sequence, kinesis_sequence: previous.clone(), outcome });
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

    fn kinesis_sequence(&mut self, previous: &str) -> Result<String, String> {
        let shared = self.varint()?;
        let rest = self.varint()?;
        if shared > previous.len() as u64
            || rest > (KINESIS_SEQUENCE_MAX_DIGITS as u64).saturating_sub(shared)
        {
            return Err("a Kinesis sequence number is out of range".into());
        }
        let mut digits = previous[..shared as usize].to_owned();
        for index in (0..rest).step_by(2) {
            let byte = self.byte()?;
            let last_is_odd = index + 1 == rest;
            push_digit(&mut digits, byte >> 4)?;
            if !last_is_odd {
                push_digit(&mut digits, byte & 0xf)?;
            } else if byte & 0xf != NO_DIGIT {
                return Err("a Kinesis sequence number has a digit too many".into());
            }
        }
        Ok(digits)
    }
}

fn push_digit(digits: &mut String, value: u8) -> Result<(), String> {
    if value > 9 {
        return Err("a Kinesis sequence number holds something else than digits".into());
    }
    digits.push(char::from(b'0' + value));
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
