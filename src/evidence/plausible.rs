//! Numbers that a damaged file may hold and no run could have written. They are refused where a file is read, so that
//! the arithmetic behind it needs no guard against them: times can be added, counts can be summed.

use super::events::{Event, Range};
use super::model::{EnvironmentInfo, SecondRow};
use super::pulled::Pulled;
use super::sends::{LevelCounters, SendsLine};
use crate::platform::clock::WallUs;
use crate::wire::receipt::Receipt;

/// The year 5138.
const TIME_MAX_US: WallUs = 100_000_000_000_000_000;
/// Whole numbers up to here are exact in a double.
const COUNT_MAX: u64 = 1 << 53;
/// Ten thousand records a second for more than two months.
const SEQUENCE_MAX: u64 = 1 << 36;
const RATE_MAX: f64 = 1e12;
const SECONDS_MAX: f64 = 1e10;

/// What is read from a file of the run directory.
pub(super) trait Plausible {
    /// Whether a run could have written it.
    fn is_plausible(&self) -> bool;
}

pub(super) fn is_time_us(us: WallUs) -> bool {
    (0..=TIME_MAX_US).contains(&us)
}

fn is_time_ms(ms: i64) -> bool {
    (0..=TIME_MAX_US / 1_000).contains(&ms)
}

fn are_ranges(ranges: &[Range]) -> bool {
    ranges.iter().all(|(first, last)| first <= last && *last <= SEQUENCE_MAX)
}

fn are_counts<const N: usize>(counts: [u64; N]) -> bool {
    counts.iter().all(|count| *count <= COUNT_MAX)
}

fn is_rate(rate: f64) -> bool {
    (0.0..=RATE_MAX).contains(&rate)
}

impl Plausible for Event {
    fn is_plausible(&self) -> bool {
        match self {
            // The count is a bound that virtual users may never reach: it may be any number.
            Event::LevelStarted { starts_us, from_rps, target_rps, duration_s, first_sequence, .. } => {
                is_time_us(*starts_us)
                    && [*from_rps, *target_rps].into_iter().all(is_rate)
                    && (0.0..=SECONDS_MAX).contains(duration_s)
                    && *first_sequence <= SEQUENCE_MAX
            }
            Event::TestStarted { first_sequence, .. } => *first_sequence <= SEQUENCE_MAX,
            Event::TestEnded { drained_s, .. } => {
                drained_s.is_none_or(|drained_s| (0.0..=SECONDS_MAX).contains(&drained_s))
            }
            Event::Confirmed { absent, present, expired, .. } => {
                are_ranges(absent) && are_ranges(present) && are_ranges(expired)
            }
            Event::DeadLettered { ranges, batches } => {
                are_ranges(ranges)
                    && batches
                        .iter()
                        .all(|batch| are_ranges(&batch.ranges) && batch.given_up_us.is_none_or(is_time_us))
            }
            Event::Watched { metrics_requested, queue_requests, dlq_depth } => {
                are_counts([*metrics_requested, *queue_requests, dlq_depth.unwrap_or(0)])
            }
            Event::Ready { probes_acked } => *probes_acked <= COUNT_MAX,
            Event::CollectionEnded { unreadable, .. } => *unreadable <= COUNT_MAX,
            Event::Changed { from_us, .. } => is_time_us(*from_us),
            _ => true,
        }
    }
}

impl Plausible for SendsLine {
    fn is_plausible(&self) -> bool {
        let failed = self.failed.iter().all(|(first, last, _)| are_ranges(&[(*first, *last)]));
        let samples = self.samples.iter().all(|(_, sent, acked)| is_time_us(*sent) && is_time_us(*acked));
        is_time_us(self.at_us)
            && self.highest.is_none_or(|highest| highest <= SEQUENCE_MAX)
            && failed
            && are_ranges(&self.pending)
            && samples
            && self.levels.values().all(Plausible::is_plausible)
    }
}

impl Plausible for LevelCounters {
    fn is_plausible(&self) -> bool {
        are_counts([self.scheduled, self.sent, self.acked, self.failed, self.first_try, self.throttled])
            && are_counts([self.retried, self.in_flight_limited, self.put_payload_units])
            && are_counts([self.acked_bytes, self.acked_bytes_rounded_1k])
    }
}

impl<L> Plausible for Receipt<L> {
    fn is_plausible(&self) -> bool {
        is_time_us(self.started_us)
            && self.duration_us <= TIME_MAX_US as u64
            && is_time_ms(self.arrival_ms.0)
            && is_time_ms(self.arrival_ms.1)
            && self.arrivals.iter().all(|(_, at_ms)| is_time_ms(*at_ms))
    }
}

impl Plausible for SecondRow {
    fn is_plausible(&self) -> bool {
        is_time_ms(self.at_ms)
            && is_rate(self.target_rps)
            && are_counts([self.sent, self.acked, self.failed, self.throttled, self.retried, self.in_flight])
            && [self.put_p50_ms, self.put_p95_ms, self.put_max_ms].iter().all(|ms| ms.is_finite())
    }
}

impl Plausible for Pulled {
    fn is_plausible(&self) -> bool {
        let mut points = self.series.values().flat_map(|series| &series.points);
        let reports = self.reports.as_ref().is_none_or(|reports| {
            are_counts([reports.invocations, reports.billed_ms, reports.cold_starts, reports.log_bytes])
        });
        points.all(|(at_ms, value)| is_time_ms(*at_ms) && value.abs() <= COUNT_MAX as f64)
            && are_counts([self.metrics_requested, self.dlq_depth.unwrap_or(0)])
            && reports
    }
}

impl Plausible for EnvironmentInfo {
    fn is_plausible(&self) -> bool {
        // A stream has a shape; every member has a default, so that older files can be read.
        !self.stream_mode.is_empty() && [self.up_us, self.down_us].into_iter().flatten().all(is_time_us)
    }
}
