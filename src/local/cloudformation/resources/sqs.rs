//! `AWS::SQS::Queue` and `AWS::SQS::QueuePolicy`.

use serde_json::{Map, Value, json};

use super::{Attributes, Call, Change, ResourceType, Shape, attributes, gone, is_not_found};
use crate::local::cloudformation::parameters::scalar_text;
use crate::local::cloudformation::shape::{TAGS, TEXTS};
use crate::local::service::{ApiError, BoxFuture};

pub struct Queue;

impl ResourceType for Queue {
    fn kind(&self) -> &'static str {
        "AWS::SQS::Queue"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[
            ("ContentBasedDeduplication", Shape::Flag),
            ("DelaySeconds", Shape::Whole),
            ("FifoQueue", Shape::Flag),
            ("KmsDataKeyReusePeriodSeconds", Shape::Whole),
            ("KmsMasterKeyId", Shape::Text),
            ("MaximumMessageSize", Shape::Whole),
            ("MessageRetentionPeriod", Shape::Whole),
            ("QueueName", Shape::Text),
            ("ReceiveMessageWaitTimeSeconds", Shape::Whole),
            ("RedriveAllowPolicy", Shape::Json),
            ("RedrivePolicy", Shape::Json),
            ("SqsManagedSseEnabled", Shape::Flag),
            ("Tags", TAGS),
            ("VisibilityTimeout", Shape::Whole),
        ]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn", "QueueName", "QueueUrl"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["FifoQueue", "QueueName"]
    }

    fn name_property(&self) -> Option<&'static str> {
        Some("QueueName")
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let name = call.name(properties, "QueueName", 80);
            // SQS takes the creation of a queue that is the same already for a repetition.
            match call.api("sqs", "GetQueueUrl", json!({"QueueName": name})).await {
                Ok(_) => return Err(call.exists(self, &name)),
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(error),
            }
            let input = json!({
                "QueueName": name,
                "Attributes": queue_attributes(properties),
                "tags": call.tags(properties),
            });
            let created = call.api("sqs", "CreateQueue", input).await?;
            let url = created["QueueUrl"].as_str().unwrap_or_default().to_owned();
            *id = url.clone();
            let input = json!({"QueueUrl": url, "AttributeNames": ["QueueArn"]});
            let answer = call.api("sqs", "GetQueueAttributes", input).await?;
            let arn = answer["Attributes"]["QueueArn"].as_str().unwrap_or_default().to_owned();
            Ok(attributes([("Arn", arn), ("QueueName", name), ("QueueUrl", url)]))
        })
    }

    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let settings: Map<String, Value> =
                change.settings(&defaults()).into_iter().map(as_text).collect();
            if !settings.is_empty() {
                let input = json!({"QueueUrl": change.id, "Attributes": settings});
                call.api("sqs", "SetQueueAttributes", input).await?;
            }
            if let Some(tags) = call.tag_change(change) {
                let input = json!({"QueueUrl": change.id, "TagKeys": tags.removed});
                call.api("sqs", "UntagQueue", input).await?;
                call.api("sqs", "TagQueue", json!({"QueueUrl": change.id, "Tags": tags.set})).await?;
            }
            Ok(())
        })
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        _: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move { gone(call.api("sqs", "DeleteQueue", json!({"QueueUrl": id})).await) })
    }
}

/// SQS takes every attribute as text; policies as JSON text.
fn queue_attributes(properties: &Value) -> Map<String, Value> {
    let members = properties.as_object().cloned().unwrap_or_default();
    members
        .into_iter()
        .filter(|(name, _)| name != "QueueName" && name != "Tags")
        // SQS knows no FifoQueue=false: the attribute may only be given for a FIFO queue.
        .filter(|(name, value)| name != "FifoQueue" || *value == Value::Bool(true))
        .map(as_text)
        .collect()
}

fn as_text((name, value): (String, Value)) -> (String, Value) {
    let text = scalar_text(&value).unwrap_or_else(|| value.to_string());
    (name, Value::String(text))
}

/// What an attribute goes back to when the template no longer has it: what a new queue has. SQS API
/// reference, SetQueueAttributes.
fn defaults() -> [(&'static str, Value); 11] {
    [
        ("ContentBasedDeduplication", json!(false)),
        ("DelaySeconds", json!(0)),
        ("KmsDataKeyReusePeriodSeconds", json!(300)),
        ("KmsMasterKeyId", json!("")),
        ("MaximumMessageSize", json!(1_048_576)),
        ("MessageRetentionPeriod", json!(345_600)),
        ("ReceiveMessageWaitTimeSeconds", json!(0)),
        ("RedriveAllowPolicy", json!("")),
        ("RedrivePolicy", json!("")),
        ("SqsManagedSseEnabled", json!(true)),
        ("VisibilityTimeout", json!(30)),
    ]
}

pub struct QueuePolicy;

impl ResourceType for QueuePolicy {
    fn kind(&self) -> &'static str {
        "AWS::SQS::QueuePolicy"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[("PolicyDocument", Shape::Json), ("Queues", TEXTS)]
    }

    fn required(&self) -> &'static [&'static str] {
        &["PolicyDocument", "Queues"]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Id"]
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            *id = call.generated_name(128);
            let policy = properties["PolicyDocument"].to_string();
            for queue in queues(properties) {
                set_policy(call, queue, &policy).await?;
            }
            Ok(attributes([("Id", id.clone())]))
        })
    }

    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let stays = |queue: &&Value| queues(change.after).contains(queue);
            for queue in queues(change.before).iter().filter(|queue| !stays(queue)) {
                gone(set_policy(call, queue, "").await)?;
            }
            let policy = change.after["PolicyDocument"].to_string();
            for queue in queues(change.after) {
                set_policy(call, queue, &policy).await?;
            }
            Ok(())
        })
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            for queue in queues(properties) {
                gone(set_policy(call, queue, "").await)?;
            }
            Ok(())
        })
    }
}

fn queues(properties: &Value) -> &[Value] {
    properties["Queues"].as_array().map(Vec::as_slice).unwrap_or_default()
}

async fn set_policy(call: &Call<'_>, queue: &Value, policy: &str) -> Result<Value, ApiError> {
    call.api("sqs", "SetQueueAttributes", json!({"QueueUrl": queue, "Attributes": {"Policy": policy}})).await
}
