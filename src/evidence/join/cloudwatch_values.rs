//! CloudWatch's minutes given to levels and tests. A minute that a level shares with its neighbour says
//! nothing about either.

use std::collections::BTreeMap;

use crate::evidence::model::MetricSeries;
use crate::evidence::pulled::Pulled;
use crate::platform::clock::WallUs;

/// For each series the value over the whole periods inside `from_us..to_us`, or why there is none.
pub(super) fn of_level(
    pulled: Option<&Pulled>,
    from_us: WallUs,
    to_us: WallUs,
) -> BTreeMap<String, Result<f64, String>> {
    let Some(pulled) = pulled else { return BTreeMap::new() };
    let value = |series: &MetricSeries| {
        let period_ms = i64::from(series.period_s.max(1)) * 1_000;
        let first_ms = (from_us.div_euclid(1_000) + i64::from(from_us.rem_euclid(1_000) > 0))
            .next_multiple_of_period(period_ms);
        if first_ms + period_ms > to_us.div_euclid(1_000) {
            return Err("the level holds no whole minute".to_owned());
        }
        let inside = series
            .points
            .iter()
            .filter(|(at_ms, _)| *at_ms >= first_ms && at_ms + period_ms <= to_us.div_euclid(1_000))
            .map(|(_, value)| *value);
        combine(&series.stat, inside).ok_or_else(|| "CloudWatch gave no data for these minutes".to_owned())
    };
    pulled.series.iter().map(|(key, series)| (key.clone(), value(series))).collect()
}

/// For each series with data the value over all periods that touch `from_us..=to_us`.
pub(super) fn of_test(pulled: Option<&Pulled>, from_us: WallUs, to_us: WallUs) -> BTreeMap<String, f64> {
    let Some(pulled) = pulled else { return BTreeMap::new() };
    let value = |series: &MetricSeries| {
        let period_ms = i64::from(series.period_s.max(1)) * 1_000;
        let touching = series
            .points
            .iter()
            .filter(|(at_ms, _)| {
                at_ms + period_ms > from_us.div_euclid(1_000) && *at_ms <= to_us.div_euclid(1_000)
            })
            .map(|(_, value)| *value);
        combine(&series.stat, touching)
    };
    pulled.series.iter().filter_map(|(key, series)| Some((key.clone(), value(series)?))).collect()
}

/// Values of several periods as one. Percentiles of periods have no percentile of the whole: the worst
/// minute stands for it.
fn combine(stat: &str, values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    if values.is_empty() {
        return None;
    }
    Some(match stat {
        "Sum" | "SampleCount" => values.iter().sum(),
        "Average" => values.iter().sum::<f64>() / values.len() as f64,
        "Minimum" => values.iter().copied().fold(f64::INFINITY, f64::min),
        _ => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

trait NextPeriod {
    fn next_multiple_of_period(self, period: i64) -> i64;
}

impl NextPeriod for i64 {
    /// The first multiple of `period` that is not before this.
    fn next_multiple_of_period(self, period: i64) -> i64 {
        (self + period - 1).div_euclid(period) * period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulled(stat: &str) -> Pulled {
        let series = MetricSeries {
            stat: stat.into(),
            period_s: 60,
            points: (0..10).map(|minute| (minute * 60_000, (minute + 1) as f64)).collect(),
            ..MetricSeries::default()
        };
        Pulled { series: [("k".to_owned(), series)].into(), ..Pulled::default() }
    }

    fn minute_us(minutes: f64) -> i64 {
        (minutes * 60e6) as i64
    }

    #[test]
    fn a_level_gets_whole_minutes_only() {
        let level =
            |stat, from, to| of_level(Some(&pulled(stat)), minute_us(from), minute_us(to))["k"].clone();
        assert_eq!(level("Sum", 1.0, 3.0), Ok(2.0 + 3.0));
        assert_eq!(level("Sum", 0.5, 3.9), Ok(2.0 + 3.0));
        assert_eq!(level("Average", 0.5, 3.9), Ok(2.5));
        assert_eq!(level("Maximum", 0.5, 3.9), Ok(3.0));
        assert_eq!(level("p99", 0.5, 3.9), Ok(3.0));
        assert!(level("Sum", 0.5, 2.0).is_ok());
        assert!(level("Sum", 0.5, 1.9).unwrap_err().contains("no whole minute"));
        assert!(level("Sum", 20.0, 22.0).unwrap_err().contains("no data"));
        assert!(of_level(None, 0, 1).is_empty());
    }

    #[test]
    fn a_test_gets_every_minute_that_it_touches() {
        let test = |from, to| of_test(Some(&pulled("Sum")), minute_us(from), minute_us(to)).get("k").copied();
        assert_eq!(test(0.5, 1.5), Some(1.0 + 2.0));
        assert_eq!(test(1.0, 1.5), Some(2.0));
        assert_eq!(test(30.0, 31.0), None);
    }
}
