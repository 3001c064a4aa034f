//! A series of rates as a CSV file: what was measured in production, to be replayed. Pure: text in, rows out.
//!
//! The first line names the columns (`time_s,rate`; for the first also `offset`, `time` or `timestamp`). Each
//! further line is a row: when, in seconds or as an RFC 3339 timestamp, and the records a second from then on.
//! The first row is the start, whatever its time.

use std::time::Duration;

use jiff::Timestamp;

use super::errors::quoted;
use super::model::Position;
use super::resolve::RATE_MAX;
use super::units::show_duration;

/// Rows of a series: a day of one-second rates has 86,400.
pub(super) const ROWS_MAX: usize = 100_000;
/// Bytes of a series' file: 80 a row.
pub(super) const FILE_MAX_BYTES: usize = 8 * 1_024 * 1_024;
/// Errors that are told of one file; who has more has another kind of file.
const ERRORS_MAX: usize = 20;
/// Between two rows: shorter than what a timer can tell apart is no rate.
const INTERVAL_MIN: Duration = Duration::from_millis(1);
const TIME_COLUMNS: [&str; 4] = ["time_s", "offset", "time", "timestamp"];
const HEADER_EXPECTED: &str = "the header time_s,rate";
const TIME_EXPECTED: &str = "seconds such as 60, or an RFC 3339 timestamp such as 2026-11-20T10:00:00Z";
/// Seconds: a time on the calendar fits, in microseconds too.
const TIME_MAX_S: f64 = 1e11;

/// A rate and when it begins, from the first row on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub after: Duration,
    pub rps: f64,
}

/// What is wrong, and where in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wrong {
    pub position: Position,
    /// The column's name, or `rates` for the whole file.
    pub field: String,
    pub found: String,
    pub expected: String,
}

/// The rows of the series: at least one, each later than the one before.
///
/// A series is regular when more than half of its intervals are as long as its shortest; a longer one is then a
/// gap, and an error unless `gaps_hold`.
///
/// # Errors
/// All that is wrong, up to 20.
pub(super) fn read(text: &str, gaps_hold: bool) -> Result<Vec<Row>, Vec<Wrong>> {
    let mut reader = Reader { time_column: "", wrong: Vec::new() };
    let rows = reader.rows(text);
    if !gaps_hold && reader.wrong.is_empty() {
        reader.gaps(text, &rows);
    }
    reader.wrong.truncate(ERRORS_MAX);
    if reader.wrong.is_empty() { Ok(rows) } else { Err(reader.wrong) }
}

/// A moment as a cell has it.
#[derive(Clone, Copy, PartialEq)]
enum Moment {
    Offset { us: i64 },
    Stamp { us: i64 },
}

impl Moment {
    fn parse(text: &str) -> Option<Moment> {
        if let Ok(seconds) = text.parse::<f64>() {
            let us = (seconds * 1e6).round() as i64;
            return (0.0..=TIME_MAX_S).contains(&seconds).then_some(Moment::Offset { us });
        }
        let stamp: Timestamp = text.parse().ok()?;
        Some(Moment::Stamp { us: stamp.as_microsecond() })
    }

    /// From `earlier` on; `None` when they are not of one kind.
    fn us_since(self, earlier: Moment) -> Option<i64> {
        match (self, earlier) {
            (Moment::Offset { us }, Moment::Offset { us: earlier })
            | (Moment::Stamp { us }, Moment::Stamp { us: earlier }) => Some(us - earlier),
            _ => None,
        }
    }
}

/// A cell without the spaces and the quotes around it.
struct Cell<'t> {
    text: &'t str,
    position: Position,
}

fn cells(line: &str, number: usize) -> Vec<Cell<'_>> {
    let mut column = 1;
    let cell = |raw: &'_ str| {
        let before = raw.chars().take_while(|c| c.is_whitespace()).count();
        let position = Position { line: number, column: column + before };
        column += raw.chars().count() + 1;
        position
    };
    let positions: Vec<Position> = line.split(',').map(cell).collect();
    let texts = line.split(',').map(|raw| {
        let text = raw.trim();
        text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
    });
    texts.zip(positions).map(|(text, position)| Cell { text, position }).collect()
}

fn shown(text: &str) -> String {
    if text.is_empty() { "an empty cell".to_owned() } else { quoted(text) }
}

struct Reader<'t> {
    time_column: &'t str,
    wrong: Vec<Wrong>,
}

impl<'t> Reader<'t> {
    fn wrong(
        &mut self,
        position: Position,
        field: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        let (found, expected) = (found.into(), expected.into());
        self.wrong.push(Wrong { position, field: field.to_owned(), found, expected });
    }

    fn rows(&mut self, text: &'t str) -> Vec<Row> {
        let mut lines = text.trim_end().lines().zip(1..);
        let whole = Position { line: 1, column: 1 };
        match lines.next() {
            Some((header, number)) if !header.trim().is_empty() => self.header(&cells(header, number)),
            _ => self.wrong(whole, "rates", "no header", HEADER_EXPECTED),
        }
        // What else is written there is then anything.
        if !self.wrong.is_empty() {
            return Vec::new();
        }
        let (mut rows, mut first, mut previous) = (Vec::new(), None, None);
        for (line, number) in lines {
            if self.wrong.len() >= ERRORS_MAX {
                return rows;
            }
            if rows.len() == ROWS_MAX {
                let position = Position { line: number, column: 1 };
                self.wrong(position, "rates", "one more row", format!("at most {ROWS_MAX} rows"));
                return rows;
            }
            let Some((moment, rps)) = self.row(&cells(line, number), previous) else { continue };
            let first = *first.get_or_insert(moment);
            let after_us = moment.us_since(first).and_then(|us| u64::try_from(us).ok()).unwrap_or(0);
            rows.push(Row { after: Duration::from_micros(after_us), rps });
            previous = Some(moment);
        }
        if rows.is_empty() && self.wrong.is_empty() {
            self.wrong(whole, "rates", "no rows", "a row for each change of the rate");
        }
        rows
    }

    fn header(&mut self, cells: &[Cell<'t>]) {
        match cells {
            [time, rate] if TIME_COLUMNS.contains(&time.text) && rate.text == "rate" => {
                self.time_column = time.text;
            }
            _ => {
                let names: Vec<&str> = cells.iter().map(|cell| cell.text).collect();
                let found = quoted(&names.join(","));
                self.wrong(Position { line: 1, column: 1 }, "rates", found, HEADER_EXPECTED);
            }
        }
    }

    /// When and how much, unless something is wrong with it.
    fn row(&mut self, cells: &[Cell<'_>], previous: Option<Moment>) -> Option<(Moment, f64)> {
        let time_column = self.time_column;
        let [time, rate] = cells else {
            let position = cells.get(2).map_or(cells[0].position, |extra| extra.position);
            let found = match cells {
                [only] if only.text.is_empty() => "an empty line".to_owned(),
                _ => format!("{} cells", cells.len()),
            };
            self.wrong(position, "rates", found, format!("two cells, {time_column} and rate"));
            return None;
        };
        let moment = self.moment(time, previous, time_column);
        match rate.text.parse::<f64>() {
            Ok(rps) if (0.0..=RATE_MAX).contains(&rps) => moment.map(|moment| (moment, rps)),
            _ => {
                let expected = format!("a number of records a second from 0 to {RATE_MAX}");
                self.wrong(rate.position, "rate", shown(rate.text), expected);
                None
            }
        }
    }

    fn moment(&mut self, cell: &Cell<'_>, previous: Option<Moment>, column: &str) -> Option<Moment> {
        let Some(moment) = Moment::parse(cell.text) else {
            self.wrong(cell.position, column, shown(cell.text), TIME_EXPECTED);
            return None;
        };
        let Some(previous) = previous else { return Some(moment) };
        match moment.us_since(previous) {
            Some(us) if us >= INTERVAL_MIN.as_micros() as i64 => return Some(moment),
            Some(_) => {
                let expected = "a time at least 1ms after the row before: rows ascend";
                self.wrong(cell.position, column, shown(cell.text), expected);
            }
            None => {
                let expected = "the same kind of time in all rows, seconds or timestamps";
                self.wrong(cell.position, column, shown(cell.text), expected);
            }
        }
        None
    }

    /// Names what is missing in a series that is otherwise regular.
    fn gaps(&mut self, text: &'t str, rows: &[Row]) {
        let intervals: Vec<Duration> = rows.windows(2).map(|pair| pair[1].after - pair[0].after).collect();
        let Some(&regular) = intervals.iter().min() else { return };
        let as_long = intervals.iter().filter(|interval| **interval == regular).count();
        if as_long * 2 <= intervals.len() {
            return;
        }
        let lines: Vec<&str> = text.lines().collect();
        let time = |row: usize| cells(lines[row + 1], row + 2).swap_remove(0);
        for (row, interval) in intervals.iter().enumerate().filter(|(_, interval)| **interval > regular) {
            let found = format!("a gap of {} after {}", show_duration(*interval), quoted(time(row).text));
            let expected = format!(
                "a row each {}; or `gaps: hold` in the plan, and the row before a gap holds through it",
                show_duration(regular)
            );
            let column = self.time_column;
            self.wrong(time(row + 1).position, column, found, expected);
            if self.wrong.len() >= ERRORS_MAX {
                return;
            }
        }
    }
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
