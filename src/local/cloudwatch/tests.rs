//! CloudWatch behind the real SDK client, which speaks RPC v2 CBOR.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    AlarmType, ComparisonOperator, Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat, StandardUnit,
    StateValue, Statistic, Tag,
};
use serde_json::json;

use super::CloudWatch;
use crate::local::door::testing::{Services, config};
use crate::local::metrics::{MetricSink, Sample};
use crate::local::service::Service;
use crate::platform::clock::Clock;

/// 2023-11-14T22:13:00Z: a whole minute.
const START_S: i64 = 1_699_999_980;

fn endpoint() -> (Arc<CloudWatch>, Client) {
    let clock = Clock::starting_at(START_S * 1_000_000);
    let cloudwatch = CloudWatch::new(clock, "us-east-1".to_owned(), "000000000000".to_owned());
    let services = Services { cloudwatch: Some(cloudwatch.clone()), ..Services::default() };
    (cloudwatch, Client::new(&config(clock, services)))
}

fn count(cloudwatch: &CloudWatch, metric: &str, value: f64) {
    let dimensions = [("FunctionName", "f")];
    cloudwatch.record(Sample {
        namespace: "AWS/Lambda",
        metric,
        dimensions: &dimensions,
        unit: "Count",
        value,
    });
}

fn query(id: &str, metric: &str, stat: &str) -> MetricDataQuery {
    let metric = Metric::builder()
        .namespace("AWS/Lambda")
        .metric_name(metric)
        .dimensions(Dimension::builder().name("FunctionName").value("f").build())
        .build();
    let stat = MetricStat::builder().metric(metric).period(60).stat(stat).build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}

fn expression(id: &str, expression: &str) -> MetricDataQuery {
    MetricDataQuery::builder().id(id).expression(expression).label("rate").build()
}

#[tokio::test(start_paused = true)]
async fn metric_data_with_math_through_the_sdk() {
    let (cloudwatch, client) = endpoint();
    for minute in 0..3 {
        for _ in 0..10 {
            count(&cloudwatch, "Invocations", 1.0);
            count(&cloudwatch, "Duration", f64::from(minute) + 0.5);
        }
        if minute == 1 {
            count(&cloudwatch, "Errors", 2.0);
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let answer = client
        .get_metric_data()
        .start_time(DateTime::from_secs(START_S))
        .end_time(DateTime::from_millis((START_S + 180) * 1_000 - 1))
        .scan_by(aws_sdk_cloudwatch::types::ScanBy::TimestampAscending)
        .metric_data_queries(query("i", "Invocations", "Sum"))
        .metric_data_queries(query("p", "Duration", "p99"))
        .metric_data_queries(
            MetricDataQuery::builder()
                .return_data(false)
                .id("e")
                .metric_stat(query("e", "Errors", "Sum").metric_stat().unwrap().clone())
                .build(),
        )
        .metric_data_queries(expression("r", "IF(i > 0, 100 * FILL(e, 0) / i, 0)"))
        .metric_data_queries(expression("s", "i + e"))
        .send()
        .await
        .unwrap();
    let results = answer.metric_data_results();
    assert_eq!(results.iter().map(|one| one.id().unwrap()).collect::<Vec<_>>(), ["i", "p", "r", "s"]);
    assert_eq!(results[0].values(), [10.0, 10.0, 10.0]);
    assert_eq!(results[0].label(), Some("Invocations"));
    assert_eq!(results[0].timestamps()[1], DateTime::from_secs(START_S + 60));
    assert_eq!(results[1].values(), [0.5, 1.5, 2.5]);
    assert_eq!(results[2].values(), [0.0, 20.0, 0.0]);
    assert_eq!(results[2].label(), Some("rate"));
    assert_eq!(results[3].values(), [12.0], "a point that one side lacks is missing in the result");
    assert_eq!(results[0].status_code().unwrap().as_str(), "Complete");
}

#[tokio::test(start_paused = true)]
async fn pages_hold_at_most_what_was_asked_for_and_lose_nothing() {
    let (cloudwatch, client) = endpoint();
    for _ in 0..7 {
        count(&cloudwatch, "Invocations", 1.0);
        count(&cloudwatch, "Errors", 1.0);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let mut pages = client
        .get_metric_data()
        .start_time(DateTime::from_secs(START_S))
        .end_time(DateTime::from_secs(START_S + 600))
        .max_datapoints(4)
        .metric_data_queries(query("i", "Invocations", "Sum"))
        .metric_data_queries(query("e", "Errors", "Sum"))
        .into_paginator()
        .send();
    let mut seen: Vec<(String, i64)> = Vec::new();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        count += 1;
        let mut points = 0;
        for result in page.metric_data_results() {
            points += result.values().len();
            seen.extend(result.timestamps().iter().map(|at| (result.id().unwrap().to_owned(), at.secs())));
        }
        assert!(points <= 4);
    }
    assert_eq!(count, 4);
    let descending =
        |id: &str| (0..7).rev().map(|minute| (id.to_owned(), START_S + 60 * minute)).collect::<Vec<_>>();
    assert_eq!(seen, [descending("i"), descending("e")].concat());
}

#[tokio::test(start_paused = true)]
async fn custom_metrics_arrive_compressed_and_are_listed() {
    let (_, client) = endpoint();
    let dimension = Dimension::builder().name("Run").value("r").build();
    // Two hundred data of this size pass the 10 KiB from which the SDK compresses.
    let data = (0..200).map(|index| {
        MetricDatum::builder()
            .metric_name("E2eLatencyMilliseconds")
            .dimensions(dimension.clone())
            .unit(StandardUnit::Milliseconds)
            .values(f64::from(index))
            .values(1_000.0)
            .counts(2.0)
            .counts(1.0)
            .build()
    });
    client
        .put_metric_data()
        .namespace("Streamgauge")
        .set_metric_data(Some(data.collect()))
        .send()
        .await
        .unwrap();
    let answer = client
        .get_metric_statistics()
        .namespace("Streamgauge")
        .metric_name("E2eLatencyMilliseconds")
        .dimensions(dimension)
        .start_time(DateTime::from_secs(START_S - 30))
        .end_time(DateTime::from_secs(START_S + 60))
        .period(120)
        .statistics(Statistic::SampleCount)
        .statistics(Statistic::Maximum)
        .extended_statistics("p50")
        .send()
        .await
        .unwrap();
    let points = answer.datapoints();
    assert_eq!(points.len(), 1);
    assert_eq!(points[0].timestamp(), Some(&DateTime::from_secs(START_S - 60)), "rounded to the minute");
    assert_eq!((points[0].sample_count(), points[0].maximum()), (Some(600.0), Some(1_000.0)));
    assert_eq!(points[0].extended_statistics().unwrap()["p50"], 149.0);
    let listed = client.list_metrics().namespace("Streamgauge").send().await.unwrap();
    assert_eq!(listed.metrics().len(), 1);
    let refused = client
        .put_metric_data()
        .namespace("AWS/Lambda")
        .metric_data(MetricDatum::builder().metric_name("Errors").value(1.0).build());
    let error = refused.send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_parameter_value_exception(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_given_back_whole_and_changes_with_the_data() {
    let (cloudwatch, client) = endpoint();
    client
        .put_metric_alarm()
        .alarm_name("errors")
        .metrics(
            MetricDataQuery::builder()
                .id("e")
                .return_data(false)
                .metric_stat(query("e", "Errors", "Sum").metric_stat().unwrap().clone())
                .build(),
        )
        .metrics(
            MetricDataQuery::builder()
                .id("i")
                .return_data(false)
                .metric_stat(query("i", "Invocations", "Sum").metric_stat().unwrap().clone())
                .build(),
        )
        .metrics(expression("rate", "100 * e / i"))
        .evaluation_periods(2)
        .datapoints_to_alarm(1)
        .threshold(1.0)
        .comparison_operator(ComparisonOperator::GreaterThanThreshold)
        .treat_missing_data("notBreaching")
        .tags(Tag::builder().key("streamgauge").value("env").build())
        .send()
        .await
        .unwrap();
    client.put_composite_alarm().alarm_name("health").alarm_rule("ALARM(errors)").send().await.unwrap();
    let described = client.describe_alarms().send().await.unwrap();
    assert_eq!(described.composite_alarms().len(), 0, "only metric alarms unless asked for");
    let alarm = &described.metric_alarms()[0];
    assert_eq!(alarm.threshold(), Some(1.0));
    assert_eq!(alarm.state_value(), Some(&StateValue::InsufficientData));
    assert_eq!(alarm.metrics()[2].expression(), Some("100 * e / i"));
    assert_eq!(alarm.alarm_configuration_updated_timestamp(), Some(&DateTime::from_secs(START_S)));

    count(&cloudwatch, "Invocations", 50.0);
    count(&cloudwatch, "Errors", 1.0);
    tokio::time::sleep(Duration::from_secs(61)).await;
    let described = client
        .describe_alarms()
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .send()
        .await
        .unwrap();
    assert_eq!(described.metric_alarms()[0].state_value(), Some(&StateValue::Alarm));
    assert_eq!(described.composite_alarms()[0].state_value(), Some(&StateValue::Alarm));
    let arn = described.metric_alarms()[0].alarm_arn().unwrap();
    let tags = client.list_tags_for_resource().resource_arn(arn).send().await.unwrap();
    assert_eq!(tags.tags()[0].value(), Some("env"));

    tokio::time::sleep(Duration::from_secs(300)).await;
    let described = client.describe_alarms().alarm_names("errors").send().await.unwrap();
    assert_eq!(described.metric_alarms()[0].state_value(), Some(&StateValue::Ok));
    client.delete_alarms().alarm_names("errors").alarm_names("health").send().await.unwrap();
    let error = client.delete_alarms().alarm_names("errors").send().await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn dashboards_are_checked_stored_and_their_errors_are_typed() {
    let (_, client) = endpoint();
    let body = r#"{"widgets": [{"type": "metric", "properties": {"region": "us-east-1", "metrics": []}}]}"#;
    client.put_dashboard().dashboard_name("pipeline").dashboard_body(body).send().await.unwrap();
    let stored = client.get_dashboard().dashboard_name("pipeline").send().await.unwrap();
    assert_eq!(stored.dashboard_body(), Some(body));
    let listed = client.list_dashboards().send().await.unwrap();
    assert_eq!(listed.dashboard_entries()[0].size(), Some(body.len() as i64));
    assert_eq!(listed.dashboard_entries()[0].last_modified(), Some(&DateTime::from_secs(START_S)));
    let wrong = client.put_dashboard().dashboard_name("pipeline").dashboard_body(r#"{"widgets": [{}]}"#);
    let error = wrong.send().await.unwrap_err().into_service_error();
    assert!(error.is_dashboard_invalid_input_error(), "{error:?}");
    client.delete_dashboards().dashboard_names("pipeline").send().await.unwrap();
    let error =
        client.get_dashboard().dashboard_name("pipeline").send().await.unwrap_err().into_service_error();
    assert!(error.is_dashboard_not_found_error(), "{error:?}");
    assert_eq!(error.meta().code(), Some("ResourceNotFound"));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_query_is_said() {
    let (cloudwatch, _) = endpoint();
    let ask = |queries: serde_json::Value| {
        let input = json!({ "StartTime": START_S, "EndTime": START_S + 60, "MetricDataQueries": queries });
        let cloudwatch = cloudwatch.clone();
        async move { cloudwatch.call("GetMetricData", input).await.unwrap_err().message }
    };
    assert!(ask(json!([{ "Id": "Upper", "Expression": "1" }])).await.contains("lower case"));
    assert!(ask(json!([{ "Id": "a", "Expression": "1 +" }])).await.contains("'a'"));
    assert!(ask(json!([{ "Id": "a", "Expression": "a + 1" }])).await.contains("refers to itself"));
    assert!(ask(json!([{ "Id": "a", "Expression": "1 + 1" }])).await.contains("not a time series"));
    assert!(ask(json!([{ "Id": "a", "Expression": "gone + 1" }])).await.contains("no query has the id gone"));
    assert!(ask(json!([{ "Id": "a", "Expression": "NOSUCH(1)" }])).await.contains("no function NOSUCH"));
    let error = cloudwatch.call("NoSuch", json!({})).await.unwrap_err();
    assert_eq!(error.code, "UnknownOperationException");
}

/// Alarms are evaluated when somebody looks; the minutes between must come out as if somebody had looked.
#[tokio::test(start_paused = true)]
async fn the_history_of_an_alarm_is_that_of_every_minute_though_nobody_looked() {
    let (cloudwatch, client) = endpoint();
    let alarm = client.put_metric_alarm().alarm_name("errors").namespace("AWS/Lambda").metric_name("Errors");
    let alarm = alarm.dimensions(Dimension::builder().name("FunctionName").value("f").build());
    let alarm = alarm.statistic(Statistic::Sum).period(60).evaluation_periods(1).threshold(0.0);
    let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold);
    alarm.treat_missing_data("notBreaching").send().await.unwrap();
    client.put_composite_alarm().alarm_name("health").alarm_rule("ALARM(errors)").send().await.unwrap();
    tokio::time::advance(Duration::from_secs(125)).await;
    count(&cloudwatch, "Errors", 1.0);
    tokio::time::advance(Duration::from_secs(600)).await;
    let history = client
        .describe_alarm_history()
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .history_item_type(aws_sdk_cloudwatch::types::HistoryItemType::StateUpdate)
        .scan_by(aws_sdk_cloudwatch::types::ScanBy::TimestampAscending)
        .send()
        .await
        .unwrap();
    let told: Vec<String> = history
        .alarm_history_items()
        .iter()
        .map(|item| {
            let after_s = item.timestamp().unwrap().secs() - START_S;
            format!("{after_s} {}: {}", item.alarm_name().unwrap(), item.history_summary().unwrap())
        })
        .collect();
    // The one point is looked at until it leaves the evaluation range, which reaches two periods further back than
    // the alarm's one: user guide, "Configuring how CloudWatch alarms treat missing data".
    assert_eq!(
        told,
        [
            "60 errors: Alarm updated from INSUFFICIENT_DATA to OK",
            "60 health: Alarm updated from INSUFFICIENT_DATA to OK",
            "180 errors: Alarm updated from OK to ALARM",
            "180 health: Alarm updated from OK to ALARM",
            "360 errors: Alarm updated from ALARM to OK",
            "360 health: Alarm updated from ALARM to OK",
        ]
    );
    let for_metric = client.describe_alarms_for_metric().namespace("AWS/Lambda").metric_name("Errors");
    let without_dimensions = for_metric.clone().send().await.unwrap();
    assert_eq!(without_dimensions.metric_alarms().len(), 0);
    let dimension = Dimension::builder().name("FunctionName").value("f").build();
    let exact = for_metric.dimensions(dimension).send().await.unwrap();
    assert_eq!(exact.metric_alarms()[0].alarm_name(), Some("errors"));
}
