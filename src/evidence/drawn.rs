//! What only charts are drawn from: the function by seconds, and whole distributions. Plain data.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::model::SecondRow;

/// One second of the function, from the receipts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FunctionSecond {
    /// Start of the second, ms since the epoch.
    pub at_ms: i64,
    /// Time that invocations ran within this second, added up, ms: a thousandth of it is how many ran at once, on
    /// average. An invocation counts from its start until it wrote its receipt.
    pub busy_ms: f64,
    /// Invocations that started in it, in a sandbox made for them.
    pub cold_starts: u64,
    /// Acked records that were settled in it: processed for the first time, by an invocation that started in it, or
    /// given up. A redelivery settles nothing.
    pub settled: u64,
}

/// At the end of each second in which something changed, ms since the epoch of its start: how many records were acked
/// and not yet settled, from the start of the run. A record that is lost stays in it.
pub fn backlog(sent: &[SecondRow], function: &[FunctionSecond]) -> BTreeMap<i64, u64> {
    let mut changes: BTreeMap<i64, i64> = BTreeMap::new();
    for row in sent {
        *changes.entry(row.at_ms).or_default() += row.acked as i64;
    }
    for row in function.iter().filter(|row| row.settled > 0) {
        *changes.entry(row.at_ms).or_default() -= row.settled as i64;
    }
    let running = changes.into_iter().scan(0i64, |backlog, (at_ms, change)| {
        *backlog += change;
        // A record may be processed within the second before the one in which its ack arrives.
        Some((at_ms, (*backlog).max(0) as u64))
    });
    running.collect()
}

/// A latency and the share of the records that took no longer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// 0 to 1.
    pub quantile: f64,
    pub ms: f64,
}

/// Steps for each power of ten of 1 / (1 - quantile), as HdrHistogram's own plots count percentiles.
const STEPS: u32 = 10;

/// A distribution of microseconds from its smallest value up to the highest quantile that its count supports: at
/// least one record must lie beyond it, so that 500 records end at 99.8 %.
pub fn spectrum(histogram: &Histogram<u64>) -> Vec<Quantile> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let steps = ((histogram.len() as f64).log10() * f64::from(STEPS)).floor() as u32;
    let at = |step: u32| {
        let quantile = 1.0 - 10f64.powf(-f64::from(step) / f64::from(STEPS));
        Quantile { quantile, ms: histogram.value_at_quantile(quantile) as f64 / 1e3 }
    };
    let mut spectrum: Vec<Quantile> = (0..=steps).map(at).collect();
    let highest = 1.0 - 1.0 / histogram.len() as f64;
    if spectrum.last().is_some_and(|last| last.quantile < highest) {
        spectrum.push(Quantile { quantile: highest, ms: histogram.value_at_quantile(highest) as f64 / 1e3 });
    }
    spectrum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spectrum_ends_where_a_single_record_is_left() {
        let mut histogram = crate::evidence::hlog::histogram();
        assert_eq!(spectrum(&histogram), [], "nothing measured");
        for ms in 1..=500u64 {
            histogram.record(ms * 1_000).expect("recorded");
        }
        let spectrum = spectrum(&histogram);
        let last = spectrum.last().expect("points");
        assert!((last.quantile - 0.998).abs() < 1e-9, "{last:?}");
        assert!((498.0..=500.0).contains(&last.ms), "{last:?}");
        assert_eq!(spectrum.len(), 28);
        // 90 % is a whole power of ten away, and the histogram has three digits.
        assert!((spectrum[10].quantile - 0.9).abs() < 1e-12 && (spectrum[10].ms - 450.0).abs() < 0.5);
        assert!((spectrum[0].ms - 1.0).abs() < 0.01);
        for point in &spectrum {
            assert_eq!(point.ms, histogram.value_at_quantile(point.quantile) as f64 / 1e3);
        }
    }

    #[test]
    fn a_backlog_is_what_was_acked_and_not_settled() {
        let sent = |second: i64, acked| SecondRow { at_ms: second * 1_000, acked, ..SecondRow::default() };
        let settled = |second: i64, settled| FunctionSecond {
            at_ms: second * 1_000,
            settled,
            ..FunctionSecond::default()
        };
        // Two levels meet within second 2; what is settled in second 0 is acked in second 1.
        let sent = [sent(0, 10), sent(1, 10), sent(2, 5), sent(2, 5), sent(3, 10)];
        let function = [settled(0, 11), settled(3, 9), settled(5, 20), settled(7, 0)];
        let backlog: Vec<(i64, u64)> = backlog(&sent, &function).into_iter().collect();
        assert_eq!(backlog, [(0, 0), (1_000, 9), (2_000, 19), (3_000, 20), (5_000, 0)]);
    }
}
