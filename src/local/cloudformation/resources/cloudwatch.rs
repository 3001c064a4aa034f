//! `AWS::CloudWatch::Alarm`, `AWS::CloudWatch::CompositeAlarm` and `AWS::CloudWatch::Dashboard`.

use serde_json::{Value, json};

use super::{Attributes, Call, ResourceType, Shape, all_but, attributes, gone};
use crate::local::cloudformation::shape::{TAGS, TEXTS};
use crate::local::service::{ApiError, BoxFuture};

const DIMENSIONS: Shape = Shape::List(&Shape::Object(&[("Name", Shape::Text), ("Value", Shape::Text)]));

const METRIC: Shape =
    Shape::Object(&[("Dimensions", DIMENSIONS), ("MetricName", Shape::Text), ("Namespace", Shape::Text)]);

const METRIC_QUERY: Shape = Shape::Object(&[
    ("AccountId", Shape::Text),
    ("Expression", Shape::Text),
    ("Id", Shape::Text),
    ("Label", Shape::Text),
    (
        "MetricStat",
        Shape::Object(&[
            ("Metric", METRIC),
            ("Period", Shape::Whole),
            ("Stat", Shape::Text),
            ("Unit", Shape::Text),
        ]),
    ),
    ("Period", Shape::Whole),
    ("ReturnData", Shape::Flag),
]);

pub struct Alarm;

impl ResourceType for Alarm {
    fn kind(&self) -> &'static str {
        "AWS::CloudWatch::Alarm"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[
            ("ActionsEnabled", Shape::Flag),
            ("AlarmActions", TEXTS),
            ("AlarmDescription", Shape::Text),
            ("AlarmName", Shape::Text),
            ("ComparisonOperator", Shape::Text),
            ("DatapointsToAlarm", Shape::Whole),
            ("Dimensions", DIMENSIONS),
            ("EvaluateLowSampleCountPercentile", Shape::Text),
            ("EvaluationPeriods", Shape::Whole),
            ("ExtendedStatistic", Shape::Text),
            ("InsufficientDataActions", TEXTS),
            ("MetricName", Shape::Text),
            ("Metrics", Shape::List(&METRIC_QUERY)),
            ("Namespace", Shape::Text),
            ("OKActions", TEXTS),
            ("Period", Shape::Whole),
            ("Statistic", Shape::Text),
            ("Tags", TAGS),
            ("Threshold", Shape::Number),
            ("TreatMissingData", Shape::Text),
            ("Unit", Shape::Text),
        ]
    }

    fn required(&self) -> &'static [&'static str] {
        &["ComparisonOperator", "EvaluationPeriods"]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(put_alarm(call, properties, id, "PutMetricAlarm"))
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        _: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(delete_alarm(call, id))
    }
}

pub struct CompositeAlarm;

impl ResourceType for CompositeAlarm {
    fn kind(&self) -> &'static str {
        "AWS::CloudWatch::CompositeAlarm"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[
            ("ActionsEnabled", Shape::Flag),
            ("ActionsSuppressor", Shape::Text),
            ("ActionsSuppressorExtensionPeriod", Shape::Whole),
            ("ActionsSuppressorWaitPeriod", Shape::Whole),
            ("AlarmActions", TEXTS),
            ("AlarmDescription", Shape::Text),
            ("AlarmName", Shape::Text),
            ("AlarmRule", Shape::Text),
            ("InsufficientDataActions", TEXTS),
            ("OKActions", TEXTS),
            ("Tags", TAGS),
        ]
    }

    fn required(&self) -> &'static [&'static str] {
        &["AlarmRule"]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(put_alarm(call, properties, id, "PutCompositeAlarm"))
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        _: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(delete_alarm(call, id))
    }
}

async fn put_alarm(
    call: &Call<'_>,
    properties: &Value,
    id: &mut String,
    operation: &str,
) -> Result<Attributes, ApiError> {
    let name = call.name(properties, "AlarmName", 255);
    let mut input = all_but(properties, &[]);
    input.insert("AlarmName".into(), json!(name));
    input.insert("Tags".into(), call.tag_list(properties));
    call.api("monitoring", operation, Value::Object(input)).await?;
    *id = name.clone();
    Ok(attributes([("Arn", call.context.arn("cloudwatch", &format!("alarm:{name}")))]))
}

async fn delete_alarm(call: &Call<'_>, id: &str) -> Result<(), ApiError> {
    gone(call.api("monitoring", "DeleteAlarms", json!({"AlarmNames": [id]})).await)
}

pub struct Dashboard;

impl ResourceType for Dashboard {
    fn kind(&self) -> &'static str {
        "AWS::CloudWatch::Dashboard"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[("DashboardBody", Shape::Text), ("DashboardName", Shape::Text)]
    }

    fn required(&self) -> &'static [&'static str] {
        &["DashboardBody"]
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let name = call.name(properties, "DashboardName", 255);
            let input = json!({"DashboardName": name, "DashboardBody": properties["DashboardBody"]});
            call.api("monitoring", "PutDashboard", input).await?;
            *id = name;
            Ok(Attributes::new())
        })
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        _: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            gone(call.api("monitoring", "DeleteDashboards", json!({"DashboardNames": [id]})).await)
        })
    }
}
