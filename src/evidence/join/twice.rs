//! The receipts are read twice at once: accounted for record by record, and summed into figures. Neither needs the other,
//! and each is most of what a report costs.

use super::clocks::Sampling;
use super::receipt_sums::ReceiptSums;
use super::windows::WindowSums;
use crate::evidence::accounting::{self, Accounting, KeyOf, LevelRange, Seen};
use crate::evidence::error::EvidenceError;
use crate::evidence::events::Logged;
use crate::evidence::gaps::{Reading, Source};
use crate::evidence::rundir::RunDir;
use crate::evidence::sequences::SequenceSet;

/// What both readings take.
pub(super) struct Both<'a> {
    pub dir: &'a RunDir,
    pub events: &'a [Logged],
    pub ranges: &'a [LevelRange],
    pub acked: &'a SequenceSet,
    pub key_of: KeyOf<'a>,
    pub sampling: &'a Sampling,
}

pub(super) struct Receipts {
    pub seen: Seen,
    pub accounting: Accounting,
    pub sums: ReceiptSums,
}

impl Both<'_> {
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(
        self,
        windows: &mut WindowSums,
        reading: &mut Reading<'_>,
    ) -> Result<Receipts, EvidenceError> {
        let Both { dir, events, ranges, acked, key_of, sampling } = self;
        let path = dir.receipts_jsonl();
        let before = windows.clone();
        let (accounted, sums) = std::thread::scope(|scope| {
            let sums = scope.spawn(|| ReceiptSums::read(&path, None, sampling, windows));
            let seen = reading.read(Source::Receipts, |notes| accounting::seen(dir, ranges, notes));
            let accounted = seen.and_then(|seen| {
                let accounting = accounting::account(dir, events, acked, &seen, key_of)?;
                Ok((seen, accounting))
            });
            (accounted, sums.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let ((seen, accounting), mut sums) = (accounted?, sums?);
        // The collector writes each part once. Where one stands there twice all the same, it is summed once.
        if seen.index.has_repeated() {
            *windows = before;
            sums = ReceiptSums::read(&path, Some(&seen.index), sampling, windows)?;
        }
        Ok(Receipts { seen, accounting, sums })
    }
}
