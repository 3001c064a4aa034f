//! `AWS::Lambda::Version` and `AWS::Lambda::Alias`. The endpoint's own Lambda has neither and says so when it is
//! asked to publish one, so that a stack with them fails with that reason.

use serde_json::{Value, json};

use super::{Attributes, Call, Change, ResourceType, Shape, attributes, gone, only};
use crate::local::service::{ApiError, BoxFuture};

const PROVISIONED: Shape = Shape::Object(&[("ProvisionedConcurrentExecutions", Shape::Whole)]);

pub struct Version;

impl ResourceType for Version {
    fn kind(&self) -> &'static str {
        "AWS::Lambda::Version"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[("CodeSha256", Shape::Text), ("Description", Shape::Text), ("FunctionName", Shape::Text)]
    }

    fn required(&self) -> &'static [&'static str] {
        &["FunctionName"]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["FunctionArn", "Version"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["CodeSha256", "Description", "FunctionName"]
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let input = only(properties, &["CodeSha256", "Description", "FunctionName"]);
            let published = call.api("lambda", "PublishVersion", Value::Object(input)).await?;
            let text = |member: &str| published[member].as_str().unwrap_or_default().to_owned();
            *id = text("FunctionArn");
            Ok(attributes([("FunctionArn", id.clone()), ("Version", text("Version"))]))
        })
    }

    /// A version is never changed.
    fn update<'a>(&'a self, _: &'a Call<'a>, _: &'a Change<'a>) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let version = id.rsplit(':').next().unwrap_or_default();
            let input = json!({"FunctionName": properties["FunctionName"], "Qualifier": version});
            gone(call.api("lambda", "DeleteFunction", input).await)
        })
    }
}

pub struct Alias;

impl ResourceType for Alias {
    fn kind(&self) -> &'static str {
        "AWS::Lambda::Alias"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[
            ("Description", Shape::Text),
            ("FunctionName", Shape::Text),
            ("FunctionVersion", Shape::Text),
            ("Name", Shape::Text),
            ("ProvisionedConcurrencyConfig", PROVISIONED),
        ]
    }

    fn required(&self) -> &'static [&'static str] {
        &["FunctionName", "FunctionVersion", "Name"]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["AliasArn"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["FunctionName", "Name"]
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let input = only(properties, &["Description", "FunctionName", "FunctionVersion", "Name"]);
            let made = call.api("lambda", "CreateAlias", Value::Object(input)).await?;
            *id = made["AliasArn"].as_str().unwrap_or_default().to_owned();
            provision(call, properties).await?;
            Ok(attributes([("AliasArn", id.clone())]))
        })
    }

    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let input = only(change.after, &["Description", "FunctionName", "FunctionVersion", "Name"]);
            call.api("lambda", "UpdateAlias", Value::Object(input)).await?;
            provision(call, change.after).await
        })
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let input = only(properties, &["FunctionName", "Name"]);
            gone(call.api("lambda", "DeleteAlias", Value::Object(input)).await)
        })
    }
}

/// Sets the alias's provisioned concurrency and waits until it is there; takes it away where none is asked for.
async fn provision(call: &Call<'_>, properties: &Value) -> Result<(), ApiError> {
    let mut input = json!({"FunctionName": properties["FunctionName"], "Qualifier": properties["Name"]});
    let Some(wanted) = properties.get("ProvisionedConcurrencyConfig") else {
        return gone(call.api("lambda", "DeleteProvisionedConcurrencyConfig", input).await);
    };
    let asked = input.clone();
    input["ProvisionedConcurrentExecutions"] = wanted["ProvisionedConcurrentExecutions"].clone();
    call.api("lambda", "PutProvisionedConcurrencyConfig", input).await?;
    call.until("lambda", "GetProvisionedConcurrencyConfig", asked, |answer| {
        let answer = answer?;
        match answer["Status"].as_str() {
            Some("FAILED") => Err(ApiError::invalid(
                "NotStabilized",
                answer["StatusReason"].as_str().unwrap_or("provisioned concurrency failed"),
            )),
            status => Ok(status == Some("READY")),
        }
    })
    .await
}
