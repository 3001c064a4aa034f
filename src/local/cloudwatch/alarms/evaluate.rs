//! The state of a metric alarm: M out of N, and what missing data means.

use serde_json::{Value, json};

use super::State;
use crate::local::cloudwatch::error::{invalid_combination, invalid_value, missing, validation};
use crate::local::cloudwatch::query::{self, Query};
use crate::local::cloudwatch::store::Store;
use crate::local::members::{integer, list, number, text};
use crate::local::service::ApiError;

/// Periods beyond EvaluationPeriods that are looked at for points in place of missing ones. The user guide's
/// tables ("Configuring how CloudWatch alarms treat missing data") show an evaluation range of 5 for 3.
const RANGE_EXTRA: i64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TreatMissing {
    AsMissing,
    Ignore,
    Breaching,
    NotBreaching,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What a metric alarm asks, checked.
pub struct Evaluation {
    /// Exactly one of them returns data.
    queries: Vec<Query>,
    period_s: i64,
    periods: i64,
    to_alarm: i64,
    threshold: f64,
    comparison: Comparison,
    missing: TreatMissing,
}

impl Evaluation {
    /// # Errors
    /// What is wrong with the PutMetricAlarm request.
    pub fn parse(input: &Value) -> Result<Evaluation, ApiError> {
        let queries = parse_queries(input)?;
        let periods = integer(input, "EvaluationPeriods").ok_or_else(|| missing("EvaluationPeriods"))?;
        let to_alarm = integer(input, "DatapointsToAlarm").unwrap_or(periods);
        if periods < 1 || !(1..=periods).contains(&to_alarm) {
            return Err(validation("DatapointsToAlarm must be between 1 and EvaluationPeriods"));
        }
        Ok(Evaluation {
            period_s: query::longest_period_s(&queries),
            queries,
            periods,
            to_alarm,
            threshold: number(input, "Threshold").ok_or_else(|| missing("Threshold"))?,
            comparison: parse_comparison(input)?,
            missing: parse_missing(input)?,
        })
    }

    /// The state at `now_ms` over the last complete periods, with the reason.
    pub fn state(&self, store: &Store, now_ms: i64, before: State) -> (State, String) {
        let now_s = now_ms.div_euclid(1_000);
        let to_s = now_s - now_s.rem_euclid(self.period_s);
        let range = self.periods + RANGE_EXTRA;
        let answers = match query::answer(store, &self.queries, to_s - range * self.period_s, to_s) {
            Ok(answers) => answers,
            Err(error) => return (State::InsufficientData, format!("Evaluation failed: {}", error.message)),
        };
        let points: Vec<f64> = answers
            .iter()
            .flat_map(|answer| answer.series.points.values().rev())
            .copied()
            .take(self.periods as usize)
            .collect();
        let breaching = points.iter().filter(|value| self.breaches(**value)).count() as i64;
        let state = self.decide(breaching, points.len() as i64, before);
        let reason = format!(
            "{breaching} of {} datapoints breached the threshold ({}), {} missing",
            points.len(),
            self.threshold,
            self.periods - points.len() as i64
        );
        (
            state,
            if points.is_empty() && state == before {
                "no datapoints were received".to_owned()
            } else {
                reason
            },
        )
    }

    fn breaches(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Greater => value > self.threshold,
            Comparison::GreaterOrEqual => value >= self.threshold,
            Comparison::Less => value < self.threshold,
            Comparison::LessOrEqual => value <= self.threshold,
        }
    }

    fn decide(&self, breaching: i64, present: i64, before: State) -> State {
        let alarm_if = |alarm: bool| if alarm { State::Alarm } else { State::Ok };
        let absent = self.periods - present;
        if breaching >= self.to_alarm {
            return State::Alarm;
        }
        match self.missing {
            _ if absent == 0 => State::Ok,
            TreatMissing::Breaching => alarm_if(breaching + absent >= self.to_alarm),
            TreatMissing::NotBreaching => State::Ok,
            TreatMissing::AsMissing if present == 0 => State::InsufficientData,
            TreatMissing::AsMissing => alarm_if(breaching == present),
            TreatMissing::Ignore if breaching == present => before,
            TreatMissing::Ignore => State::Ok,
        }
    }
}

fn parse_queries(input: &Value) -> Result<Vec<Query>, ApiError> {
    let items = list(input, "Metrics");
    if items.is_empty() {
        let metric = text(input, "MetricName").ok_or_else(|| missing("MetricName"))?;
        let namespace = text(input, "Namespace").ok_or_else(|| missing("Namespace"))?;
        let stat = text(input, "Statistic")
            .or_else(|| text(input, "ExtendedStatistic"))
            .ok_or_else(|| missing("Statistic"))?;
        return query::parse_queries(&[json!({
            "Id": "metric",
            "MetricStat": {
                "Metric": {
                    "Namespace": namespace,
                    "MetricName": metric,
                    "Dimensions": list(input, "Dimensions"),
                },
                "Period": input.get("Period"),
                "Stat": stat,
                "Unit": input.get("Unit"),
            },
        })]);
    }
    if text(input, "MetricName").is_some() {
        return Err(invalid_combination("MetricName and Metrics cannot be given together"));
    }
    let queries = query::parse_queries(items)?;
    if queries.iter().filter(|query| query.return_data).count() != 1 {
        return Err(validation("Exactly one of the Metrics must have ReturnData true"));
    }
    Ok(queries)
}

fn parse_comparison(input: &Value) -> Result<Comparison, ApiError> {
    match text(input, "ComparisonOperator").ok_or_else(|| missing("ComparisonOperator"))? {
        "GreaterThanThreshold" => Ok(Comparison::Greater),
        "GreaterThanOrEqualToThreshold" => Ok(Comparison::GreaterOrEqual),
        "LessThanThreshold" => Ok(Comparison::Less),
        "LessThanOrEqualToThreshold" => Ok(Comparison::LessOrEqual),
        other => {
            Err(invalid_value(format!("The local endpoint does not evaluate ComparisonOperator {other}")))
        }
    }
}

fn parse_missing(input: &Value) -> Result<TreatMissing, ApiError> {
    match text(input, "TreatMissingData").unwrap_or("missing") {
        "missing" => Ok(TreatMissing::AsMissing),
        "ignore" => Ok(TreatMissing::Ignore),
        "breaching" => Ok(TreatMissing::Breaching),
        "notBreaching" => Ok(TreatMissing::NotBreaching),
        other => Err(validation(format!("TreatMissingData {other} is not known"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(to_alarm: i64, missing: &str) -> Evaluation {
        Evaluation::parse(&json!({
            "MetricName": "M", "Namespace": "N", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 3,
            "DatapointsToAlarm": to_alarm, "Threshold": 0, "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": missing,
        }))
        .unwrap()
    }

    /// The user guide's tables: `-` is missing, `0` below the threshold, `X` above; oldest first.
    #[test]
    fn the_tables_of_the_user_guide() {
        use State::{Alarm, InsufficientData, Ok};
        let kept = InsufficientData;
        let three_of_three = [
            ("0-X-X", [Ok, Ok, Ok, Ok]),
            ("0----", [Ok, Ok, Ok, Ok]),
            ("-----", [InsufficientData, kept, Alarm, Ok]),
            ("0XX-X", [Alarm, Alarm, Alarm, Alarm]),
            ("--X--", [Alarm, kept, Alarm, Ok]),
        ];
        let two_of_three = [
            ("0-X-X", [Alarm, Alarm, Alarm, Alarm]),
            ("00X0X", [Alarm, Alarm, Alarm, Alarm]),
            ("0-X--", [Ok, Ok, Alarm, Ok]),
            ("----0", [Ok, Ok, Alarm, Ok]),
            ("---X-", [Alarm, kept, Alarm, Ok]),
        ];
        for (to_alarm, table) in [(3, three_of_three), (2, two_of_three)] {
            for (row, expected) in table {
                for (treatment, expected) in
                    ["missing", "ignore", "breaching", "notBreaching"].iter().zip(expected)
                {
                    let mut store = Store::default();
                    for (period, point) in row.chars().enumerate().filter(|(_, point)| *point != '-') {
                        let name = crate::local::cloudwatch::store::Name {
                            namespace: "N",
                            metric: "M",
                            dimensions: &[],
                            unit: "None",
                            high_resolution: false,
                        };
                        let value = if point == 'X' { 1.0 } else { 0.0 };
                        store.bucket(name, period as i64 * 60, 300).unwrap().add(value, 1.0);
                    }
                    let state = evaluation(to_alarm, treatment).state(&store, 300_000, kept).0;
                    assert_eq!(state, expected, "{to_alarm} of 3, {row}, {treatment}");
                }
            }
        }
    }
}
