//! `AWS::Kinesis::Stream`.

use serde_json::{Value, json};

use super::{Attributes, Call, ResourceType, Shape, attributes, gone, only, until_gone};
use crate::local::cloudformation::shape::TAGS;
use crate::local::service::{ApiError, BoxFuture};

/// Hours that a new stream keeps records; anything else is set afterwards. Kinesis API, CreateStream.
const RETENTION_HOURS_AT_FIRST: i64 = 24;

pub struct Stream;

impl ResourceType for Stream {
    fn kind(&self) -> &'static str {
        "AWS::Kinesis::Stream"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[
            ("Name", Shape::Text),
            ("ShardCount", Shape::Whole),
            ("StreamModeDetails", Shape::Object(&[("StreamMode", Shape::Text)])),
            ("RetentionPeriodHours", Shape::Whole),
            ("MaxRecordSizeInKiB", Shape::Whole),
            ("Tags", TAGS),
        ]
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
            let name = call.name(properties, "Name", 128);
            let mut input = only(properties, &["StreamModeDetails", "MaxRecordSizeInKiB"]);
            input.insert("StreamName".into(), json!(name));
            input.insert("Tags".into(), json!(call.tags(properties)));
            if properties["StreamModeDetails"]["StreamMode"] != "ON_DEMAND" {
                let shards = properties.get("ShardCount").cloned().unwrap_or(json!(1));
                input.insert("ShardCount".into(), shards);
            }
            call.api("kinesis", "CreateStream", Value::Object(input)).await?;
            *id = name.clone();
            let arn = until_active(call, &name).await?;
            if let Some(hours) = properties["RetentionPeriodHours"].as_i64()
                && hours != RETENTION_HOURS_AT_FIRST
            {
                let input = json!({"StreamName": name, "RetentionPeriodHours": hours});
                call.api("kinesis", "IncreaseStreamRetentionPeriod", input).await?;
                until_active(call, &name).await?;
            }
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
            let input = json!({"StreamName": id, "EnforceConsumerDeletion": true});
            gone(call.api("kinesis", "DeleteStream", input).await)?;
            call.until("kinesis", "DescribeStreamSummary", json!({"StreamName": id}), until_gone).await
        })
    }
}

async fn until_active(call: &Call<'_>, name: &str) -> Result<String, ApiError> {
    let mut arn = String::new();
    call.until("kinesis", "DescribeStreamSummary", json!({"StreamName": name}), |answer| {
        let summary = &answer?["StreamDescriptionSummary"];
        arn = summary["StreamARN"].as_str().unwrap_or_default().to_owned();
        Ok(summary["StreamStatus"] == "ACTIVE")
    })
    .await?;
    Ok(arn)
}
