//! `receipts.jsonl`: every receipt message as it came from the queue, synced before it was deleted there.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::append::{newer_format, read_json_lines};
use super::error::EvidenceError;
use super::kinesis_number::KinesisNumber;
use super::plausible::Plausible;
use crate::platform::clock::WallUs;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::{LevelCounts, Receipt, ReceiptError};

pub(crate) const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReceiptLine {
    pub v: u32,
    /// When it was collected.
    pub at_us: WallUs,
    /// The SQS message body, as it was.
    pub message: String,
}

impl ReceiptLine {
    pub fn text(at_us: WallUs, message: &str) -> String {
        let line = ReceiptLine { v: VERSION, at_us, message: message.to_owned() };
        serde_json::to_string(&line).expect("plain members always serialize")
    }
}

/// (id, part): SQS repeats messages.
pub type PartId = (u128, u32);

/// The id of a receipt's part. Ids are checked hex when a message is read.
pub fn part_id<L>(receipt: &Receipt<L>) -> PartId {
    (u128::from_str_radix(&receipt.id, 16).unwrap_or(0), receipt.part)
}

/// One receipt part and where it was found.
pub struct Found<L = LevelCounts> {
    /// Of its line in the file.
    pub offset: u64,
    /// Length of the SQS message.
    pub message_bytes: usize,
    pub receipt: Receipt<L>,
}

/// Where each distinct receipt part stands in the file, in the order of the function's start. Sixteen bytes
/// for each: a run may have millions.
#[derive(Default)]
pub struct ReceiptIndex {
    entries: Vec<Entry>,
    /// Lines that repeat a part. The collector writes each part once, so that there are hardly any.
    repeated: HashSet<u64>,
}

#[derive(Clone, Copy)]
struct Entry {
    started_us: WallUs,
    offset: u64,
}

impl ReceiptIndex {
    /// Reads the file once. `each` gets every receipt without its histograms, repeated ones too.
    ///
    /// # Errors
    /// The file cannot be read at all. Lines that cannot be read become notes.
    pub fn read(
        path: &Path,
        notes: &mut Vec<String>,
        mut each: impl FnMut(&Receipt),
    ) -> Result<ReceiptIndex, EvidenceError> {
        let mut entries = Vec::new();
        lines(path, Receipt::without_histograms, notes, |Found { offset, receipt, .. }| {
            each(&receipt);
            entries.push(Entry { started_us: receipt.started_us, offset });
        })?;
        entries.sort_unstable_by_key(|entry| (entry.started_us, entry.offset));
        let mut index = ReceiptIndex { entries, repeated: HashSet::new() };
        index.settle_ties(path)?;
        Ok(index)
    }

    /// Receipts that started in the same microsecond are the parts of one, repeated messages, or (virtual time
    /// has such) of several invocations: they are ordered by their first record, then by part.
    fn settle_ties(&mut self, path: &Path) -> Result<(), EvidenceError> {
        let mut receipts = None;
        let repeated = &mut self.repeated;
        for tied in self.entries.chunk_by_mut(|left, right| left.started_us == right.started_us) {
            if tied.len() == 1 {
                continue;
            }
            let receipts = match &mut receipts {
                Some(receipts) => receipts,
                none => none.insert(ReceiptsAt::open(path)?),
            };
            let mut parts = HashSet::new();
            let mut order = Vec::with_capacity(tied.len());
            for entry in tied.iter() {
                let receipt = receipts.read(entry.offset)?;
                if !parts.insert(part_id(&receipt)) {
                    repeated.insert(entry.offset);
                }
                let records = receipt.records.iter().filter(|record| record.level != PROBE_LEVEL);
                let number = records.map(|record| KinesisNumber::of(&record.kinesis_sequence)).next();
                order.push((number, receipt.part, *entry));
            }
            order.sort_by(|left, right| (&left.0, left.1).cmp(&(&right.0, right.1)));
            for (place, (_, _, entry)) in tied.iter_mut().zip(order) {
                *place = entry;
            }
        }
        self.entries.retain(|entry| !repeated.contains(&entry.offset));
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Offsets of the distinct parts, in the order of the function's start.
    pub fn offsets(&self) -> impl Iterator<Item = u64> + '_ {
        self.entries.iter().map(|entry| entry.offset)
    }

    /// Calls `each` with every distinct part, histograms included, in the order of the file.
    ///
    /// # Errors
    /// The file cannot be read at all.
    pub fn each(&self, path: &Path, mut each: impl FnMut(Found)) -> Result<(), EvidenceError> {
        // Lines that cannot be read were noted when the index was made.
        each_line(path, |found| {
            if !self.repeated.contains(&found.offset) {
                each(found);
            }
        })
    }

    /// Whether some part stands in the file more than once.
    pub fn has_repeated(&self) -> bool {
        !self.repeated.is_empty()
    }
}

/// Calls `each` with every part in the order of the file, repeated ones too.
///
/// # Errors
/// The file cannot be read at all. Lines that cannot be read are left out.
pub fn each_line(path: &Path, each: impl FnMut(Found)) -> Result<(), EvidenceError> {
    lines(path, Receipt::with_counts, &mut Vec::new(), each)
}

fn lines<L>(
    path: &Path,
    parse: impl Fn(&str) -> Result<Receipt<L>, ReceiptError>,
    notes: &mut Vec<String>,
    mut each: impl FnMut(Found<L>),
) -> Result<(), EvidenceError> {
    let mut unreadable: Option<(u64, ReceiptError)> = None;
    let (mut newer, mut implausible) = (None, 0u64);
    read_json_lines(path, notes, |offset, line: ReceiptLine| {
        if line.v > VERSION {
            newer = Some(line.v);
            return;
        }
        match parse(&line.message) {
            Ok(receipt) if !receipt.is_plausible() => implausible += 1,
            Ok(receipt) => each(Found { offset, message_bytes: line.message.len(), receipt }),
            Err(error) => match &mut unreadable {
                Some((count, _)) => *count += 1,
                None => unreadable = Some((1, error)),
            },
        }
    })?;
    if implausible > 0 {
        notes.push(format!("receipts.jsonl: {implausible} receipts with impossible times are left out"));
    }
    notes.extend(newer.map(|v| newer_format("receipts.jsonl", v, VERSION)));
    if let Some((count, error)) = unreadable {
        notes.push(format!("receipts.jsonl: {count} receipts could not be read ({error})"));
    }
    Ok(())
}

/// Reads single lines by their offset, in any order.
pub struct ReceiptsAt {
    path: PathBuf,
    reader: BufReader<File>,
    at: u64,
    line: String,
}

impl ReceiptsAt {
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<ReceiptsAt, EvidenceError> {
        let file = File::open(path).map_err(EvidenceError::io(path))?;
        Ok(ReceiptsAt { path: path.to_owned(), reader: BufReader::new(file), at: 0, line: String::new() })
    }

    /// The receipt, without histograms, of the line at `offset` as [`ReceiptIndex`] gave it.
    ///
    /// # Errors
    /// The file changed since.
    pub fn read(&mut self, offset: u64) -> Result<Receipt, EvidenceError> {
        // Lines come nearly in order: staying inside the buffer saves most reads.
        let forward = offset as i64 - self.at as i64;
        let sought = match forward {
            0 => Ok(()),
            _ => self.reader.seek_relative(forward),
        };
        self.line.clear();
        sought
            .or_else(|_| self.reader.seek(SeekFrom::Start(offset)).map(drop))
            .and_then(|()| self.reader.read_line(&mut self.line))
            .map_err(EvidenceError::io(&self.path))?;
        self.at = offset + self.line.len() as u64;
        let changed = |reason: String| EvidenceError::content(&self.path, format!("it changed: {reason}"));
        let line: ReceiptLine =
            serde_json::from_str(&self.line).map_err(|error| changed(error.to_string()))?;
        Receipt::without_histograms(&line.message).map_err(|error| changed(error.to_string()))
    }
}
