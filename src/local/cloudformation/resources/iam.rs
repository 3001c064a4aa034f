//! `AWS::IAM::Role` and `AWS::IAM::Policy`.

use serde_json::{Value, json};

use super::{Attributes, Call, Change, ResourceType, Shape, attributes, gone, only};
use crate::local::cloudformation::shape::{TAGS, TEXTS};
use crate::local::service::{ApiError, BoxFuture};

pub struct Role;

impl ResourceType for Role {
    fn kind(&self) -> &'static str {
        "AWS::IAM::Role"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[
            ("AssumeRolePolicyDocument", Shape::Json),
            ("Description", Shape::Text),
            ("ManagedPolicyArns", TEXTS),
            ("MaxSessionDuration", Shape::Whole),
            ("Path", Shape::Text),
            ("PermissionsBoundary", Shape::Text),
            (
                "Policies",
                Shape::List(&Shape::Object(&[("PolicyDocument", Shape::Json), ("PolicyName", Shape::Text)])),
            ),
            ("RoleName", Shape::Text),
            ("Tags", TAGS),
        ]
    }

    fn required(&self) -> &'static [&'static str] {
        &["AssumeRolePolicyDocument"]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn", "RoleId"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["Path", "RoleName"]
    }

    fn name_property(&self) -> Option<&'static str> {
        Some("RoleName")
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let name = call.name(properties, "RoleName", 64);
            let mut input =
                only(properties, &["Description", "MaxSessionDuration", "Path", "PermissionsBoundary"]);
            input.insert("RoleName".into(), json!(name));
            let trust = properties["AssumeRolePolicyDocument"].to_string();
            input.insert("AssumeRolePolicyDocument".into(), json!(trust));
            input.insert("Tags".into(), call.tag_list(properties));
            let created = call.api("iam", "CreateRole", Value::Object(input)).await?;
            *id = name.clone();
            for policy in list(&properties["Policies"]) {
                put_policy(call, &name, policy).await?;
            }
            for arn in list(&properties["ManagedPolicyArns"]) {
                call.api("iam", "AttachRolePolicy", json!({"RoleName": name, "PolicyArn": arn})).await?;
            }
            let text = |member: &str| created["Role"][member].as_str().unwrap_or_default().to_owned();
            Ok(attributes([("Arn", text("Arn")), ("RoleId", text("RoleId"))]))
        })
    }

    /// Removes its own policies; one that something else put there makes the deletion fail, as on AWS.
    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(update_role(call, change))
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            for policy in list(&properties["Policies"]) {
                let input = json!({"RoleName": id, "PolicyName": policy["PolicyName"]});
                gone(call.api("iam", "DeleteRolePolicy", input).await)?;
            }
            for arn in list(&properties["ManagedPolicyArns"]) {
                let input = json!({"RoleName": id, "PolicyArn": arn});
                gone(call.api("iam", "DetachRolePolicy", input).await)?;
            }
            gone(call.api("iam", "DeleteRole", json!({"RoleName": id})).await)
        })
    }
}

pub struct Policy;

impl ResourceType for Policy {
    fn kind(&self) -> &'static str {
        "AWS::IAM::Policy"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[("PolicyDocument", Shape::Json), ("PolicyName", Shape::Text), ("Roles", TEXTS)]
    }

    fn required(&self) -> &'static [&'static str] {
        &["PolicyDocument", "PolicyName", "Roles"]
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
            for role in list(&properties["Roles"]) {
                put_policy(call, role.as_str().unwrap_or_default(), properties).await?;
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
            let same_name = !change.differs("PolicyName");
            for role in list(&change.before["Roles"]) {
                if same_name && list(&change.after["Roles"]).contains(role) {
                    continue;
                }
                let input = json!({"RoleName": role, "PolicyName": change.before["PolicyName"]});
                gone(call.api("iam", "DeleteRolePolicy", input).await)?;
            }
            for role in list(&change.after["Roles"]) {
                put_policy(call, role.as_str().unwrap_or_default(), change.after).await?;
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
            for role in list(&properties["Roles"]) {
                let input = json!({"RoleName": role, "PolicyName": properties["PolicyName"]});
                gone(call.api("iam", "DeleteRolePolicy", input).await)?;
            }
            Ok(())
        })
    }
}

async fn update_role(call: &Call<'_>, change: &Change<'_>) -> Result<(), ApiError> {
    let (name, after) = (change.id, change.after);
    let settings = change.settings(&[("Description", json!("")), ("MaxSessionDuration", json!(3_600))]);
    if !settings.is_empty() {
        let mut input = settings;
        input.insert("RoleName".into(), json!(name));
        call.api("iam", "UpdateRole", Value::Object(input)).await?;
    }
    if change.differs("AssumeRolePolicyDocument") {
        let document = after["AssumeRolePolicyDocument"].to_string();
        let input = json!({"RoleName": name, "PolicyDocument": document});
        call.api("iam", "UpdateAssumeRolePolicy", input).await?;
    }
    if change.differs("PermissionsBoundary") {
        let (operation, input) = match after.get("PermissionsBoundary") {
            Some(arn) => {
                ("PutRolePermissionsBoundary", json!({"RoleName": name, "PermissionsBoundary": arn}))
            }
            None => ("DeleteRolePermissionsBoundary", json!({"RoleName": name})),
        };
        call.api("iam", operation, input).await?;
    }
    update_policies(call, change).await?;
    for arn in list(&change.before["ManagedPolicyArns"]) {
        if !list(&after["ManagedPolicyArns"]).contains(arn) {
            let input = json!({"RoleName": name, "PolicyArn": arn});
            gone(call.api("iam", "DetachRolePolicy", input).await)?;
        }
    }
    for arn in list(&after["ManagedPolicyArns"]) {
        if !list(&change.before["ManagedPolicyArns"]).contains(arn) {
            call.api("iam", "AttachRolePolicy", json!({"RoleName": name, "PolicyArn": arn})).await?;
        }
    }
    if let Some(tags) = call.tag_change(change) {
        call.api("iam", "UntagRole", json!({"RoleName": name, "TagKeys": tags.removed})).await?;
        call.api("iam", "TagRole", json!({"RoleName": name, "Tags": tags.list()})).await?;
    }
    Ok(())
}

/// The role's inline policies.
async fn update_policies(call: &Call<'_>, change: &Change<'_>) -> Result<(), ApiError> {
    for policy in list(&change.before["Policies"]) {
        let name = &policy["PolicyName"];
        if !list(&change.after["Policies"]).iter().any(|one| one["PolicyName"] == *name) {
            let input = json!({"RoleName": change.id, "PolicyName": name});
            gone(call.api("iam", "DeleteRolePolicy", input).await)?;
        }
    }
    for policy in list(&change.after["Policies"]) {
        if !list(&change.before["Policies"]).contains(policy) {
            put_policy(call, change.id, policy).await?;
        }
    }
    Ok(())
}

async fn put_policy(call: &Call<'_>, role: &str, policy: &Value) -> Result<(), ApiError> {
    let document = policy["PolicyDocument"].to_string();
    let input = json!({"RoleName": role, "PolicyName": policy["PolicyName"], "PolicyDocument": document});
    call.api("iam", "PutRolePolicy", input).await.map(|_| ())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
