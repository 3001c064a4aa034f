//! `AWS::SQS::Queue` and `AWS::SQS::QueuePolicy`.

use serde_json::{Map, Value, json};

use super::{Attributes, Call, ResourceType, Shape, attributes, gone};
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

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let name = call.name(properties, "QueueName", 80);
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
        .map(|(name, value)| {
            let text = scalar_text(&value).unwrap_or_else(|| value.to_string());
            (name, Value::String(text))
        })
        .collect()
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
            set_policy(call, properties, &properties["PolicyDocument"].to_string()).await?;
            Ok(attributes([("Id", id.clone())]))
        })
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move { gone(set_policy(call, properties, "").await.map(|()| Value::Null)) })
    }
}

async fn set_policy(call: &Call<'_>, properties: &Value, policy: &str) -> Result<(), ApiError> {
    for queue in properties["Queues"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let input = json!({"QueueUrl": queue, "Attributes": {"Policy": policy}});
        call.api("sqs", "SetQueueAttributes", input).await?;
    }
    Ok(())
}
