//! `series.csv` read back.

use std::path::Path;

use crate::evidence::append::read_lines;
use crate::evidence::error::EvidenceError;
use crate::evidence::model::SecondRow;
use crate::evidence::plausible::Plausible;

pub(super) fn read(path: &Path, notes: &mut Vec<String>) -> Result<Vec<SecondRow>, EvidenceError> {
    let mut rows = Vec::new();
    let mut unreadable = 0u64;
    let torn = read_lines(path, |offset, line| match row(line) {
        Some(row) => rows.push(row),
        // The first line names the columns.
        None => unreadable += u64::from(offset > 0),
    })?;
    if unreadable > 0 {
        notes.push(format!("series.csv: {unreadable} lines could not be read"));
    }
    if torn {
        notes.push("series.csv: the last line was torn and is left out".into());
    }
    rows.sort_by_key(|row| (row.at_ms, row.level));
    Ok(rows)
}

fn row(line: &[u8]) -> Option<SecondRow> {
    let mut cells = std::str::from_utf8(line).ok()?.split(',');
    let row = SecondRow {
        at_ms: cells.next()?.parse().ok()?,
        level: cells.next()?.parse().ok()?,
        target_rps: cells.next()?.parse().ok()?,
        sent: cells.next()?.parse().ok()?,
        acked: cells.next()?.parse().ok()?,
        failed: cells.next()?.parse().ok()?,
        throttled: cells.next()?.parse().ok()?,
        retried: cells.next()?.parse().ok()?,
        in_flight: cells.next()?.parse().ok()?,
        put_p50_ms: cells.next()?.parse().ok()?,
        put_p95_ms: cells.next()?.parse().ok()?,
        put_max_ms: cells.next()?.parse().ok()?,
    };
    (cells.next().is_none() && row.is_plausible()).then_some(row)
}
