//! `metrics.csv`: one row a minute, one column a series.

use std::collections::BTreeSet;

use crate::evidence::pulled::Pulled;
use crate::platform::clock::rfc3339;

/// The series aligned by period; empty where a series has no point.
pub fn to_csv(pulled: &Pulled) -> String {
    let times: BTreeSet<i64> =
        pulled.series.values().flat_map(|series| series.points.iter().map(|(at_ms, _)| *at_ms)).collect();
    let mut text = String::from("time");
    for (key, series) in &pulled.series {
        text.push_str(&format!(",{key} [{}]", series.unit));
    }
    text.push('\n');
    for at_ms in times {
        text.push_str(&rfc3339(at_ms * 1_000));
        for series in pulled.series.values() {
            text.push(',');
            if let Ok(index) = series.points.binary_search_by_key(&at_ms, |(at, _)| *at) {
                text.push_str(&series.points[index].1.to_string());
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::model::MetricSeries;

    #[test]
    fn series_with_different_minutes_are_aligned() {
        let mut pulled = Pulled::default();
        let series = |unit: &str, points: &[(i64, f64)]| MetricSeries {
            unit: unit.to_owned(), points: points.to_vec(), ..MetricSeries::default()
        };
        pulled.series.insert("a.X.Sum".to_owned(), series("Count", &[(0, 1.0), (60_000, 2.5)]));
        pulled.series.insert("b.Y.Maximum".to_owned(), series("Milliseconds", &[(60_000, 7.0)]));
        assert_eq!(
            to_csv(&pulled),
            "time,a.X.Sum [Count],b.Y.Maximum [Milliseconds]\n\
             1970-01-01T00:00:00.000000Z,1,\n\
             1970-01-01T00:01:00.000000Z,2.5,7\n"
        );
    }
}
