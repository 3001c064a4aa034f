//! `AWS::CloudWatch::Alarm`, `AWS::CloudWatch::CompositeAlarm` and `AWS::CloudWatch::Dashboard`.

use serde_json::{Value, json};

use super::{Attributes, Call, Change, ResourceType, Shape, all_but, attributes, gone, is_not_found};
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

    fn create_only(&self) -> &'static [&'static str] {
        &["AlarmName"]
    }

    fn name_property(&self) -> Option<&'static str> {
        Some("AlarmName")
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(put_alarm(self, call, properties, id, "PutMetricAlarm"))
    }

    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(update_alarm(call, change, "PutMetricAlarm"))
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

    fn create_only(&self) -> &'static [&'static str] {
        &["AlarmName"]
    }

    fn name_property(&self) -> Option<&'static str> {
        Some("AlarmName")
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(put_alarm(self, call, properties, id, "PutCompositeAlarm"))
    }

    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(update_alarm(call, change, "PutCompositeAlarm"))
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
    kind: &dyn ResourceType,
    call: &Call<'_>,
    properties: &Value,
    id: &mut String,
    operation: &str,
) -> Result<Attributes, ApiError> {
    let name = call.name(properties, "AlarmName", 255);
    // Putting an alarm of that name would change somebody else's.
    let types = json!(["MetricAlarm", "CompositeAlarm"]);
    let input = json!({"AlarmNames": [name], "AlarmTypes": types});
    let found = call.api("monitoring", "DescribeAlarms", input).await?;
    let some = |list: &str| found[list].as_array().is_some_and(|alarms| !alarms.is_empty());
    if some("MetricAlarms") || some("CompositeAlarms") {
        return Err(call.exists(kind, &name));
    }
    let mut input = all_but(properties, &[]);
    input.insert("AlarmName".into(), json!(name));
    input.insert("Tags".into(), call.tag_list(properties));
    call.api("monitoring", operation, Value::Object(input)).await?;
    *id = name.clone();
    Ok(attributes([("Arn", call.context.arn("cloudwatch", &format!("alarm:{name}")))]))
}

/// An alarm is put whole; its tags have operations of their own.
async fn update_alarm(call: &Call<'_>, change: &Change<'_>, operation: &str) -> Result<(), ApiError> {
    let mut input = all_but(change.after, &["Tags"]);
    input.insert("AlarmName".into(), json!(change.id));
    call.api("monitoring", operation, Value::Object(input)).await?;
    if let Some(tags) = call.tag_change(change) {
        let arn = call.context.arn("cloudwatch", &format!("alarm:{}", change.id));
        let input = json!({"ResourceARN": arn, "TagKeys": tags.removed});
        call.api("monitoring", "UntagResource", input).await?;
        call.api("monitoring", "TagResource", json!({"ResourceARN": arn, "Tags": tags.list()})).await?;
    }
    Ok(())
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

    fn create_only(&self) -> &'static [&'static str] {
        &["DashboardName"]
    }

    fn name_property(&self) -> Option<&'static str> {
        Some("DashboardName")
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let name = call.name(properties, "DashboardName", 255);
            match call.api("monitoring", "GetDashboard", json!({"DashboardName": name})).await {
                Ok(_) => return Err(call.exists(self, &name)),
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(error),
            }
            let input = json!({"DashboardName": name, "DashboardBody": properties["DashboardBody"]});
            call.api("monitoring", "PutDashboard", input).await?;
            *id = name;
            Ok(Attributes::new())
        })
    }

    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let body = &change.after["DashboardBody"];
            let input = json!({"DashboardName": change.id, "DashboardBody": body});
            call.api("monitoring", "PutDashboard", input).await.map(drop)
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
