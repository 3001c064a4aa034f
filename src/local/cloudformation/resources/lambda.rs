//! `AWS::Lambda::Function` and `AWS::Lambda::EventSourceMapping`.

use serde_json::{Value, json};

use super::{Attributes, Call, Change, ResourceType, Shape, all_but, attributes, gone, until_gone};
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
            ("KmsKeyArn", Shape::Text),
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
            ("VpcConfig", Shape::Object(&[("SecurityGroupIds", TEXTS), ("SubnetIds", TEXTS)])),
        ]
    }

    fn required(&self) -> &'static [&'static str] {
        &["Code", "Role"]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["FunctionName"]
    }

    fn name_property(&self) -> Option<&'static str> {
        Some("FunctionName")
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let name = call.name(properties, "FunctionName", 64);
            let mut input = all_but(properties, &["KmsKeyArn", "ReservedConcurrentExecutions"]);
            // The one member that the API spells otherwise.
            if let Some(key) = properties.get("KmsKeyArn") {
                input.insert("KMSKeyArn".into(), key.clone());
            }
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

    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(update_function(call, change))
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

    fn create_only(&self) -> &'static [&'static str] {
        &["EventSourceArn", "StartingPosition", "StartingPositionTimestamp"]
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
            until_settled(call, &uuid, properties).await?;
            let arn = call.context.arn("lambda", &format!("event-source-mapping:{uuid}"));
            Ok(attributes([("EventSourceMappingArn", arn), ("Id", uuid)]))
        })
    }

    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let mut input = change.settings(&mapping_defaults());
            input.insert("FunctionName".into(), change.after["FunctionName"].clone());
            input.insert("UUID".into(), json!(change.id));
            call.api("lambda", "UpdateEventSourceMapping", Value::Object(input)).await?;
            until_settled(call, change.id, change.after).await?;
            let arn = call.context.arn("lambda", &format!("event-source-mapping:{}", change.id));
            change_tags(call, change, &arn).await
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

async fn until_settled(call: &Call<'_>, uuid: &str, properties: &Value) -> Result<(), ApiError> {
    let wanted = if properties["Enabled"] == false { "Disabled" } else { "Enabled" };
    call.until("lambda", "GetEventSourceMapping", json!({"UUID": uuid}), |answer| {
        Ok(answer?["State"] == wanted)
    })
    .await
}

/// What a setting goes back to when the template no longer has it. Lambda API reference,
/// CreateEventSourceMapping.
fn mapping_defaults() -> [(&'static str, Value); 11] {
    [
        ("BatchSize", json!(100)),
        ("BisectBatchOnFunctionError", json!(false)),
        ("DestinationConfig", json!({"OnFailure": {}})),
        ("Enabled", json!(true)),
        ("FilterCriteria", json!({})),
        ("FunctionResponseTypes", json!([])),
        ("MaximumBatchingWindowInSeconds", json!(0)),
        ("MaximumRecordAgeInSeconds", json!(-1)),
        ("MaximumRetryAttempts", json!(-1)),
        ("MetricsConfig", json!({"Metrics": []})),
        ("ParallelizationFactor", json!(1)),
    ]
}

/// Code and settings have operations of their own; each must be through before the next.
async fn update_function(call: &Call<'_>, change: &Change<'_>) -> Result<(), ApiError> {
    let name = change.id;
    if change.differs("Code") || change.differs("Architectures") {
        let mut input = all_but(&change.after["Code"], &[]);
        input.insert("FunctionName".into(), json!(name));
        let architectures = change.after.get("Architectures").cloned().unwrap_or(json!(["x86_64"]));
        input.insert("Architectures".into(), architectures);
        call.api("lambda", "UpdateFunctionCode", Value::Object(input)).await?;
        until_updated(call, name).await?;
    }
    let mut settings = change.settings(&[
        ("Description", json!("")),
        ("Environment", json!({"Variables": {}})),
        ("EphemeralStorage", json!({"Size": 512})),
        ("Handler", json!("")),
        ("LoggingConfig", json!({"LogFormat": "Text", "LogGroup": format!("/aws/lambda/{name}")})),
        ("MemorySize", json!(128)),
        ("Role", Value::Null),
        ("Runtime", Value::Null),
        ("Timeout", json!(3)),
        ("TracingConfig", json!({"Mode": "PassThrough"})),
        ("VpcConfig", json!({"SecurityGroupIds": [], "SubnetIds": []})),
    ]);
    if change.differs("KmsKeyArn") {
        settings.insert("KMSKeyArn".into(), change.after.get("KmsKeyArn").cloned().unwrap_or(json!("")));
    }
    if !settings.is_empty() {
        settings.insert("FunctionName".into(), json!(name));
        call.api("lambda", "UpdateFunctionConfiguration", Value::Object(settings)).await?;
        until_updated(call, name).await?;
    }
    if change.differs("ReservedConcurrentExecutions") {
        let mut input = json!({"FunctionName": name});
        let operation = match change.after.get("ReservedConcurrentExecutions") {
            Some(reserved) => {
                input["ReservedConcurrentExecutions"] = reserved.clone();
                "PutFunctionConcurrency"
            }
            None => "DeleteFunctionConcurrency",
        };
        call.api("lambda", operation, input).await?;
    }
    change_tags(call, change, &call.context.arn("lambda", &format!("function:{name}"))).await
}

async fn until_updated(call: &Call<'_>, name: &str) -> Result<(), ApiError> {
    call.until("lambda", "GetFunction", json!({"FunctionName": name}), |answer| {
        let configuration = &answer?["Configuration"];
        match configuration["LastUpdateStatus"].as_str() {
            Some("Failed") => Err(ApiError::invalid(
                "NotStabilized",
                configuration["LastUpdateStatusReason"].as_str().unwrap_or("the update failed"),
            )),
            status => Ok(status == Some("Successful")),
        }
    })
    .await
}

async fn change_tags(call: &Call<'_>, change: &Change<'_>, arn: &str) -> Result<(), ApiError> {
    if let Some(tags) = call.tag_change(change) {
        if !tags.removed.is_empty() {
            let input = json!({"Resource": arn, "TagKeys": tags.removed});
            call.api("lambda", "UntagResource", input).await?;
        }
        call.api("lambda", "TagResource", json!({"Resource": arn, "Tags": tags.set})).await?;
    }
    Ok(())
}
