//! Create, read, update, delete and list functions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::code::Package;
use super::page;
use super::settings::{self, Change, shown};
use crate::local::lambda::iso_ms;
use crate::local::lambda::scaling::Scaling;
use crate::local::lambda::state::{Function, Shared, invalid, not_found, user};
use crate::local::service::{ApiError, ApiResult};

/// Items of one page of ListFunctions. API reference, ListFunctions.
const FUNCTIONS_PAGE_MAX: usize = 50;

impl Shared {
    pub async fn create_function(&self, input: Value) -> ApiResult {
        let name = self.function_name(&input)?;
        for member in ["Role", "Runtime", "Handler"] {
            if input[member].as_str().is_none_or(str::is_empty) {
                return Err(invalid(format!("{member} must be given for a function in a zip package")));
            }
        }
        if !input["Role"].as_str().is_some_and(|role| role.starts_with("arn:") && role.contains(":role/")) {
            let role = input["Role"].as_str().unwrap_or_default();
            return Err(super::validation("role", role, "Member must be the ARN of an IAM role"));
        }
        let mut configuration = settings::defaults(&name, &self.function_arn(&name));
        let log_group_declared = settings::apply(&mut configuration, &input)?;
        let package = self.package(&input["Code"]).await?;
        let revision = self.next_revision();
        let mut function = Function {
            configuration,
            log_group_declared,
            code: package.code.clone(),
            born: revision,
            revision,
            tags: tags_of(&input["Tags"]),
            reserved_concurrency: None,
            policy: Vec::new(),
            event_invoke: None,
            scaling: Scaling::new(self.ctx.clock.instant()),
            running: 0,
        };
        self.stamp(&mut function, Some(&package));
        let answer = shown(&function, Some(Change::Creating));
        let mut functions = self.functions();
        if functions.contains_key(&name) {
            return Err(conflict(format!("Function already exist: {name}")));
        }
        functions.insert(name, function);
        Ok(answer)
    }

    pub fn get_function(&self, input: &Value) -> ApiResult {
        let name = self.function_name(input)?;
        self.with_function(&name, |function| {
            let mut answer = json!({
                "Configuration": shown(function, None),
                // No Location: the package cannot be downloaded from here.
                "Code": {"RepositoryType": "S3"},
            });
            if !function.tags.is_empty() {
                answer["Tags"] = json!(function.tags);
            }
            if let Some(reserved) = function.reserved_concurrency {
                answer["Concurrency"] = json!({"ReservedConcurrentExecutions": reserved});
            }
            answer
        })
    }

    pub fn get_function_configuration(&self, input: &Value) -> ApiResult {
        let name = self.function_name(input)?;
        self.with_function(&name, |function| shown(function, None))
    }

    pub async fn update_function_code(&self, input: Value) -> ApiResult {
        let name = self.function_name(&input)?;
        self.with_function(&name, |function| self.check_revision(function, &input))??;
        let package = self.package(&input).await?;
        let mut only_architecture = json!({"Publish": input["Publish"]});
        only_architecture["Architectures"] = input["Architectures"].clone();
        self.change(&name, &input, Some(&package), &only_architecture).await
    }

    pub async fn update_function_configuration(&self, input: Value) -> ApiResult {
        let name = self.function_name(&input)?;
        if !input["Architectures"].is_null() {
            return Err(invalid("Architectures can be changed with UpdateFunctionCode only."));
        }
        self.change(&name, &input, None, &input).await
    }

    /// Applies a change whole or not at all, then lets go of the sandboxes from before it.
    async fn change(
        &self,
        name: &str,
        input: &Value,
        package: Option<&Package>,
        settings: &Value,
    ) -> ApiResult {
        let (answer, arn, revision) = self.with_function(name, |function| {
            self.check_revision(function, input)?;
            let mut configuration = function.configuration.clone();
            let log_group_named = settings::apply(&mut configuration, settings)?;
            if input["DryRun"].as_bool() == Some(true) {
                return Ok((shown(function, None), None, 0));
            }
            function.configuration = configuration;
            function.log_group_declared |= log_group_named;
            function.revision = self.next_revision();
            if let Some(package) = package {
                function.code = package.code.clone();
            }
            self.stamp(function, package);
            Ok((shown(function, Some(Change::Updating)), Some(self.function_arn(name)), function.revision))
        })??;
        if let Some(arn) = arn {
            self.host.retire(&arn, revision).await;
        }
        Ok(answer)
    }

    pub async fn delete_function(&self, input: &Value) -> ApiResult {
        let name = self.function_name(input)?;
        let arn = self.function_arn(&name);
        if self.functions().remove(&name).is_none() {
            return Err(not_found(&arn));
        }
        self.host.retire(&arn, self.next_revision()).await;
        // So that no line arrives after the caller went on to delete the log group.
        self.logs.flush().await;
        Ok(json!({"StatusCode": 204}))
    }

    pub fn list_functions(&self, input: &Value) -> ApiResult {
        let all = self.functions().values().map(|function| shown(function, None)).collect();
        Ok(page(input, "Functions", all, FUNCTIONS_PAGE_MAX))
    }

    pub fn list_versions(&self, input: &Value) -> ApiResult {
        let name = self.function_name(input)?;
        let latest = self.with_function(&name, |function| shown(function, None))?;
        Ok(json!({"Versions": [latest]}))
    }

    fn check_revision(&self, function: &Function, input: &Value) -> Result<(), ApiError> {
        match input["RevisionId"].as_str() {
            Some(given) if function.configuration["RevisionId"] != given => Err(user(ApiError::new(
                412,
                "PreconditionFailedException",
                "The RevisionId provided does not match the latest RevisionId. Call the \
                 GetFunction/GetAlias API to retrieve the latest RevisionId",
            ))),
            _ => Ok(()),
        }
    }

    /// What every change leaves behind.
    fn stamp(&self, function: &mut Function, package: Option<&Package>) {
        let configuration = &mut function.configuration;
        let at = iso_ms(self.ctx.clock.now_ms()).replace('Z', "+0000");
        configuration.insert("LastModified".to_owned(), at.into());
        configuration.insert("RevisionId".to_owned(), self.uuid().into());
        if let Some(package) = package {
            configuration.insert("CodeSize".to_owned(), package.code.zip.len().into());
            configuration.insert("CodeSha256".to_owned(), package.sha256_base64.clone().into());
        }
    }
}

pub fn conflict(message: String) -> ApiError {
    user(ApiError::new(409, "ResourceConflictException", message))
}

/// Tags as the API has them (a map) or as CloudFormation has them (a list of `Key` and `Value`).
pub fn tags_of(given: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match given {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        Value::Array(list) => list.iter().map(|tag| (text(&tag["Key"]), text(&tag["Value"]))).collect(),
        _ => BTreeMap::new(),
    }
}
