//! What the recorder keeps between ticks.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::pending::Pending;
use super::{LevelRate, LiveLoad};
use crate::evidence::hlog::{LoadMetric, histogram};
use crate::evidence::sends::{LevelCounters, SendsLine, VERSION};
use crate::evidence::sequences::SequenceSet;
use crate::load::outcome::{FailReason, Outcome, RecordEnd};
use crate::platform::clock::WallUs;
use crate::wire::receipt::{CLOCK_SAMPLE_EVERY, record_us};

const SECOND_US: i64 = 1_000_000;

pub(super) struct State {
    base_us: WallUs,
    interval_s: i64,
    pending: Pending,
    acked: SequenceSet,
    acked_total: u64,
    in_flight: u64,
    failed: Vec<(u64, u64, FailReason)>,
    samples: Vec<(u64, WallUs, WallUs)>,
    levels: BTreeMap<u32, Level>,
    rates: BTreeMap<u32, LevelRate>,
    current: Option<u32>,
    /// Seconds since the epoch: everything before it has been written.
    second_floor: i64,
    seconds: BTreeMap<(i64, u32), Second>,
    /// Number of the interval since `base_us`: everything before it has been written.
    interval_floor: i64,
    intervals: BTreeMap<(i64, u32, LoadMetric), Histogram<u64>>,
}

struct Level {
    counters: LevelCounters,
    changed: bool,
    put_latency: Histogram<u64>,
    generator_lag: Histogram<u64>,
}

struct Second {
    sent: u64,
    acked: u64,
    failed: u64,
    throttled: u64,
    retried: u64,
    /// At the end of the second.
    in_flight: u64,
    put_latency: Histogram<u64>,
}

/// What one tick writes.
pub(super) struct Taken {
    pub line: SendsLine,
    pub rows: Vec<String>,
    pub intervals: Vec<(u32, LoadMetric, Duration, Duration, Histogram<u64>)>,
}

impl State {
    pub(super) fn new(base_us: WallUs, interval_s: i64) -> State {
        State {
            base_us,
            interval_s,
            pending: Pending::default(),
            acked: SequenceSet::new(),
            acked_total: 0,
            in_flight: 0,
            failed: Vec::new(),
            samples: Vec::new(),
            levels: BTreeMap::new(),
            rates: BTreeMap::new(),
            current: None,
            second_floor: base_us.div_euclid(SECOND_US),
            seconds: BTreeMap::new(),
            interval_floor: 0,
            intervals: BTreeMap::new(),
        }
    }

    pub(super) fn level_rate(&mut self, level: u32, rate: LevelRate) {
        self.rates.insert(level, rate);
    }

    pub(super) fn started(&mut self, now_us: WallUs, level: u32, first: u64, count: u64) {
        if count == 0 {
            return;
        }
        self.pending.add(first, first + (count - 1));
        self.in_flight += count;
        self.current = Some(level);
        let changed = self.level(level);
        changed.counters.scheduled += count;
        changed.changed = true;
        let in_flight = self.in_flight;
        let second = self.second(now_us, level);
        second.sent += count;
        second.in_flight = in_flight;
    }

    pub(super) fn finished(&mut self, outcome: &Outcome) {
        if self.pending.remove(outcome.sequence) {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        let latency_us = outcome.answered_us - outcome.due_us;
        let lag_us = outcome.ready_us - outcome.due_us;
        let acked = outcome.end == RecordEnd::Acked;
        let level = self.level(outcome.level);
        level.changed = true;
        level.counters.count(outcome);
        record_us(&mut level.generator_lag, lag_us);
        if acked {
            record_us(&mut level.put_latency, latency_us);
        }
        let in_flight = self.in_flight;
        let second = self.second(outcome.answered_us, outcome.level);
        second.throttled += u64::from(outcome.throttles);
        second.retried += u64::from(outcome.attempts.saturating_sub(1));
        second.in_flight = in_flight;
        if acked {
            second.acked += 1;
            record_us(&mut second.put_latency, latency_us);
        } else {
            second.failed += 1;
        }
        let at_us = outcome.answered_us;
        record_us(self.interval(at_us, outcome.level, LoadMetric::GeneratorLag), lag_us);
        if acked {
            record_us(self.interval(at_us, outcome.level, LoadMetric::PutLatency), latency_us);
        }
        self.note_end(outcome);
    }

    fn note_end(&mut self, outcome: &Outcome) {
        match &outcome.end {
            RecordEnd::Failed(reason) => match self.failed.last_mut() {
                Some((_, last, same)) if *last + 1 == outcome.sequence && same == reason => *last += 1,
                _ => self.failed.push((outcome.sequence, outcome.sequence, *reason)),
            },
            RecordEnd::Acked => {
                self.acked_total += 1;
                self.acked.insert(outcome.sequence);
                // After a retry it is not known which attempt arrived: such a record bounds nothing.
                if outcome.attempts == 1 && outcome.sequence.is_multiple_of(CLOCK_SAMPLE_EVERY) {
                    self.samples.push((outcome.sequence, outcome.last_sent_us, outcome.answered_us));
                }
            }
        }
    }

    pub(super) fn attempt(&mut self, now_us: WallUs, level: u32, service_time_us: u64, records: u32) {
        let bounded = service_time_us.min(crate::wire::receipt::HISTOGRAM_MAX_US);
        // Our histograms grow: recording cannot fail.
        let _ = self.interval(now_us, level, LoadMetric::ServiceTime).record_n(bounded, u64::from(records));
    }

    fn level(&mut self, level: u32) -> &mut Level {
        self.levels.entry(level).or_insert_with(|| Level {
            counters: LevelCounters::default(),
            changed: false,
            put_latency: histogram(),
            generator_lag: histogram(),
        })
    }

    /// What comes late, for a second already written, counts in the oldest that is still open.
    fn second(&mut self, at_us: WallUs, level: u32) -> &mut Second {
        let second = at_us.div_euclid(SECOND_US).max(self.second_floor);
        self.seconds.entry((second, level)).or_insert_with(|| Second {
            sent: 0,
            acked: 0,
            failed: 0,
            throttled: 0,
            retried: 0,
            in_flight: 0,
            put_latency: histogram(),
        })
    }

    fn interval(&mut self, at_us: WallUs, level: u32, metric: LoadMetric) -> &mut Histogram<u64> {
        let number = (at_us - self.base_us).div_euclid(self.interval_s * SECOND_US).max(self.interval_floor);
        self.intervals.entry((number, level, metric)).or_insert_with(histogram)
    }

    pub(super) fn take(&mut self, now_us: WallUs, last: bool) -> Taken {
        let second_now = if last { i64::MAX } else { now_us.div_euclid(SECOND_US) };
        let interval_us = self.interval_s * SECOND_US;
        let interval_now = if last { i64::MAX } else { (now_us - self.base_us).div_euclid(interval_us) };
        let open = self.seconds.split_off(&(second_now, 0));
        let seconds = std::mem::replace(&mut self.seconds, open);
        let open = self.intervals.split_off(&(interval_now, 0, LoadMetric::PutLatency));
        let intervals = std::mem::replace(&mut self.intervals, open);
        if !last {
            self.second_floor = self.second_floor.max(second_now);
            self.interval_floor = self.interval_floor.max(interval_now);
        }
        let length = Duration::from_micros(interval_us as u64);
        Taken {
            rows: seconds.iter().map(|((second, level), row)| self.row(*second, *level, row)).collect(),
            intervals: intervals
                .into_iter()
                .map(|((number, level, metric), histogram)| {
                    let start = Duration::from_micros((number * interval_us).max(0) as u64);
                    (level, metric, start, length, histogram)
                })
                .collect(),
            line: self.line(now_us),
        }
    }

    fn line(&mut self, now_us: WallUs) -> SendsLine {
        let mut levels = BTreeMap::new();
        for (index, level) in &mut self.levels {
            if std::mem::take(&mut level.changed) {
                levels.insert(*index, level.counters.clone());
            }
        }
        SendsLine {
            v: VERSION,
            at_us: now_us,
            highest: self.pending.highest,
            failed: std::mem::take(&mut self.failed),
            generator_mb: None,
            pending: self.pending.ranges(),
            samples: std::mem::take(&mut self.samples),
            levels,
        }
    }

    fn row(&self, second: i64, level: u32, row: &Second) -> String {
        let middle_us = second * SECOND_US + SECOND_US / 2;
        let target_rps = self.rates.get(&level).map_or(0.0, |rate| target_at(rate, middle_us));
        let ms = |quantile| row.put_latency.value_at_quantile(quantile) as f64 / 1e3;
        format!(
            "{},{level},{target_rps:.3},{},{},{},{},{},{},{:.3},{:.3},{:.3}",
            second * 1_000,
            row.sent,
            row.acked,
            row.failed,
            row.throttled,
            row.retried,
            row.in_flight,
            ms(0.5),
            ms(0.95),
            row.put_latency.max() as f64 / 1e3,
        )
    }

    pub(super) fn acked(&self) -> SequenceSet {
        self.acked.clone()
    }

    pub(super) fn live(&self) -> LiveLoad {
        self.live_of(self.current)
    }

    pub(super) fn live_of(&self, level: Option<u32>) -> LiveLoad {
        let totals = LiveLoad {
            level,
            in_flight: self.in_flight,
            acked_total: self.acked_total,
            put_payload_units_total: self.levels.values().map(|level| level.counters.put_payload_units).sum(),
            ..LiveLoad::default()
        };
        let Some(level) = level.and_then(|level| self.levels.get(&level)) else { return totals };
        let ms = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        LiveLoad {
            counters: level.counters.clone(),
            put_p50_ms: ms(&level.put_latency, 0.5),
            put_p95_ms: ms(&level.put_latency, 0.95),
            put_p99_ms: ms(&level.put_latency, 0.99),
            generator_lag_p99_ms: ms(&level.generator_lag, 0.99),
            ..totals
        }
    }
}

/// The scheduled rate at a time: linear over the level, or that of the replay's step; 0 outside it.
fn target_at(rate: &LevelRate, at_us: WallUs) -> f64 {
    let into_s = (at_us - rate.starts_us) as f64 / 1e6;
    let whole_s = rate.duration.as_secs_f64();
    // Rows stand for whole seconds: one that touches the level has its rate at the nearest edge.
    if into_s < -0.5 || into_s > whole_s + 0.5 || whole_s <= 0.0 {
        return 0.0;
    }
    let steps_begun = rate.steps.iter().take_while(|step| step.after.as_secs_f64() <= into_s).count();
    if let Some(step) = rate.steps.get(steps_begun.saturating_sub(1)) {
        return step.rps;
    }
    rate.from_rps + (rate.target_rps - rate.from_rps) * (into_s / whole_s).clamp(0.0, 1.0)
}
