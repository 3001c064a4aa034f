//! Reserved concurrency, account settings, tags, and the resource policy.

use serde_json::{Value, json};

use super::functions::{conflict, tags_of};
use super::integer;
use crate::local::lambda::state::{Shared, invalid, user};
use crate::local::service::{ApiError, ApiResult};
use crate::platform::limits::ACCOUNT_CONCURRENCY_DEFAULT;

/// Concurrency that must stay unreserved. Lambda developer guide, "Configuring reserved concurrency".
const UNRESERVED_MIN: u32 = 100;
/// Bytes of all code, zipped code, and unzipped code. Developer guide, "Lambda quotas".
const CODE_BYTES: (u64, u64, u64) = (80_530_636_800, 52_428_800, 262_144_000);

impl Shared {
    pub fn put_concurrency(&self, input: &Value) -> ApiResult {
        let name = self.function_name(input)?;
        let bounds = 0..=i64::from(u32::MAX);
        let Some(wanted) = integer(input, "ReservedConcurrentExecutions", bounds)? else {
            return Err(invalid("ReservedConcurrentExecutions must be given"));
        };
        let wanted = wanted as u32;
        let mut functions = self.functions();
        let others: u32 = functions
            .iter()
            .filter(|(other, _)| **other != name)
            .filter_map(|(_, function)| function.reserved_concurrency)
            .sum();
        let function = functions
            .get_mut(&name)
            .ok_or_else(|| crate::local::lambda::state::not_found(&self.function_arn(&name)))?;
        if u64::from(others) + u64::from(wanted) > u64::from(ACCOUNT_CONCURRENCY_DEFAULT - UNRESERVED_MIN) {
            return Err(invalid(format!(
                "Specified ReservedConcurrentExecutions for function decreases account's \
                 UnreservedConcurrentExecution below its minimum value of [{UNRESERVED_MIN}]."
            )));
        }
        function.reserved_concurrency = Some(wanted);
        Ok(json!({"ReservedConcurrentExecutions": wanted}))
    }

    pub fn get_concurrency(&self, input: &Value) -> ApiResult {
        let name = self.function_name(input)?;
        let reserved = self.with_function(&name, |function| function.reserved_concurrency)?;
        Ok(reserved.map_or_else(|| json!({}), |reserved| json!({"ReservedConcurrentExecutions": reserved})))
    }

    pub fn delete_concurrency(&self, input: &Value) -> ApiResult {
        let name = self.function_name(input)?;
        self.with_function(&name, |function| function.reserved_concurrency = None)?;
        Ok(json!({}))
    }

    pub fn account_settings(&self) -> Value {
        let functions = self.functions();
        let reserved: u32 = functions.values().filter_map(|function| function.reserved_concurrency).sum();
        let code_bytes: usize = functions.values().map(|function| function.code.zip.len()).sum();
        json!({
            "AccountLimit": {
                "TotalCodeSize": CODE_BYTES.0,
                "CodeSizeZipped": CODE_BYTES.1,
                "CodeSizeUnzipped": CODE_BYTES.2,
                "ConcurrentExecutions": ACCOUNT_CONCURRENCY_DEFAULT,
                "UnreservedConcurrentExecutions": ACCOUNT_CONCURRENCY_DEFAULT - reserved,
            },
            "AccountUsage": {"TotalCodeSize": code_bytes, "FunctionCount": functions.len()},
        })
    }

    pub fn tag(&self, input: &Value) -> ApiResult {
        let name = self.tagged(input)?;
        let tags = tags_of(&input["Tags"]);
        self.with_function(&name, |function| function.tags.extend(tags))?;
        Ok(json!({}))
    }

    pub fn untag(&self, input: &Value) -> ApiResult {
        let name = self.tagged(input)?;
        let keys: Vec<&str> =
            input["TagKeys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        self.with_function(&name, |function| function.tags.retain(|key, _| !keys.contains(&key.as_str())))?;
        Ok(json!({}))
    }

    pub fn tags(&self, input: &Value) -> ApiResult {
        let name = self.tagged(input)?;
        self.with_function(&name, |function| json!({"Tags": function.tags}))
    }

    fn tagged(&self, input: &Value) -> Result<String, ApiError> {
        self.function_name(&json!({"FunctionName": input["Resource"]}))
    }

    pub fn add_permission(&self, input: Value) -> ApiResult {
        let name = self.function_name(&input)?;
        for member in ["StatementId", "Action", "Principal"] {
            if input[member].as_str().is_none_or(str::is_empty) {
                return Err(invalid(format!("{member} must be given")));
            }
        }
        let principal = match input["Principal"].as_str() {
            Some(service) if service.ends_with(".amazonaws.com") => json!({"Service": service}),
            Some("*") => json!("*"),
            other => json!({"AWS": other}),
        };
        let mut statement = json!({
            "Sid": input["StatementId"], "Effect": "Allow", "Principal": principal,
            "Action": input["Action"], "Resource": self.function_arn(&name),
        });
        if let Some(source) = input["SourceArn"].as_str() {
            statement["Condition"] = json!({"ArnLike": {"AWS:SourceArn": source}});
        } else if let Some(account) = input["SourceAccount"].as_str() {
            statement["Condition"] = json!({"StringEquals": {"AWS:SourceAccount": account}});
        }
        let text = statement.to_string();
        self.with_function(&name, |function| {
            if function.policy.iter().any(|other| other["Sid"] == statement["Sid"]) {
                return Err(conflict(format!(
                    "The statement id ({}) provided already exists. Please provide a new statement id, or \
                     remove the existing statement.",
                    statement["Sid"].as_str().unwrap_or_default()
                )));
            }
            function.policy.push(statement);
            Ok(json!({"Statement": text}))
        })?
    }

    pub fn get_policy(&self, input: &Value) -> ApiResult {
        let name = self.function_name(input)?;
        self.with_function(&name, |function| {
            if function.policy.is_empty() {
                return Err(no_policy());
            }
            let policy = json!({"Version": "2012-10-17", "Id": "default", "Statement": function.policy});
            Ok(json!({"Policy": policy.to_string(), "RevisionId": function.configuration["RevisionId"]}))
        })?
    }

    pub fn remove_permission(&self, input: &Value) -> ApiResult {
        let name = self.function_name(input)?;
        self.with_function(&name, |function| {
            let before = function.policy.len();
            function.policy.retain(|statement| statement["Sid"] != input["StatementId"]);
            if function.policy.len() == before { Err(no_policy()) } else { Ok(json!({})) }
        })?
    }
}

fn no_policy() -> ApiError {
    user(ApiError::new(404, "ResourceNotFoundException", "The resource you requested does not exist."))
}
