//! Receipts as SQS messages: JSON, split so that each part fits.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Counts, LevelCounts, LevelHistograms, Receipt, RecordSeen, histograms, records};
use crate::wire::run_id::RunId;

/// Bytes of one SQS message: SQS developer guide, "Message quotas" (1 MiB since 2025).
pub const MESSAGE_MAX_BYTES: usize = 1_048_576;
const VERSION: u32 = 1;
/// Bounds what one message can make a reader allocate. A batch that spans more levels is split.
const LEVELS_PER_PART_MAX: usize = 32;
const PARTS_MAX: u32 = 10_000;
const ID_DIGITS: usize = 32;

/// Why a text is not a receipt.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    #[error("a receipt of {0} bytes: at most {MESSAGE_MAX_BYTES} are taken")]
    TooLong(usize),
    #[error("not a receipt: {0}")]
    Json(#[from] serde_json::Error),
    #[error("receipt format {0}; this version reads format {VERSION}")]
    Version(u32),
    #[error("receipt member '{member}': {reason}")]
    Member { member: &'static str, reason: String },
}

fn bad(member: &'static str, reason: impl Into<String>) -> ReceiptError {
    ReceiptError::Member { member, reason: reason.into() }
}

/// The version alone.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// One message as written: the public format of `docs/receipts.md`.
#[derive(Serialize, Deserialize)]
struct Message<'a> {
    v: u32,
    #[serde(borrow)]
    id: Cow<'a, str>,
    part: u32,
    parts: u32,
    run: RunId,
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    shard: Cow<'a, str>,
    started_us: i64,
    duration_us: u64,
    cold_start: bool,
    memory_used_mb: u32,
    memory_limit_mb: u32,
    arrival_ms: (i64, i64),
    #[serde(default)]
    sink_errors: u32,
    count: usize,
    #[serde(borrow)]
    records: Cow<'a, str>,
    #[serde(borrow, default)]
    levels: Vec<LevelMessage<'a>>,
    #[serde(default)]
    arrivals: Vec<(u64, i64)>,
}

#[derive(Clone, Serialize, Deserialize)]
struct LevelMessage<'a> {
    level: u32,
    #[serde(borrow, default)]
    e2e: Cow<'a, str>,
    #[serde(borrow, default)]
    put: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow, default)]
    function: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    sink: Cow<'a, str>,
}

impl LevelMessage<'_> {
    fn of(level: &LevelHistograms) -> LevelMessage<'static> {
        LevelMessage {
            level: level.level,
            e2e: histograms::encode(&level.e2e).into(),
            put: histograms::encode(&level.put).into(),
            stream: histograms::encode(&level.stream).into(),
            function: histograms::encode(&level.function).into(),
            sink: histograms::encode(&level.sink).into(),
        }
    }

    /// Bytes in the message: the texts, and the member names and punctuation around them.
    fn bytes(&self) -> usize {
        let texts = [&self.e2e, &self.put, &self.stream, &self.function, &self.sink];
        texts.iter().map(|text| text.len()).sum::<usize>() + 100
    }

    fn read(&self) -> Result<LevelHistograms, ReceiptError> {
        let decode = |text: &str| histograms::decode(text).map_err(|reason| bad("levels", reason));
        Ok(LevelHistograms {
            level: self.level,
            e2e: decode(&self.e2e)?,
            put: decode(&self.put)?,
            stream: decode(&self.stream)?,
            function: decode(&self.function)?,
            sink: decode(&self.sink)?,
        })
    }

    fn counts(&self) -> Result<LevelCounts, ReceiptError> {
        let decode = |text: &str| Counts::decode(text).map_err(|reason| bad("levels", reason));
        Ok(LevelCounts {
            level: self.level,
            e2e: decode(&self.e2e)?,
            put: decode(&self.put)?,
            stream: decode(&self.stream)?,
            function: decode(&self.function)?,
            sink: decode(&self.sink)?,
        })
    }
}

/// What one part holds, while parts are being filled.
#[derive(Default)]
struct Part {
    records: records::Encoder,
    count: usize,
    levels: Vec<LevelMessage<'static>>,
    arrivals: Vec<(u64, i64)>,
    other_bytes: usize,
}

/// Two numbers of at most 20 characters, brackets and commas.
const ARRIVAL_BYTES: usize = 44;

impl Part {
    fn bytes(&self) -> usize {
        self.records.bytes.len().div_ceil(3) * 4 + self.other_bytes
    }

    fn is_empty(&self) -> bool {
        self.count == 0 && self.levels.is_empty() && self.arrivals.is_empty()
    }
}

impl<L> Receipt<L> {
    /// Age of the batch's last record when the function started, ms: what AWS calls iterator age (Lambda developer
    /// guide, "Types of metrics": "the age of the last record in the event"). Never negative.
    pub fn iterator_age_ms(&self) -> f64 {
        (self.started_us as f64 / 1e3 - self.arrival_ms.1 as f64).max(0.0)
    }
}

impl Receipt<LevelCounts> {
    /// As [`Receipt::from_message`], its histograms as they are read for a report: not spread out.
    ///
    /// # Errors
    /// [`ReceiptError`] says which member is wrong and how.
    pub fn with_counts(text: &str) -> Result<Receipt<LevelCounts>, ReceiptError> {
        let message = parse(text)?;
        let levels = message.levels.iter().map(LevelMessage::counts).collect::<Result<_, _>>()?;
        Ok(Receipt { levels, ..read(message)? })
    }
}

impl Receipt {
    /// The SQS message bodies of this receipt: one where it fits `max_bytes`, otherwise as many parts as it
    /// takes. A part passes `max_bytes` only where a single level's histograms do so by themselves; an SQS
    /// message is large enough for every one of them. `self.part` and `self.parts` are not read.
    pub fn to_messages(&self, max_bytes: usize) -> Vec<String> {
        let frame_bytes = self.message(&Part::default(), PARTS_MAX, PARTS_MAX).len();
        let parts = self.split(max_bytes.saturating_sub(frame_bytes));
        let count = parts.len() as u32;
        parts.iter().zip(0..).map(|(part, index)| self.message(part, index, count)).collect()
    }

    fn split(&self, room_bytes: usize) -> Vec<Part> {
        let mut done = Vec::new();
        let mut part = Part::default();
        for level in &self.levels {
            let level = LevelMessage::of(level);
            if !part.is_empty()
                && (part.bytes() + level.bytes() > room_bytes || part.levels.len() == LEVELS_PER_PART_MAX)
            {
                done.push(std::mem::take(&mut part));
            }
            part.other_bytes += level.bytes();
            part.levels.push(level);
        }
        for arrival in &self.arrivals {
            if !part.is_empty() && part.bytes() + ARRIVAL_BYTES > room_bytes {
                done.push(std::mem::take(&mut part));
            }
            part.other_bytes += ARRIVAL_BYTES;
            part.arrivals.push(*arrival);
        }
        for record in &self.records {
            if !part.is_empty() && part.bytes() + records::RECORD_MAX_BYTES * 4 / 3 + 4 > room_bytes {
                done.push(std::mem::take(&mut part));
            }
            part.records.push(record);
            part.count += 1;
        }
        if !part.is_empty() || done.is_empty() {
            done.push(part);
        }
        done
    }

    fn message(&self, part: &Part, index: u32, count: u32) -> String {
        let message = Message {
            v: VERSION,
            id: Cow::Borrowed(&self.id),
            part: index,
            parts: count,
            run: self.run.clone(),
            request_id: Cow::Borrowed(&self.request_id),
            stream: Cow::Borrowed(&self.stream),
            shard: Cow::Borrowed(&self.shard),
            started_us: self.started_us,
            duration_us: self.duration_us,
            cold_start: self.cold_start,
            memory_used_mb: self.memory_used_mb,
            memory_limit_mb: self.memory_limit_mb,
            arrival_ms: self.arrival_ms,
            sink_errors: self.sink_errors,
            count: part.count,
            records: Cow::Owned(STANDARD.encode(&part.records.bytes)),
            levels: part.levels.clone(),
            arrivals: part.arrivals.clone(),
        };
        serde_json::to_string(&message).expect("plain members always serialize")
    }

    /// Reads one message: one part of a receipt. Safe on any text; what it allocates is bounded.
    ///
    /// # Errors
    /// [`ReceiptError`] says which member is wrong and how.
    pub fn from_message(text: &str) -> Result<Receipt, ReceiptError> {
        let message = parse(text)?;
        let levels = message.levels.iter().map(LevelMessage::read).collect::<Result<_, _>>()?;
        Ok(Receipt { levels, ..read(message)? })
    }

    /// As [`Receipt::from_message`], but `levels` stays empty and its content unchecked: a fraction of the
    /// work where only the records matter.
    ///
    /// # Errors
    /// [`ReceiptError`] says which member is wrong and how.
    pub fn without_histograms(text: &str) -> Result<Receipt, ReceiptError> {
        read(parse(text)?)
    }
}

/// Everything but the histograms.
fn read<L>(message: Message<'_>) -> Result<Receipt<L>, ReceiptError> {
    Ok(Receipt {
        records: read_records(&message)?,
        id: message.id.into_owned(),
        part: message.part,
        parts: message.parts,
        run: message.run,
        request_id: message.request_id.into_owned(),
        stream: message.stream.into_owned(),
        shard: message.shard.into_owned(),
        started_us: message.started_us,
        duration_us: message.duration_us,
        cold_start: message.cold_start,
        memory_used_mb: message.memory_used_mb,
        memory_limit_mb: message.memory_limit_mb,
        arrival_ms: message.arrival_ms,
        sink_errors: message.sink_errors,
        levels: Vec::new(),
        arrivals: message.arrivals,
    })
}

fn parse(text: &str) -> Result<Message<'_>, ReceiptError> {
    if text.len() > MESSAGE_MAX_BYTES {
        return Err(ReceiptError::TooLong(text.len()));
    }
    let message: Message<'_> = serde_json::from_str(text).map_err(|error| other_version(text, error))?;
    if message.v != VERSION {
        return Err(ReceiptError::Version(message.v));
    }
    if message.id.len() != ID_DIGITS || !message.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad("id", format!("expected {ID_DIGITS} hex digits")));
    }
    if message.parts == 0 || message.parts > PARTS_MAX || message.part >= message.parts {
        return Err(bad("part", format!("part {} of {}", message.part, message.parts)));
    }
    if message.levels.len() > LEVELS_PER_PART_MAX {
        return Err(bad("levels", format!("more than {LEVELS_PER_PART_MAX} levels in one part")));
    }
    if message.arrivals.len() > super::RECORDS_MAX {
        return Err(bad("arrivals", format!("more than {} samples", super::RECORDS_MAX)));
    }
    Ok(message)
}

/// What cannot be read may be of a newer format, which is then named as such.
fn other_version(text: &str, error: serde_json::Error) -> ReceiptError {
    match serde_json::from_str(text) {
        Ok(Versioned { v }) if v != VERSION => ReceiptError::Version(v),
        _ => ReceiptError::Json(error),
    }
}

fn read_records(message: &Message<'_>) -> Result<Vec<RecordSeen>, ReceiptError> {
    let bytes = STANDARD.decode(&*message.records).map_err(|error| bad("records", error.to_string()))?;
    records::decode(&bytes, message.count).map_err(|reason| bad("records", reason))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
