//! `AWS::Lambda::Function` and `AWS::Lambda::EventSourceMapping`.

use serde_json::{Value, json};

use super::{Attributes, Call, ResourceType, Shape, all_but, attributes, gone, until_gone};
use crate::local::cloudformation::shape::{TAGS, TEXTS};
use crate::local::service::{ApiError, BoxFuture};

pub struct Function;

impl ResourceType for Function {
    fn kind(&self) -> &'static str {
        "AWS::Lambda::Function"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[
            ("Architectures", TEXTS),
            (
                "Code",
                Shape::Object(&[
                    ("S3Bucket", Shape::Text),
                    ("S3Key", Shape::Text),
                    ("S3ObjectVersion", Shape::Text),
                ]),
            ),
            ("Description", Shape::Text),
            ("Environment", Shape::Object(&[("Variables", Shape::TextMap)])),
            ("EphemeralStorage", Shape::Object(&[("Size", Shape::Whole)])),
            ("FunctionName", Shape::Text),
            ("Handler", Shape::Text),
            (
                "LoggingConfig",
                Shape::Object(&[
                    ("ApplicationLogLevel", Shape::Text),
                    ("LogFormat", Shape::Text),
                    ("LogGroup", Shape::Text),
                    ("SystemLogLevel", Shape::Text),
                ]),
            ),
            ("MemorySize", Shape::Whole),
            ("ReservedConcurrentExecutions", Shape::Whole),
            ("Role", Shape::Text),
            ("Runtime", Shape::Text),
            ("Tags", TAGS),
            ("Timeout", Shape::Whole),
            ("TracingConfig", Shape::Object(&[("Mode", Shape::Text)])),
        ]
    }

    fn required(&self) -> &'static [&'static str] {
        &["Code", "Role"]
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
        Box::pin(async move {
            let name = call.name(properties, "FunctionName", 64);
            let mut input = all_but(properties, &["ReservedConcurrentExecutions"]);
            input.insert("FunctionName".into(), json!(name));
            input.insert("Tags".into(), json!(call.tags(properties)));
            let created = call.api("lambda", "CreateFunction", Value::Object(input)).await?;
            *id = name.clone();
            call.until("lambda", "GetFunction", json!({"FunctionName": name}), |answer| {
                let configuration = &answer?["Configuration"];
                match configuration["State"].as_str() {
                    Some("Failed") => Err(ApiError::invalid(
                        "NotStabilized",
                        configuration["StateReason"].as_str().unwrap_or("the function failed"),
                    )),
                    state => Ok(state == Some("Active")),
                }
            })
            .await?;
            if let Some(reserved) = properties.get("ReservedConcurrentExecutions") {
                let input = json!({"FunctionName": name, "ReservedConcurrentExecutions": reserved});
                call.api("lambda", "PutFunctionConcurrency", input).await?;
            }
            let arn = created["FunctionArn"].as_str().unwrap_or_default().to_owned();
            Ok(attributes([("Arn", arn)]))
        })
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        _: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            gone(call.api("lambda", "DeleteFunction", json!({"FunctionName": id})).await)?;
            call.until("lambda", "GetFunction", json!({"FunctionName": id}), until_gone).await
        })
    }
}

pub struct EventSourceMapping;

impl ResourceType for EventSourceMapping {
    fn kind(&self) -> &'static str {
        "AWS::Lambda::EventSourceMapping"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[
            ("BatchSize", Shape::Whole),
            ("BisectBatchOnFunctionError", Shape::Flag),
            (
                "DestinationConfig",
                Shape::Object(&[("OnFailure", Shape::Object(&[("Destination", Shape::Text)]))]),
            ),
            ("Enabled", Shape::Flag),
            ("EventSourceArn", Shape::Text),
            (
                "FilterCriteria",
                Shape::Object(&[("Filters", Shape::List(&Shape::Object(&[("Pattern", Shape::Text)])))]),
            ),
            ("FunctionName", Shape::Text),
            ("FunctionResponseTypes", TEXTS),
            ("MaximumBatchingWindowInSeconds", Shape::Whole),
            ("MaximumRecordAgeInSeconds", Shape::Whole),
            ("MaximumRetryAttempts", Shape::Whole),
            ("MetricsConfig", Shape::Object(&[("Metrics", TEXTS)])),
            ("ParallelizationFactor", Shape::Whole),
            ("StartingPosition", Shape::Text),
            ("StartingPositionTimestamp", Shape::Number),
            ("Tags", TAGS),
            ("TumblingWindowInSeconds", Shape::Whole),
        ]
    }

    fn required(&self) -> &'static [&'static str] {
        &["FunctionName"]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["EventSourceMappingArn", "Id"]
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let mut input = all_but(properties, &[]);
            input.insert("Tags".into(), json!(call.tags(properties)));
            let created = call.api("lambda", "CreateEventSourceMapping", Value::Object(input)).await?;
            let uuid = created["UUID"].as_str().unwrap_or_default().to_owned();
            *id = uuid.clone();
            let wanted = if properties["Enabled"] == false { "Disabled" } else { "Enabled" };
            call.until("lambda", "GetEventSourceMapping", json!({"UUID": uuid}), |answer| {
                Ok(answer?["State"] == wanted)
            })
            .await?;
            let arn = call.context.arn("lambda", &format!("event-source-mapping:{uuid}"));
            Ok(attributes([("EventSourceMappingArn", arn), ("Id", uuid)]))
        })
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        _: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            gone(call.api("lambda", "DeleteEventSourceMapping", json!({"UUID": id})).await)?;
            call.until("lambda", "GetEventSourceMapping", json!({"UUID": id}), until_gone).await
        })
    }
}
