//! `metrics.csv`: one row a period, one column a series.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::pulled::Pulled;

/// Header `time_utc,<key>,...`, then a row for every period in which any series has a point; a series
/// without one leaves its field empty. Times are RFC 3339, starts of the period.
pub fn to_csv(pulled: &Pulled) -> String {
    let columns: Vec<BTreeMap<i64, f64>> =
        pulled.series.values().map(|series| series.points.iter().copied().collect()).collect();
    let times: BTreeSet<i64> = columns.iter().flat_map(|column| column.keys().copied()).collect();
    let mut csv = String::from("time_utc");
    for key in pulled.series.keys() {
        csv.push(',');
        csv.push_str(key);
    }
    csv.push('\n');
    for at_ms in times {
        csv.push_str(&time(at_ms));
        for column in &columns {
            csv.push(',');
            if let Some(value) = column.get(&at_ms) {
                csv.push_str(&value.to_string());
            }
        }
        csv.push('\n');
    }
    csv
}

fn time(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::model::MetricSeries;

    #[test]
    fn rows_are_aligned_by_time_and_gaps_are_empty() {
        let series =
            |points: &[(i64, f64)]| MetricSeries { points: points.to_vec(), ..MetricSeries::default() };
        let mut pulled = Pulled::default();
        pulled.series.insert("kinesis.IncomingRecords.Sum".to_owned(), series(&[(0, 10.0), (60_000, 20.0)]));
        pulled.series.insert("lambda.Duration.p99".to_owned(), series(&[(60_000, 1.5), (180_000, 2.25)]));
        assert_eq!(
            to_csv(&pulled),
            "time_utc,kinesis.IncomingRecords.Sum,lambda.Duration.p99\n\
             1970-01-01T00:00:00Z,10,\n\
             1970-01-01T00:01:00Z,20,1.5\n\
             1970-01-01T00:03:00Z,,2.25\n"
        );
    }
}
