//! `intervals.hlog`: HdrHistogram's interval log, which every HdrHistogram tool reads. Microseconds; one
//! line for each interval, level and metric, tagged `level/metric`.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, LogEntry, Tag};

use super::append::read_lines;
use super::error::EvidenceError;
use super::plausible::is_time_us;
use crate::platform::clock::WallUs;

/// What the generator measures of each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoadMetric {
    /// Due to answered, of acked records. (A failed one has no put to time; it counts in the error rate.)
    PutLatency,
    /// Attempt sent to answered; the records of one request each count it.
    ServiceTime,
    /// Due to ready to send, of every record.
    GeneratorLag,
}

impl LoadMetric {
    pub const ALL: [LoadMetric; 3] =
        [LoadMetric::PutLatency, LoadMetric::ServiceTime, LoadMetric::GeneratorLag];

    pub fn as_str(self) -> &'static str {
        match self {
            LoadMetric::PutLatency => "put_latency",
            LoadMetric::ServiceTime => "service_time",
            LoadMetric::GeneratorLag => "generator_lag",
        }
    }
}

impl FromStr for LoadMetric {
    type Err = ();
    fn from_str(text: &str) -> Result<LoadMetric, ()> {
        LoadMetric::ALL.into_iter().find(|metric| metric.as_str() == text).ok_or(())
    }
}

/// A growing histogram of three significant digits.
pub fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(3).expect("three digits are within 0..=5");
    histogram.auto(true);
    histogram
}

/// The lines before the first interval. Timestamps of intervals are seconds since `base_us`.
pub fn header(base_us: WallUs, run: &str) -> String {
    let base_s = base_us as f64 / 1e6;
    format!(
        "#[streamgauge {run}: microseconds, tag level/metric]\n\
         #[Histogram log format version 1.3]\n\
         #[StartTime: {base_s:.3} (seconds since epoch)]\n\
         #[BaseTime: {base_s:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
    )
}

/// One line for one interval.
pub fn interval(
    level: u32,
    metric: LoadMetric,
    start: Duration,
    length: Duration,
    histogram: &Histogram<u64>,
) -> Vec<u8> {
    let tag = format!("{level}/{}", metric.as_str());
    let tag = Tag::new(&tag).expect("neither comma nor space");
    let (mut line, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    IntervalLogWriterBuilder::new()
        .begin_log_with(&mut line, &mut serializer)
        .expect("writing to a vector cannot fail")
        .write_histogram(histogram, start, length, Some(tag))
        .expect("writing to a vector cannot fail, and our counts are below 2^63");
    line
}

/// One line of a log.
pub struct Interval {
    pub level: u32,
    pub metric: LoadMetric,
    /// Halfway between its start and its end.
    pub middle_us: WallUs,
    pub histogram: Histogram<u64>,
}

/// Of a whole log, by level and metric.
pub type Totals = BTreeMap<(u32, LoadMetric), Histogram<u64>>;

/// All intervals of a log added up, by level and metric, after `each` has seen every one of them. Unreadable lines
/// become one note.
///
/// # Errors
/// The file cannot be read at all.
pub fn read_totals(
    path: &Path,
    notes: &mut Vec<String>,
    mut each: impl FnMut(&Interval),
) -> Result<Totals, EvidenceError> {
    let mut totals = Totals::new();
    let mut unreadable = 0u64;
    let mut base_us = 0;
    let torn = read_lines(path, |_, line| {
        base_us = base_of(line).unwrap_or(base_us);
        // Comments and the quoted legend.
        if !matches!(line.first(), None | Some(b'#' | b'"')) {
            let interval = read_interval(line, base_us);
            interval.iter().for_each(&mut each);
            let added = interval.and_then(|Interval { level, metric, histogram: one, .. }| {
                totals.entry((level, metric)).or_insert_with(histogram).add(one).ok()
            });
            unreadable += u64::from(added.is_none());
        }
    })?;
    if unreadable > 0 {
        notes.push(format!("intervals.hlog: {unreadable} lines could not be read"));
    }
    if torn {
        notes.push("intervals.hlog: the last line was torn and is left out".into());
    }
    Ok(totals)
}

/// What the times of the intervals count from, in the line that says so.
fn base_of(line: &[u8]) -> Option<WallUs> {
    let seconds = std::str::from_utf8(line).ok()?.strip_prefix("#[BaseTime: ")?.split(' ').next()?;
    seconds.parse::<f64>().ok().map(|seconds| (seconds * 1e6).round() as WallUs)
}

fn read_interval(line: &[u8], base_us: WallUs) -> Option<Interval> {
    let mut whole = line.to_vec();
    whole.push(b'\n');
    let mut entries = hdrhistogram::serialization::interval_log::IntervalLogIterator::new(&whole);
    let LogEntry::Interval(entry) = entries.next()?.ok()? else { return None };
    let (level, metric) = entry.tag()?.as_str().split_once('/')?;
    // What a damaged line says may be any number.
    let middle = entry.start_timestamp().checked_add(entry.duration() / 2)?;
    let middle_us = base_us.checked_add(WallUs::try_from(middle.as_micros()).ok()?)?;
    if !is_time_us(middle_us) {
        return None;
    }
    Some(Interval {
        level: level.parse().ok()?,
        metric: metric.parse().ok()?,
        middle_us,
        histogram: crate::wire::receipt::decode_histogram(entry.encoded_histogram()).ok()?,
    })
}
