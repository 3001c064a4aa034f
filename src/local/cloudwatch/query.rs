//! GetMetricData and GetMetricStatistics: from queries to points.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::error::{invalid_combination, invalid_token, invalid_value, missing, validation};
use super::math::{self, Evaluator, Operand, TimeSeries};
use super::series::Bucket;
use super::statistic::Statistic;
use super::store::Store;
use crate::local::members::{boolean, integer, list, text, texts, timestamp_ms};
use crate::local::service::{ApiError, ApiResult};

/// Queries of one GetMetricData call. CloudWatch user guide, "CloudWatch service quotas".
const QUERIES_MAX: usize = 500;
/// Data points of one GetMetricData answer. Same source.
pub const POINTS_MAX: usize = 100_800;
/// Data points of one GetMetricStatistics answer. API reference.
const STATISTICS_POINTS_MAX: i64 = 1_440;
/// Points that a filled or constant series may have: a grid over the widest window at the finest period
/// would not fit in memory.
const GRID_MAX: i64 = 1_000_000;

/// One `MetricDataQuery`, checked.
#[derive(Clone, Debug)]
pub struct Query {
    pub id: String,
    label: Option<String>,
    pub return_data: bool,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Metric(MetricStat),
    Expression(math::Expression),
}

#[derive(Clone, Debug)]
struct MetricStat {
    namespace: String,
    metric: String,
    dimensions: Vec<(String, String)>,
    period_s: i64,
    statistic: Statistic,
    unit: Option<String>,
}

/// One query's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub id: String,
    pub label: String,
    pub series: TimeSeries,
}

/// Period lengths that are not multiples of a minute. API reference, MetricStat: Period.
const SHORT_PERIODS_S: [i64; 5] = [1, 5, 10, 20, 30];

/// A period in seconds.
///
/// # Errors
/// When it is neither a short period nor a multiple of 60, or longer than a day.
pub fn period_s(input: &Value) -> Result<i64, ApiError> {
    let period = integer(input, "Period").ok_or_else(|| missing("Period"))?;
    let known = SHORT_PERIODS_S.contains(&period) || (period > 0 && period % 60 == 0 && period <= 86_400);
    if known {
        return Ok(period);
    }
    Err(validation(format!("Period {period} must be 1, 5, 10, 20, 30 or a multiple of 60, at most 86400")))
}

/// `[{"Name": .., "Value": ..}]`.
pub fn dimensions(input: &Value) -> Result<Vec<(String, String)>, ApiError> {
    list(input, "Dimensions")
        .iter()
        .map(|dimension| match (text(dimension, "Name"), text(dimension, "Value")) {
            (Some(name), Some(value)) if !name.is_empty() && !value.is_empty() => {
                Ok((name.to_owned(), value.to_owned()))
            }
            _ => Err(validation("a dimension needs a Name and a Value")),
        })
        .collect()
}

fn borrowed(dimensions: &[(String, String)]) -> Vec<(&str, &str)> {
    dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Checks the queries of a request or of an alarm.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn parse_queries(items: &[Value]) -> Result<Vec<Query>, ApiError> {
    if items.is_empty() {
        return Err(missing("MetricDataQueries"));
    }
    if items.len() > QUERIES_MAX {
        return Err(validation(format!("MetricDataQueries has more than {QUERIES_MAX} members")));
    }
    let mut seen = BTreeSet::new();
    let queries: Vec<Query> = items.iter().map(parse_query).collect::<Result<_, _>>()?;
    for query in &queries {
        if !seen.insert(&query.id) {
            return Err(validation(format!("The id {} is used twice", query.id)));
        }
    }
    Ok(queries)
}

fn parse_query(item: &Value) -> Result<Query, ApiError> {
    let id = text(item, "Id").ok_or_else(|| missing("MetricDataQueries.member.Id"))?;
    let known = id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && id.len() <= 255;
    if !known {
        return Err(validation(format!(
            "The id {id:?} must begin with a lower case letter and hold letters, digits and underscores"
        )));
    }
    let what = match (item.get("MetricStat").filter(|stat| !stat.is_null()), text(item, "Expression")) {
        (Some(stat), None) => What::Metric(parse_metric_stat(stat)?),
        (None, Some(expression)) => What::Expression(
            math::parse(expression)
                .map_err(|error| validation(format!("Error in expression '{id}': {error}")))?,
        ),
        _ => return Err(validation(format!("The query {id} needs either MetricStat or Expression"))),
    };
    Ok(Query {
        id: id.to_owned(),
        label: text(item, "Label").map(str::to_owned),
        return_data: boolean(item, "ReturnData").unwrap_or(true),
        what,
    })
}

fn parse_metric_stat(stat: &Value) -> Result<MetricStat, ApiError> {
    let metric = stat.get("Metric").ok_or_else(|| missing("MetricStat.Metric"))?;
    let name = text(stat, "Stat").ok_or_else(|| missing("MetricStat.Stat"))?;
    Ok(MetricStat {
        namespace: text(metric, "Namespace").ok_or_else(|| missing("Metric.Namespace"))?.to_owned(),
        metric: text(metric, "MetricName").ok_or_else(|| missing("Metric.MetricName"))?.to_owned(),
        dimensions: dimensions(metric)?,
        period_s: period_s(stat)?,
        statistic: Statistic::parse(name)
            .ok_or_else(|| validation(format!("The statistic {name} is not known")))?,
        unit: text(stat, "Unit").map(str::to_owned),
    })
}

/// Answers the queries in `from_s..to_s`, those with `ReturnData` in their order.
///
/// # Errors
/// When an expression cannot be evaluated, or a result is a number instead of a time series.
pub fn answer(store: &Store, queries: &[Query], from_s: i64, to_s: i64) -> Result<Vec<Answer>, ApiError> {
    let evaluator = evaluator(store, queries, from_s, to_s)?;
    let mut answers = Vec::new();
    for query in queries.iter().filter(|query| query.return_data) {
        let wrong = |error: String| validation(format!("Error in expression '{}': {error}", query.id));
        let label = query.label.clone();
        match evaluator.query(&query.id).map_err(wrong)? {
            Operand::Series(series) => answers.push(Answer {
                id: query.id.clone(),
                label: label.unwrap_or_else(|| default_label(query)),
                series,
            }),
            Operand::Array(array) => answers.extend(array.into_iter().map(|series| Answer {
                id: query.id.clone(),
                label: label.clone().unwrap_or_else(|| default_label(query)),
                series,
            })),
            Operand::Scalar(_) => return Err(wrong("it gives a number, not a time series".to_owned())),
        }
    }
    Ok(answers)
}

fn evaluator(store: &Store, queries: &[Query], from_s: i64, to_s: i64) -> Result<Evaluator, ApiError> {
    let mut metrics = Vec::new();
    let mut expressions = BTreeMap::new();
    for query in queries {
        match &query.what {
            What::Metric(stat) => {
                if (to_s - from_s) / stat.period_s > GRID_MAX {
                    return Err(validation(format!("The query {} asks for too many periods", query.id)));
                }
                metrics.push((query.id.clone(), read(store, stat, from_s, to_s)));
            }
            What::Expression(expression) => {
                expressions.insert(query.id.clone(), expression.clone());
            }
        }
    }
    // What TIME_SERIES makes without a metric has a period of a minute.
    let period_s = metrics.first().map_or(60, |(_, series): &(String, TimeSeries)| series.period_s);
    if !expressions.is_empty() && (to_s - from_s) / period_s > GRID_MAX {
        return Err(validation("The expressions ask for too many periods"));
    }
    Ok(Evaluator::new(from_s, to_s, metrics, expressions))
}

fn read(store: &Store, stat: &MetricStat, from_s: i64, to_s: i64) -> TimeSeries {
    let mut series = TimeSeries { period_s: stat.period_s, points: BTreeMap::new() };
    let Some(found) = store.find(&stat.namespace, &stat.metric, &borrowed(&stat.dimensions)) else {
        return series;
    };
    if stat.unit.as_ref().is_some_and(|unit| *unit != found.unit) {
        return series;
    }
    let from_s = from_s - from_s.rem_euclid(stat.period_s);
    for (at, bucket) in found.read(from_s, to_s, stat.period_s, 0) {
        if let Some(value) = stat.statistic.of(&bucket) {
            series.points.insert(at, value);
        }
    }
    series
}

fn default_label(query: &Query) -> String {
    match &query.what {
        What::Metric(stat) => stat.metric.clone(),
        What::Expression(_) => query.id.clone(),
    }
}

/// Longest period of the queries: how often an alarm over them is evaluated.
pub fn longest_period_s(queries: &[Query]) -> i64 {
    let period = |query: &Query| match &query.what {
        What::Metric(stat) => Some(stat.period_s),
        What::Expression(_) => None,
    };
    queries.iter().filter_map(period).max().unwrap_or(60)
}

fn window_s(input: &Value) -> Result<(i64, i64), ApiError> {
    let from_ms = timestamp_ms(input, "StartTime").ok_or_else(|| missing("StartTime"))?;
    let to_ms = timestamp_ms(input, "EndTime").ok_or_else(|| missing("EndTime"))?;
    if from_ms >= to_ms {
        return Err(validation("The parameter StartTime must be less than the parameter EndTime."));
    }
    // The end is exclusive: a bucket that begins in its last partial second belongs to the window.
    Ok((from_ms.div_euclid(1_000), to_ms.div_euclid(1_000) + i64::from(to_ms.rem_euclid(1_000) > 0)))
}

/// The operation. An answer holds at most 100,800 points (or `MaxDatapoints`); the token counts those given.
pub fn get_metric_data(store: &Store, input: &Value) -> ApiResult {
    let queries = parse_queries(list(input, "MetricDataQueries"))?;
    let (from_s, to_s) = window_s(input)?;
    let descending = match text(input, "ScanBy").unwrap_or("TimestampDescending") {
        "TimestampDescending" => true,
        "TimestampAscending" => false,
        other => return Err(invalid_value(format!("ScanBy {other} is not known"))),
    };
    let most = match integer(input, "MaxDatapoints") {
        Some(most @ 1..) => POINTS_MAX.min(most as usize),
        Some(most) => return Err(invalid_value(format!("MaxDatapoints {most} is not positive"))),
        None => POINTS_MAX,
    };
    let skip = match text(input, "NextToken") {
        Some(token) => token.parse().map_err(|_| invalid_token())?,
        None => 0,
    };
    page(answer(store, &queries, from_s, to_s)?, descending, skip, most)
}

fn page(answers: Vec<Answer>, descending: bool, skip: usize, most: usize) -> ApiResult {
    let total: usize = answers.iter().map(|answer| answer.series.points.len()).sum();
    if skip > 0 && skip >= total {
        return Err(invalid_token());
    }
    let (mut to_skip, mut room) = (skip, most);
    let mut results = Vec::new();
    for answer in answers {
        let points = answer.series.points.len();
        let skipped = points.min(to_skip);
        to_skip -= skipped;
        let given = (points - skipped).min(room);
        room -= given;
        if skip > 0 && skipped == points {
            continue;
        }
        let mut ordered: Vec<(i64, f64)> = answer.series.points.into_iter().collect();
        if descending {
            ordered.reverse();
        }
        let part = &ordered[skipped..skipped + given];
        results.push(json!({
            "Id": answer.id,
            "Label": answer.label,
            "Timestamps": part.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
            "Values": part.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            "StatusCode": if skipped + given == points { "Complete" } else { "PartialData" },
        }));
    }
    let mut output = json!({ "MetricDataResults": results, "Messages": [] });
    if skip + most < total {
        output["NextToken"] = Value::from((skip + most).to_string());
    }
    Ok(output)
}

/// The operation. Unlike GetMetricData's, its periods are counted from StartTime.
pub fn get_metric_statistics(store: &Store, input: &Value) -> ApiResult {
    let namespace = text(input, "Namespace").ok_or_else(|| missing("Namespace"))?;
    let metric = text(input, "MetricName").ok_or_else(|| missing("MetricName"))?;
    let (from_s, to_s) = window_s(input)?;
    let period_s = period_s(input)?;
    let names: Vec<&str> =
        texts(input, "Statistics").into_iter().chain(texts(input, "ExtendedStatistics")).collect();
    if names.is_empty() {
        return Err(missing("Statistics"));
    }
    if (to_s - from_s) / period_s > STATISTICS_POINTS_MAX {
        return Err(invalid_combination(format!(
            "You have requested up to {} datapoints, which exceeds the limit of {STATISTICS_POINTS_MAX}.",
            (to_s - from_s) / period_s
        )));
    }
    let statistics: Vec<(&str, Statistic)> = names
        .into_iter()
        .map(|name| {
            let parsed = Statistic::parse(name);
            Ok((name, parsed.ok_or_else(|| invalid_value(format!("The statistic {name} is not known")))?))
        })
        .collect::<Result<_, ApiError>>()?;
    let dimensions = dimensions(input)?;
    let mut points = Vec::new();
    if let Some(series) = store.find(namespace, metric, &borrowed(&dimensions))
        && text(input, "Unit").is_none_or(|unit| unit == series.unit)
    {
        let from_s = from_s - from_s.rem_euclid(period_s.min(60));
        for (at, bucket) in series.read(from_s, to_s, period_s, from_s) {
            points.push(datapoint(at, &bucket, &series.unit, &statistics));
        }
    }
    Ok(json!({ "Label": metric, "Datapoints": points }))
}

fn datapoint(at_s: i64, bucket: &Bucket, unit: &str, statistics: &[(&str, Statistic)]) -> Value {
    let mut point = json!({ "Timestamp": at_s, "Unit": unit });
    for (name, statistic) in statistics {
        let Some(value) = statistic.of(bucket) else { continue };
        match statistic {
            Statistic::Percentile(_) | Statistic::TrimmedMean(..) => {
                point["ExtendedStatistics"][*name] = Value::from(value);
            }
            _ => point[*name] = Value::from(value),
        }
    }
    point
}
