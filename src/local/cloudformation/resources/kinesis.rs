//! `AWS::Kinesis::Stream` and `AWS::Kinesis::StreamConsumer`.

use serde_json::{Value, json};

use super::{Attributes, Call, Change, ResourceType, Shape, attributes, gone, only, until_gone};
use crate::local::cloudformation::shape::{TAGS, TEXTS};
use crate::local::service::{ApiError, BoxFuture};

/// Hours that a new stream keeps records; anything else is set afterwards. Kinesis API, CreateStream.
const RETENTION_HOURS_AT_FIRST: i64 = 24;

/// KiB of the largest record that a new stream takes. Same source, MaxRecordSizeInKiB.
const RECORD_KIB_AT_FIRST: i64 = 1_024;

pub struct Stream;

impl ResourceType for Stream {
    fn kind(&self) -> &'static str {
        "AWS::Kinesis::Stream"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[
            ("DesiredShardLevelMetrics", TEXTS),
            ("Name", Shape::Text),
            ("ShardCount", Shape::Whole),
            ("StreamModeDetails", Shape::Object(&[("StreamMode", Shape::Text)])),
            ("RetentionPeriodHours", Shape::Whole),
            ("MaxRecordSizeInKiB", Shape::Whole),
            ("StreamEncryption", Shape::Object(&[("EncryptionType", Shape::Text), ("KeyId", Shape::Text)])),
            ("Tags", TAGS),
        ]
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
            monitor(call, &name, "EnableEnhancedMonitoring", metrics(properties)).await?;
            if let Some(encryption) = properties.get("StreamEncryption") {
                encrypt(call, &name, "StartStreamEncryption", encryption).await?;
            }
            Ok(attributes([("Arn", arn)]))
        })
    }

    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(update(call, change))
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

/// Each change waits until the stream is active again: a stream takes one at a time.
async fn update(call: &Call<'_>, change: &Change<'_>) -> Result<(), ApiError> {
    let (name, after) = (change.id, change.after);
    if change.differs("StreamModeDetails") {
        let arn = until_active(call, name).await?;
        let default = json!({"StreamMode": "PROVISIONED"});
        let mode = after.get("StreamModeDetails").unwrap_or(&default);
        call.api("kinesis", "UpdateStreamMode", json!({"StreamARN": arn, "StreamModeDetails": mode})).await?;
        until_active(call, name).await?;
    }
    if after["StreamModeDetails"]["StreamMode"] != "ON_DEMAND" && change.differs("ShardCount") {
        reshard(call, name, after["ShardCount"].as_i64().unwrap_or(1)).await?;
    }
    if change.differs("RetentionPeriodHours") {
        retain(call, name, after["RetentionPeriodHours"].as_i64().unwrap_or(RETENTION_HOURS_AT_FIRST))
            .await?;
    }
    if change.differs("MaxRecordSizeInKiB") {
        let arn = until_active(call, name).await?;
        let kib = after.get("MaxRecordSizeInKiB").cloned().unwrap_or(json!(RECORD_KIB_AT_FIRST));
        call.api("kinesis", "UpdateMaxRecordSize", json!({"StreamARN": arn, "MaxRecordSizeInKiB": kib}))
            .await?;
        until_active(call, name).await?;
    }
    if change.differs("DesiredShardLevelMetrics") {
        let wanted = metrics(after);
        let unwanted: Vec<&Value> =
            metrics(change.before).into_iter().filter(|metric| !wanted.contains(metric)).collect();
        monitor(call, name, "DisableEnhancedMonitoring", unwanted).await?;
        monitor(call, name, "EnableEnhancedMonitoring", wanted).await?;
    }
    if change.differs("StreamEncryption") {
        match (after.get("StreamEncryption"), change.before.get("StreamEncryption")) {
            (Some(wanted), _) => encrypt(call, name, "StartStreamEncryption", wanted).await?,
            (None, Some(was)) => encrypt(call, name, "StopStreamEncryption", was).await?,
            (None, None) => {}
        }
    }
    if let Some(tags) = call.tag_change(change) {
        if !tags.removed.is_empty() {
            let input = json!({"StreamName": name, "TagKeys": tags.removed});
            call.api("kinesis", "RemoveTagsFromStream", input).await?;
        }
        call.api("kinesis", "AddTagsToStream", json!({"StreamName": name, "Tags": tags.set})).await?;
    }
    Ok(())
}

/// Nothing is asked for where the stream has that many open shards: a change that is undone may never have
/// come about. Done is when the stream says that it has them.
async fn reshard(call: &Call<'_>, name: &str, target: i64) -> Result<(), ApiError> {
    if summary(call, name).await?["OpenShardCount"] == target {
        return Ok(());
    }
    let input = json!({"StreamName": name, "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
    call.api("kinesis", "UpdateShardCount", input).await?;
    call.until("kinesis", "DescribeStreamSummary", json!({"StreamName": name}), |answer| {
        let summary = &answer?["StreamDescriptionSummary"];
        Ok(summary["StreamStatus"] == "ACTIVE" && summary["OpenShardCount"] == target)
    })
    .await
}

async fn retain(call: &Call<'_>, name: &str, hours: i64) -> Result<(), ApiError> {
    let current = summary(call, name).await?["RetentionPeriodHours"].as_i64().unwrap_or_default();
    let operation = match hours.cmp(&current) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Greater => "IncreaseStreamRetentionPeriod",
        std::cmp::Ordering::Less => "DecreaseStreamRetentionPeriod",
    };
    call.api("kinesis", operation, json!({"StreamName": name, "RetentionPeriodHours": hours})).await?;
    until_active(call, name).await.map(drop)
}

/// The shard-level metrics that the properties name.
fn metrics(properties: &Value) -> Vec<&Value> {
    properties["DesiredShardLevelMetrics"].as_array().into_iter().flatten().collect()
}

async fn monitor(call: &Call<'_>, name: &str, operation: &str, metrics: Vec<&Value>) -> Result<(), ApiError> {
    if metrics.is_empty() {
        return Ok(());
    }
    call.api("kinesis", operation, json!({"StreamName": name, "ShardLevelMetrics": metrics})).await?;
    until_active(call, name).await.map(drop)
}

async fn encrypt(call: &Call<'_>, name: &str, operation: &str, encryption: &Value) -> Result<(), ApiError> {
    let mut input = only(encryption, &["EncryptionType", "KeyId"]);
    input.insert("StreamName".into(), json!(name));
    call.api("kinesis", operation, Value::Object(input)).await?;
    until_active(call, name).await.map(drop)
}

async fn summary(call: &Call<'_>, name: &str) -> Result<Value, ApiError> {
    let mut answer = call.api("kinesis", "DescribeStreamSummary", json!({"StreamName": name})).await?;
    Ok(answer["StreamDescriptionSummary"].take())
}

pub struct StreamConsumer;

impl ResourceType for StreamConsumer {
    fn kind(&self) -> &'static str {
        "AWS::Kinesis::StreamConsumer"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[("ConsumerName", Shape::Text), ("StreamARN", Shape::Text), ("Tags", TAGS)]
    }

    fn required(&self) -> &'static [&'static str] {
        &["ConsumerName", "StreamARN"]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["ConsumerARN", "ConsumerCreationTimestamp", "ConsumerName", "ConsumerStatus", "StreamARN"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["ConsumerName", "StreamARN", "Tags"]
    }

    fn name_property(&self) -> Option<&'static str> {
        Some("ConsumerName")
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let mut input = only(properties, &["ConsumerName", "StreamARN"]);
            // The local Kinesis keeps no tags of consumers and refuses them: only those that the template
            // itself gives are worth a failure.
            if properties.get("Tags").is_some() {
                input.insert("Tags".into(), json!(call.tags(properties)));
            }
            let created = call.api("kinesis", "RegisterStreamConsumer", Value::Object(input)).await?;
            let arn = created["Consumer"]["ConsumerARN"].as_str().unwrap_or_default().to_owned();
            *id = arn.clone();
            let created_s = created["Consumer"]["ConsumerCreationTimestamp"].to_string();
            call.until("kinesis", "DescribeStreamConsumer", json!({"ConsumerARN": arn}), |answer| {
                Ok(answer?["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE")
            })
            .await?;
            let text = |member: &str| properties[member].as_str().unwrap_or_default().to_owned();
            Ok(attributes([
                ("ConsumerARN", arn),
                ("ConsumerCreationTimestamp", created_s),
                ("ConsumerName", text("ConsumerName")),
                ("ConsumerStatus", "ACTIVE".to_owned()),
                ("StreamARN", text("StreamARN")),
            ]))
        })
    }

    /// Everything about a consumer is fixed when it is made; nothing of it is ever changed.
    fn update<'a>(&'a self, _: &'a Call<'a>, _: &'a Change<'a>) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        _: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let input = json!({"ConsumerARN": id});
            gone(call.api("kinesis", "DeregisterStreamConsumer", input.clone()).await)?;
            call.until("kinesis", "DescribeStreamConsumer", input, until_gone).await
        })
    }
}
