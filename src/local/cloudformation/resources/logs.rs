//! `AWS::Logs::LogGroup`.

use serde_json::{Value, json};

use super::{Attributes, Call, Change, ResourceType, Shape, attributes, gone};
use crate::local::cloudformation::shape::TAGS;
use crate::local::service::{ApiError, BoxFuture};

pub struct LogGroup;

impl ResourceType for LogGroup {
    fn kind(&self) -> &'static str {
        "AWS::Logs::LogGroup"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[
            ("KmsKeyId", Shape::Text),
            ("LogGroupClass", Shape::Text),
            ("LogGroupName", Shape::Text),
            ("RetentionInDays", Shape::Whole),
            ("Tags", TAGS),
        ]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["LogGroupName"]
    }

    fn name_property(&self) -> Option<&'static str> {
        Some("LogGroupName")
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let name = call.name(properties, "LogGroupName", 512);
            let mut input = json!({"logGroupName": name, "tags": call.tags(properties)});
            if let Some(class) = properties.get("LogGroupClass") {
                input["logGroupClass"] = class.clone();
            }
            if let Some(key) = properties.get("KmsKeyId") {
                input["kmsKeyId"] = key.clone();
            }
            call.api("logs", "CreateLogGroup", input).await?;
            *id = name.clone();
            if let Some(days) = properties.get("RetentionInDays") {
                let input = json!({"logGroupName": name, "retentionInDays": days});
                call.api("logs", "PutRetentionPolicy", input).await?;
            }
            // The ARN ends in `:*`, as policies on the group's streams need it.
            let arn = call.context.arn("logs", &format!("log-group:{name}:*"));
            Ok(attributes([("Arn", arn)]))
        })
    }

    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            if change.differs("LogGroupClass") {
                let message = "The class of a log group cannot be changed after it is created.";
                return Err(ApiError::invalid("NotUpdatable", message));
            }
            if change.differs("RetentionInDays") {
                let mut input = json!({"logGroupName": change.id});
                let operation = match change.after.get("RetentionInDays") {
                    Some(days) => {
                        input["retentionInDays"] = days.clone();
                        "PutRetentionPolicy"
                    }
                    None => "DeleteRetentionPolicy",
                };
                call.api("logs", operation, input).await?;
            }
            if change.differs("KmsKeyId") {
                let mut input = json!({"logGroupName": change.id});
                let operation = match change.after.get("KmsKeyId") {
                    Some(key) => {
                        input["kmsKeyId"] = key.clone();
                        "AssociateKmsKey"
                    }
                    None => "DisassociateKmsKey",
                };
                call.api("logs", operation, input).await?;
            }
            if let Some(tags) = call.tag_change(change) {
                let arn = call.context.arn("logs", &format!("log-group:{}", change.id));
                call.api("logs", "UntagResource", json!({"resourceArn": arn, "tagKeys": tags.removed}))
                    .await?;
                call.api("logs", "TagResource", json!({"resourceArn": arn, "tags": tags.set})).await?;
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
        Box::pin(async move { gone(call.api("logs", "DeleteLogGroup", json!({"logGroupName": id})).await) })
    }
}
