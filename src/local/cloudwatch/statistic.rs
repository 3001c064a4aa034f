//! Statistics by name: `Sum`, `p99.9`, `tm(10%:90%)`, `IQM`.

use super::series::Bucket;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    SampleCount,
    Average,
    Sum,
    Minimum,
    Maximum,
    Percentile(f64),
    /// Mean of the samples between two percentiles.
    TrimmedMean(f64, f64),
}

impl Statistic {
    /// Reads the name as GetMetricData and alarms take it. User guide, "Statistics definitions"; of the
    /// trimmed forms only `tmN`, `tm(N%:M%)` and `IQM` are known here.
    pub fn parse(name: &str) -> Option<Statistic> {
        Some(match name {
            "SampleCount" => Statistic::SampleCount,
            "Average" => Statistic::Average,
            "Sum" => Statistic::Sum,
            "Minimum" => Statistic::Minimum,
            "Maximum" => Statistic::Maximum,
            "IQM" | "iqm" => Statistic::TrimmedMean(25.0, 75.0),
            _ => return Statistic::parse_percent(name),
        })
    }

    fn parse_percent(name: &str) -> Option<Statistic> {
        let percent = |text: &str| -> Option<f64> {
            let known = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            text.parse().ok().filter(|percent| known && (0.0..=100.0).contains(percent))
        };
        let lower = name.to_ascii_lowercase();
        if let Some(range) = lower.strip_prefix("tm(").and_then(|rest| rest.strip_suffix(')')) {
            let (low, high) = range.split_once(':')?;
            let bound = |text: &str, open: f64| match text {
                "" => Some(open),
                text => percent(text.strip_suffix('%')?),
            };
            let (low, high) = (bound(low, 0.0)?, bound(high, 100.0)?);
            return (low < high).then_some(Statistic::TrimmedMean(low, high));
        }
        if let Some(high) = lower.strip_prefix("tm") {
            return Some(Statistic::TrimmedMean(0.0, percent(high)?));
        }
        Some(Statistic::Percentile(percent(lower.strip_prefix('p')?)?))
    }

    /// The statistic of a period; `None` when the period cannot tell it (a percentile of statistic sets).
    pub fn of(self, bucket: &Bucket) -> Option<f64> {
        if bucket.count <= 0.0 {
            return None;
        }
        match self {
            Statistic::SampleCount => Some(bucket.count),
            Statistic::Average => Some(bucket.sum / bucket.count),
            Statistic::Sum => Some(bucket.sum),
            Statistic::Minimum => Some(bucket.minimum),
            Statistic::Maximum => Some(bucket.maximum),
            Statistic::Percentile(percent) => {
                bucket.values.as_ref()?.percentile(percent, bucket.minimum, bucket.maximum)
            }
            Statistic::TrimmedMean(low, high) => {
                bucket.values.as_ref()?.trimmed_mean(low, high, bucket.minimum, bucket.maximum)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_others_refused() {
        assert_eq!(Statistic::parse("p99.9"), Some(Statistic::Percentile(99.9)));
        assert_eq!(Statistic::parse("p100"), Some(Statistic::Percentile(100.0)));
        assert_eq!(Statistic::parse("tm90"), Some(Statistic::TrimmedMean(0.0, 90.0)));
        assert_eq!(Statistic::parse("tm(10%:90%)"), Some(Statistic::TrimmedMean(10.0, 90.0)));
        assert_eq!(Statistic::parse("TM(:50%)"), Some(Statistic::TrimmedMean(0.0, 50.0)));
        for wrong in ["", "p", "p101", "pnan", "tm(90%:10%)", "sum", "median"] {
            assert_eq!(Statistic::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_statistic_of_a_minute() {
        let mut bucket = Bucket::new(true);
        for value in [1.0, 2.0, 3.0, 10.0] {
            bucket.add(value, 1.0);
        }
        let of = |name| Statistic::parse(name).unwrap().of(&bucket);
        assert_eq!(of("Sum"), Some(16.0));
        assert_eq!(of("Average"), Some(4.0));
        assert_eq!(of("SampleCount"), Some(4.0));
        assert_eq!((of("Minimum"), of("Maximum")), (Some(1.0), Some(10.0)));
        assert_eq!(of("p50"), Some(2.0));
        assert_eq!(of("IQM"), Some(2.5));
        assert_eq!(Statistic::Average.of(&Bucket::new(true)), None);
    }
}
