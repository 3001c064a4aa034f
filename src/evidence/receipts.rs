//! `receipts.jsonl`: every receipt message as it came from the queue, synced before it was deleted there.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::append::read_json_lines;
use super::error::EvidenceError;
use crate::platform::clock::WallUs;
use crate::wire::receipt::{Receipt, ReceiptError};

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
pub fn part_id(receipt: &Receipt) -> PartId {
    (u128::from_str_radix(&receipt.id, 16).unwrap_or(0), receipt.part)
}

/// One receipt part and where it was found.
pub struct Found {
    /// Of its line in the file.
    pub offset: u64,
    /// Length of the SQS message.
    pub message_bytes: usize,
    pub receipt: Receipt,
}

/// Calls `each` with every distinct receipt part, histograms included when asked for.
///
/// # Errors
/// The file cannot be read at all.
pub fn each_receipt(
    path: &Path,
    histograms: bool,
    notes: &mut Vec<String>,
    mut each: impl FnMut(Found),
) -> Result<(), EvidenceError> {
    let mut seen: HashSet<PartId> = HashSet::new();
    let mut unreadable: Option<(u64, ReceiptError)> = None;
    read_json_lines(path, notes, |offset, line: ReceiptLine| {
        let parse = if histograms { Receipt::from_message } else { Receipt::without_histograms };
        match parse(&line.message) {
            Ok(receipt) if seen.insert(part_id(&receipt)) => {
                each(Found { offset, message_bytes: line.message.len(), receipt });
            }
            Ok(_) => {}
            Err(error) => match &mut unreadable {
                Some((count, _)) => *count += 1,
                None => unreadable = Some((1, error)),
            },
        }
    })?;
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

    /// The receipt, without histograms, of the line at `offset` as [`each_receipt`] gave it.
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
