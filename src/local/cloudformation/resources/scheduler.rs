//! `AWS::Scheduler::Schedule`. The registry's schema has no `ActionAfterCompletion` (the API has), and no tags.

use serde_json::{Value, json};

use super::{Attributes, Call, Change, ResourceType, Shape, all_but, attributes, gone};
use crate::local::service::{ApiError, BoxFuture};

pub struct Schedule;

impl ResourceType for Schedule {
    fn kind(&self) -> &'static str {
        "AWS::Scheduler::Schedule"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        const RETRIES: Shape = Shape::Object(&[
            ("MaximumEventAgeInSeconds", Shape::Whole),
            ("MaximumRetryAttempts", Shape::Whole),
        ]);
        const WINDOW: Shape =
            Shape::Object(&[("MaximumWindowInMinutes", Shape::Whole), ("Mode", Shape::Text)]);
        &[
            ("Description", Shape::Text),
            ("EndDate", Shape::Text),
            ("FlexibleTimeWindow", WINDOW),
            ("GroupName", Shape::Text),
            ("KmsKeyArn", Shape::Text),
            ("Name", Shape::Text),
            ("ScheduleExpression", Shape::Text),
            ("ScheduleExpressionTimezone", Shape::Text),
            ("StartDate", Shape::Text),
            ("State", Shape::Text),
            (
                "Target",
                Shape::Object(&[
                    ("Arn", Shape::Text),
                    ("Input", Shape::Text),
                    ("RetryPolicy", RETRIES),
                    ("RoleArn", Shape::Text),
                ]),
            ),
        ]
    }

    fn required(&self) -> &'static [&'static str] {
        &["FlexibleTimeWindow", "ScheduleExpression", "Target"]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["Name"]
    }

    fn name_property(&self) -> Option<&'static str> {
        Some("Name")
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let name = call.name(properties, "Name", 64);
            let mut input = all_but(properties, &[]);
            input.insert("Name".into(), json!(name));
            let created = call.api("scheduler", "CreateSchedule", Value::Object(input)).await?;
            *id = name;
            Ok(attributes([("Arn", created["ScheduleArn"].as_str().unwrap_or_default().to_owned())]))
        })
    }

    /// `UpdateSchedule` replaces the whole, so all properties are sent.
    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let mut input = all_but(change.after, &[]);
            input.insert("Name".into(), json!(change.id));
            call.api("scheduler", "UpdateSchedule", Value::Object(input)).await.map(drop)
        })
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let mut input = json!({"Name": id});
            if let Some(group) = properties.get("GroupName") {
                input["GroupName"] = group.clone();
            }
            gone(call.api("scheduler", "DeleteSchedule", input).await)
        })
    }
}
