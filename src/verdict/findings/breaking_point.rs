//! The breaking point of a test whose load rises: the first rate at which refusals, iterator age or put latency leave
//! their band and stay out, by change point (`docs/statistics.md`).

use crate::evidence::model::{Evidence, LevelEvidence, TestEvidence, Window};
use crate::plan::StageKind;
use crate::platform::clock::WallUs;

use super::super::statistics::change_point;
use super::{Finding, Limit, Placed, shown};

/// Windows that make the band, from the beginning of the load.
const BAND_WINDOWS: usize = 6;
/// A rising load has at least so many rates; fewer are a spike.
const RATES_MIN: usize = 3;
/// The band goes up to the usual value and the larger of these: as for "back to normal" after a spike.
const BAND_PART: f64 = 0.2;
const BAND_MS: f64 = 10.0;
/// An iterator age is healthy up to here, whatever it was before: idle shards are polled a second apart.
const AGE_MS: f64 = 1_000.0;

/// Where a rising load broke the pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakingPoint {
    /// The rate asked for then, records/s.
    pub rps: f64,
    /// The limit that came first in time; where no finding names one, what left its band.
    pub first: String,
    pub at_us: WallUs,
    /// One sentence with the numbers.
    pub evidence: String,
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Refusals,
    IteratorAge,
    PutLatency,
}

impl Signal {
    const ALL: [Signal; 3] = [Signal::Refusals, Signal::IteratorAge, Signal::PutLatency];

    fn as_str(self) -> &'static str {
        match self {
            Signal::Refusals => "refusals",
            Signal::IteratorAge => "iterator age",
            Signal::PutLatency => "put latency",
        }
    }

    fn of(self, window: &Window) -> Option<f64> {
        match self {
            Signal::Refusals => Some(window.throttled as f64),
            Signal::IteratorAge => window.iterator_age_max_ms,
            Signal::PutLatency => {
                window.put_latency.filter(|put| put.count >= PERCENTILE_SAMPLES).map(|put| put.p95)
            }
        }
    }

    /// The upper end of the band, from what was usual at first; `None` where nothing was seen then.
    fn band(self, first: &[&Window]) -> Option<f64> {
        let mut usual: Vec<f64> = first.iter().filter_map(|window| self.of(window)).collect();
        usual.sort_by(f64::total_cmp);
        let largest = *usual.last()?;
        let middle = usual[usual.len() / 2];
        Some(match self {
            Signal::Refusals => 0.0,
            Signal::IteratorAge => (largest * (1.0 + BAND_PART)).max(AGE_MS),
            Signal::PutLatency => middle + (middle * BAND_PART).max(BAND_MS),
        })
    }
}

/// For the p95 of a window.
const PERCENTILE_SAMPLES: u64 = 20;

/// `None` where the test's load does not rise through several rates, or nothing left its band for good.
/// `findings` are in the order of time.
pub fn breaking_point(
    evidence: &Evidence,
    test: &TestEvidence,
    findings: &[Finding],
) -> Option<BreakingPoint> {
    let rising = rising(test)?;
    let is_rising = |window: &&Window| rising.iter().any(|level| level.index == window.level);
    let windows: Vec<&Window> = test
        .windows
        .fine
        .iter()
        .filter(|window| window.whole && window.due >= 1.0)
        .filter(is_rising)
        .collect();
    let (signal, index, band) = first_change(&windows)?;
    let window = windows[index];
    let level = rising.iter().find(|level| level.index == window.level)?;
    let rps = Placed { test, level }.rate_at(window.from_us);
    let value = signal.of(window).unwrap_or_default();
    let numbers = match signal {
        Signal::Refusals => format!("{} refusals", shown(value)),
        Signal::IteratorAge => format!("an iterator age of {} ms, above {} ms", shown(value), shown(band)),
        Signal::PutLatency => format!("a put p95 of {} ms, above {} ms", shown(value), shown(band)),
    };
    let seconds = (window.to_us - window.from_us) / 1_000_000;
    let first = named(findings, evidence, test).unwrap_or(signal.as_str());
    Some(BreakingPoint {
        rps,
        first: first.to_owned(),
        at_us: window.from_us,
        evidence: format!(
            "From {} records/s on ({}) {} left its band and stayed out: {numbers} in the first {seconds} s of it.",
            shown(rps),
            level.name,
            signal.as_str()
        ),
    })
}

/// The limit of the pipeline that a finding saw first during the test.
fn named(findings: &[Finding], evidence: &Evidence, test: &TestEvidence) -> Option<&'static str> {
    let ended_us = test.ended_us.or(evidence.run.ended_us).unwrap_or(WallUs::MAX);
    let during =
        |at_us: WallUs| test.started_us.is_some_and(|started_us| (started_us..=ended_us).contains(&at_us));
    let of_pipeline = |limit: Limit| !matches!(limit, Limit::Generator | Limit::InFlight);
    let found = findings.iter().filter(|finding| of_pipeline(finding.limit));
    found.filter(|finding| finding.at_us.is_some_and(during)).map(|finding| finding.limit.as_str()).next()
}

/// The levels from the first to the last of the highest rate, if they only ever rise, through several rates.
fn rising(test: &TestEvidence) -> Option<&[LevelEvidence]> {
    if test.levels.iter().any(|level| level.users.is_some()) {
        // The rate of a closed loop is what came out, not what was asked for.
        return None;
    }
    let highest = test.levels.iter().map(|level| level.target_rps).reduce(f64::max)?;
    let top = test.levels.iter().rposition(|level| level.target_rps == highest)?;
    let rising = &test.levels[..=top];
    let rises = rising.windows(2).all(|pair| pair[0].target_rps <= pair[1].target_rps);
    let mut rates: Vec<f64> = rising.iter().map(|level| level.target_rps).collect();
    rates.dedup();
    // A void level says nothing about the pipeline, and the levels after it stand on it.
    let sound = rising.iter().all(|level| level.void.is_none() || level.kind == StageKind::Ramp);
    (rises && sound && rates.len() >= RATES_MIN).then_some(rising)
}

/// The signal that leaves its band first and stays out, the place where, and the end of its band.
fn first_change(windows: &[&Window]) -> Option<(Signal, usize, f64)> {
    let found = Signal::ALL.into_iter().filter_map(|signal| {
        let band = signal.band(windows.get(..BAND_WINDOWS)?)?;
        let mut is_out = false;
        let out: Vec<bool> = windows
            .iter()
            .map(|window| {
                // Where nothing can be told, it is as it was.
                is_out = signal.of(window).map_or(is_out, |value| value > band);
                is_out
            })
            .collect();
        Some((signal, change_point(&out)?.index, band))
    });
    found.min_by_key(|(_, index, _)| *index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::model::Dist;

    fn window(second: i64, throttled: u64, age_ms: f64, p95: f64) -> Window {
        let put = Dist { count: 100, avg: p95, p50: p95, p95, p99: p95, p999: p95, max: p95 };
        Window {
            from_us: second * 1_000_000,
            to_us: (second + 1) * 1_000_000,
            whole: true,
            due: 100.0,
            throttled,
            iterator_age_max_ms: Some(age_ms),
            put_latency: Some(put),
            ..Window::default()
        }
    }

    fn change(of: impl Fn(i64) -> (u64, f64, f64)) -> Option<(Signal, usize)> {
        let windows: Vec<Window> = (0..60)
            .map(|second| {
                let (throttled, age_ms, p95) = of(second);
                window(second, throttled, age_ms, p95)
            })
            .collect();
        let (signal, index, _) = first_change(&windows.iter().collect::<Vec<_>>())?;
        Some((signal, index))
    }

    #[test]
    fn the_first_signal_to_leave_and_stay_out_names_the_place() {
        let calm = |_| (0, 600.0, 5.0);
        assert_eq!(change(calm), None);
        // A refusal now and then, and latency that rises within its band.
        assert_eq!(change(|second| (u64::from(second % 13 == 0), 900.0, 5.0 + second as f64 / 10.0)), None);
        let late = |second: i64| if second >= 40 { 7 } else { 0 };
        assert_eq!(change(|second| (late(second), 600.0, 5.0)), Some((Signal::Refusals, 40)));
        // The consumer falls behind before the stream refuses anything.
        let age = |second: i64| if second >= 30 { (second - 29) as f64 * 2_000.0 } else { 600.0 };
        assert_eq!(change(|second| (late(second), age(second), 5.0)), Some((Signal::IteratorAge, 30)));
        let put = |second: i64| if second >= 25 { 40.0 } else { 5.0 };
        assert_eq!(change(|second| (late(second), age(second), put(second))), Some((Signal::PutLatency, 25)));
        // An episode that is over again breaks nothing.
        let burst = |second: i64| if (20..30).contains(&second) { 9 } else { 0 };
        assert_eq!(change(|second| (burst(second), 600.0, 5.0)), None);
        // Out from its beginning: there was no band to leave.
        assert_eq!(change(|_| (9, 600.0, 5.0)), None);
    }
}
