//! PutMetricData and ListMetrics.

use serde_json::{Value, json};

use super::error::{invalid_combination, invalid_token, invalid_value, missing};
use super::query::dimensions;
use super::series::StatisticSet;
use super::store::{Name, Store};
use crate::local::members::{as_number, integer, list, number, text, timestamp_ms};
use crate::local::service::{ApiError, ApiResult};

/// Limits of PutMetricData: API reference.
const METRICS_MAX: usize = 1_000;
const VALUES_MAX: usize = 150;
const DIMENSIONS_MAX: usize = 30;
const PAST_MAX_MS: i64 = 14 * 86_400_000;
const FUTURE_MAX_MS: i64 = 2 * 3_600_000;
/// Metrics of one ListMetrics answer. API reference.
const LIST_PAGE: usize = 500;
/// ListMetrics leaves out metrics without data for two weeks. Same source.
const LISTED_FOR_S: i64 = 14 * 86_400;

/// One checked `MetricDatum`.
struct Datum<'a> {
    metric: &'a str,
    dimensions: Vec<(String, String)>,
    unit: &'a str,
    at_s: i64,
    high_resolution: bool,
    samples: Samples,
}

enum Samples {
    Counted(Vec<(f64, f64)>),
    Set(StatisticSet),
}

/// The operation: all of it or nothing.
pub fn put_metric_data(store: &mut Store, input: &Value, now_ms: i64) -> ApiResult {
    let namespace = text(input, "Namespace").filter(|n| !n.is_empty()).ok_or_else(|| missing("Namespace"))?;
    if namespace.starts_with("AWS/") {
        return Err(invalid_value("The value AWS/ for parameter Namespace is invalid."));
    }
    let of_entities =
        list(input, "EntityMetricData").iter().flat_map(|entity| list(entity, "MetricData").iter());
    let items: Vec<&Value> = list(input, "MetricData").iter().chain(of_entities).collect();
    if items.is_empty() {
        return Err(missing("MetricData"));
    }
    if items.len() > METRICS_MAX {
        return Err(invalid_value(format!(
            "The collection MetricData must not have a size greater than {METRICS_MAX}."
        )));
    }
    let data: Vec<Datum<'_>> =
        items.into_iter().map(|item| parse_datum(item, now_ms)).collect::<Result<_, _>>()?;
    for datum in data {
        insert(store, namespace, &datum, now_ms.div_euclid(1_000));
    }
    Ok(json!({}))
}

fn insert(store: &mut Store, namespace: &str, datum: &Datum<'_>, now_s: i64) {
    let dimensions: Vec<(&str, &str)> =
        datum.dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let name = Name {
        namespace,
        metric: datum.metric,
        dimensions: &dimensions,
        unit: datum.unit,
        high_resolution: datum.high_resolution,
    };
    let Some(bucket) = store.bucket(name, datum.at_s, now_s) else { return };
    match &datum.samples {
        Samples::Counted(samples) => samples.iter().for_each(|(value, count)| bucket.add(*value, *count)),
        Samples::Set(set) => bucket.add_statistics(*set),
    }
}

fn parse_datum(item: &Value, now_ms: i64) -> Result<Datum<'_>, ApiError> {
    let metric = text(item, "MetricName")
        .filter(|name| !name.is_empty())
        .ok_or_else(|| missing("MetricData.member.MetricName"))?;
    let dimensions = dimensions(item)?;
    if dimensions.len() > DIMENSIONS_MAX {
        return Err(invalid_value(format!("{metric} has more than {DIMENSIONS_MAX} dimensions")));
    }
    let at_ms = timestamp_ms(item, "Timestamp").unwrap_or(now_ms);
    if !(now_ms - PAST_MAX_MS..=now_ms + FUTURE_MAX_MS).contains(&at_ms) {
        return Err(invalid_value(format!(
            "The timestamp of {metric} is not within two weeks before and two hours after now."
        )));
    }
    let high_resolution = match integer(item, "StorageResolution") {
        None | Some(60) => false,
        Some(1) => true,
        Some(other) => return Err(invalid_value(format!("StorageResolution {other} is neither 1 nor 60"))),
    };
    Ok(Datum {
        metric,
        dimensions,
        unit: text(item, "Unit").unwrap_or("None"),
        at_s: at_ms.div_euclid(1_000),
        high_resolution,
        samples: parse_samples(item, metric)?,
    })
}

fn parse_samples(item: &Value, metric: &str) -> Result<Samples, ApiError> {
    let given = |name: &str| item.get(name).is_some_and(|member| !member.is_null());
    match (given("Value"), given("Values"), given("StatisticValues")) {
        (true, false, false) => {
            let value = number(item, "Value").ok_or_else(|| not_a_number(metric))?;
            Ok(Samples::Counted(vec![(value, 1.0)]))
        }
        (false, true, false) => parse_values(item, metric),
        (false, false, true) => {
            let set = &item["StatisticValues"];
            let member = |name: &str| number(set, name).ok_or_else(|| missing(name));
            Ok(Samples::Set(StatisticSet {
                count: member("SampleCount")?,
                sum: member("Sum")?,
                minimum: member("Minimum")?,
                maximum: member("Maximum")?,
            }))
        }
        (false, false, false) => Err(missing("MetricData.member.Value")),
        _ => Err(invalid_combination(format!(
            "{metric}: Value, Values and StatisticValues cannot be given together"
        ))),
    }
}

fn parse_values(item: &Value, metric: &str) -> Result<Samples, ApiError> {
    let read = |name: &str| -> Result<Vec<f64>, ApiError> {
        list(item, name).iter().map(|value| as_number(value).ok_or_else(|| not_a_number(metric))).collect()
    };
    let (values, counts) = (read("Values")?, read("Counts")?);
    if values.len() > VALUES_MAX {
        return Err(invalid_value(format!("{metric} has more than {VALUES_MAX} values")));
    }
    if !counts.is_empty() && counts.len() != values.len() {
        return Err(invalid_combination(format!("{metric}: Values and Counts differ in length")));
    }
    if counts.iter().any(|count| *count < 0.0) {
        return Err(invalid_value(format!("{metric} has a negative count")));
    }
    let counts = counts.into_iter().chain(std::iter::repeat(1.0));
    Ok(Samples::Counted(values.into_iter().zip(counts).filter(|(_, count)| *count > 0.0).collect()))
}

fn not_a_number(metric: &str) -> ApiError {
    invalid_value(format!("A value of {metric} is not a finite number."))
}

/// The operation.
pub fn list_metrics(store: &Store, input: &Value, now_ms: i64) -> ApiResult {
    let skip: usize = match text(input, "NextToken") {
        Some(token) => token.parse().map_err(|_| invalid_token())?,
        None => 0,
    };
    let (namespace, metric) = (text(input, "Namespace"), text(input, "MetricName"));
    let filters = list(input, "Dimensions");
    let newest_listed_s = now_ms.div_euclid(1_000) - LISTED_FOR_S;
    let all = store.list();
    let mut matching = all
        .into_iter()
        .filter(|series| series.newest_s().is_some_and(|newest| newest >= newest_listed_s))
        .map(|series| &series.id)
        .filter(|id| namespace.is_none_or(|wanted| wanted == id.namespace))
        .filter(|id| metric.is_none_or(|wanted| wanted == id.metric))
        .filter(|id| {
            filters.iter().all(|filter| {
                id.dimensions.iter().any(|(name, value)| {
                    text(filter, "Name") == Some(name)
                        && text(filter, "Value").is_none_or(|wanted| wanted == value)
                })
            })
        })
        .skip(skip);
    let page: Vec<Value> = matching
        .by_ref()
        .take(LIST_PAGE)
        .map(|id| {
            let dimensions: Vec<Value> =
                id.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
            json!({ "Namespace": id.namespace, "MetricName": id.metric, "Dimensions": dimensions })
        })
        .collect();
    let mut output = json!({ "Metrics": page });
    if matching.next().is_some() {
        output["NextToken"] = Value::from((skip + LIST_PAGE).to_string());
    }
    Ok(output)
}
