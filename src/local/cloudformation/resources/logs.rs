//! `AWS::Logs::LogGroup`.

use serde_json::{Value, json};

use super::{Attributes, Call, ResourceType, Shape, attributes, gone};
use crate::local::cloudformation::shape::TAGS;
use crate::local::service::{ApiError, BoxFuture};

pub struct LogGroup;

impl ResourceType for LogGroup {
    fn kind(&self) -> &'static str {
        "AWS::Logs::LogGroup"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[
            ("LogGroupClass", Shape::Text),
            ("LogGroupName", Shape::Text),
            ("RetentionInDays", Shape::Whole),
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
            let name = call.name(properties, "LogGroupName", 512);
            let mut input = json!({"logGroupName": name, "tags": call.tags(properties)});
            if let Some(class) = properties.get("LogGroupClass") {
                input["logGroupClass"] = class.clone();
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

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        _: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move { gone(call.api("logs", "DeleteLogGroup", json!({"logGroupName": id})).await) })
    }
}
