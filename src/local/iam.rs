//! IAM roles as far as stacks need them: roles, inline and attached policies, tags. Policies are kept and
//! checked for being JSON; they are not enforced. Errors are worded as the IAM API words them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::service::{ApiError, ApiResult, BoxFuture, Context, Service, unknown_operation};

/// Characters of a role's name. IAM API reference, CreateRole.
const ROLE_NAME_MAX_CHARS: usize = 64;
/// Characters of all inline policies of a role. IAM quotas.
const INLINE_POLICIES_MAX_CHARS: usize = 10_240;
/// Managed policies attached to a role. IAM quotas.
const ATTACHED_POLICIES_MAX: usize = 10;

/// The roles of one account.
pub struct Iam {
    context: Context,
    roles: Mutex<BTreeMap<String, Role>>,
}

struct Role {
    id: String,
    arn: String,
    path: String,
    /// ARN of the policy that bounds it: kept and shown, not enforced.
    boundary: Option<String>,
    description: Option<String>,
    trust_policy: String,
    max_session_s: u64,
    created_s: i64,
    tags: BTreeMap<String, String>,
    inline: BTreeMap<String, String>,
    /// ARN to name, in the order of the ARN.
    attached: BTreeMap<String, String>,
}

impl Iam {
    pub fn new(context: Context) -> Arc<Iam> {
        Arc::new(Iam { context, roles: Mutex::default() })
    }

    fn answer(&self, operation: &str, input: &Value) -> ApiResult {
        match operation {
            "CreateRole" => self.create_role(input),
            "ListRoles" => self.list_roles(input),
            "GetRole" => self.with_role(input, |name, role| Ok(json!({"Role": role.describe(name)}))),
            "DeleteRole" => self.delete_role(input),
            "TagRole" => self.with_role(input, |_, role| {
                role.tags.extend(tags(input));
                Ok(json!({}))
            }),
            "UntagRole" => self.with_role(input, |_, role| {
                let keys = input["TagKeys"].as_array().map(Vec::as_slice).unwrap_or_default();
                role.tags.retain(|key, _| !keys.iter().any(|one| one == key));
                Ok(json!({}))
            }),
            "UpdateRole" => self.with_role(input, |_, role| role.update(input)),
            "UpdateAssumeRolePolicy" => self.with_role(input, |_, role| {
                let document = text(input, "PolicyDocument")?;
                check_document(&document)?;
                role.trust_policy = document;
                Ok(json!({}))
            }),
            "PutRolePermissionsBoundary" => self.with_role(input, |_, role| {
                role.boundary = Some(boundary(&text(input, "PermissionsBoundary")?)?);
                Ok(json!({}))
            }),
            "DeleteRolePermissionsBoundary" => self.with_role(input, |_, role| {
                role.boundary = None;
                Ok(json!({}))
            }),
            "PutRolePolicy" => self.with_role(input, |_, role| role.put_policy(input)),
            "GetRolePolicy" => self.with_role(input, |name, role| role.get_policy(name, input)),
            "DeleteRolePolicy" => self.with_role(input, |_, role| {
                let policy = text(input, "PolicyName")?;
                role.inline.remove(&policy).ok_or_else(|| no_policy(&policy))?;
                Ok(json!({}))
            }),
            "ListRolePolicies" => self.with_role(input, |_, role| {
                Ok(json!({"PolicyNames": role.inline.keys().collect::<Vec<_>>(), "IsTruncated": false}))
            }),
            "AttachRolePolicy" => self.with_role(input, |name, role| role.attach(name, input)),
            "DetachRolePolicy" => self.with_role(input, |_, role| {
                let arn = text(input, "PolicyArn")?;
                role.attached.remove(&arn).ok_or_else(|| {
                    ApiError::new(404, "NoSuchEntity", format!("Policy {arn} was not found."))
                })?;
                Ok(json!({}))
            }),
            "ListAttachedRolePolicies" => self.with_role(input, |_, role| {
                let attached: Vec<Value> = role
                    .attached
                    .iter()
                    .map(|(arn, name)| json!({"PolicyName": name, "PolicyArn": arn}))
                    .collect();
                Ok(json!({"AttachedPolicies": attached, "IsTruncated": false}))
            }),
            _ => Err(unknown_operation(operation)),
        }
    }

    fn create_role(&self, input: &Value) -> ApiResult {
        let name = text(input, "RoleName")?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "+=,.@-_".contains(c);
        if name.is_empty() || name.chars().count() > ROLE_NAME_MAX_CHARS || !name.chars().all(allowed) {
            let message = format!(
                "The specified value for roleName is invalid. It must contain only alphanumeric characters \
                 and/or the following: +=,.@_- and be 1 to {ROLE_NAME_MAX_CHARS} characters long"
            );
            return Err(ApiError::invalid("ValidationError", message));
        }
        let trust_policy = text(input, "AssumeRolePolicyDocument")?;
        check_document(&trust_policy)?;
        let path = input["Path"].as_str().unwrap_or("/").to_owned();
        let boundary = input["PermissionsBoundary"].as_str().map(boundary).transpose()?;
        let mut roles = self.roles.lock().expect("roles lock");
        if roles.contains_key(&name) {
            let message = format!("Role with name {name} already exists.");
            return Err(ApiError::new(409, "EntityAlreadyExists", message));
        }
        let role = Role {
            id: role_id(self.context.seed, &name),
            // IAM is global: its ARNs have no region.
            arn: format!("arn:aws:iam::{}:role{path}{name}", self.context.account),
            path,
            boundary,
            description: input["Description"].as_str().map(str::to_owned),
            trust_policy,
            max_session_s: whole_number(&input["MaxSessionDuration"]).unwrap_or(3_600),
            created_s: self.context.clock.now_ms() / 1_000,
            tags: tags(input),
            inline: BTreeMap::new(),
            attached: BTreeMap::new(),
        };
        let answer = json!({"Role": role.describe(&name)});
        roles.insert(name, role);
        Ok(answer)
    }

    fn list_roles(&self, input: &Value) -> ApiResult {
        let prefix = input["PathPrefix"].as_str().unwrap_or("/");
        let roles = self.roles.lock().expect("roles lock");
        let listed: Vec<Value> = roles
            .iter()
            .filter(|(_, role)| role.path.starts_with(prefix))
            .map(|(name, role)| role.describe(name))
            .collect();
        Ok(json!({"Roles": listed, "IsTruncated": false}))
    }

    fn delete_role(&self, input: &Value) -> ApiResult {
        let name = text(input, "RoleName")?;
        let mut roles = self.roles.lock().expect("roles lock");
        let role = roles.get(&name).ok_or_else(|| no_role(&name))?;
        if !role.inline.is_empty() {
            return Err(conflict("Cannot delete entity, must delete policies first."));
        }
        if !role.attached.is_empty() {
            return Err(conflict("Cannot delete entity, must detach all policies first."));
        }
        roles.remove(&name);
        Ok(json!({}))
    }

    fn with_role(&self, input: &Value, act: impl FnOnce(&str, &mut Role) -> ApiResult) -> ApiResult {
        let name = text(input, "RoleName")?;
        let mut roles = self.roles.lock().expect("roles lock");
        let role = roles.get_mut(&name).ok_or_else(|| no_role(&name))?;
        act(&name, role)
    }
}

impl Service for Iam {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(async move { self.answer(operation, &input) })
    }
}

impl Role {
    fn describe(&self, name: &str) -> Value {
        let tags: Vec<Value> =
            self.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        let mut role = json!({
            "Path": self.path,
            "RoleName": name,
            "RoleId": self.id,
            "Arn": self.arn,
            "CreateDate": self.created_s,
            "AssumeRolePolicyDocument": percent_encoded(&self.trust_policy),
            "MaxSessionDuration": self.max_session_s,
            "Tags": tags,
        });
        if let Some(description) = &self.description {
            role["Description"] = json!(description);
        }
        if let Some(arn) = &self.boundary {
            role["PermissionsBoundary"] =
                json!({"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn});
        }
        role
    }

    /// What is not given stays. IAM API reference, UpdateRole.
    fn update(&mut self, input: &Value) -> ApiResult {
        if let Some(description) = input["Description"].as_str() {
            self.description = Some(description.to_owned()).filter(|text| !text.is_empty());
        }
        if let Some(session_s) = whole_number(&input["MaxSessionDuration"]) {
            self.max_session_s = session_s;
        }
        Ok(json!({}))
    }

    fn put_policy(&mut self, input: &Value) -> ApiResult {
        let policy = text(input, "PolicyName")?;
        let document = text(input, "PolicyDocument")?;
        check_document(&document)?;
        let others: usize =
            self.inline.iter().filter(|(name, _)| **name != policy).map(|(_, text)| text.len()).sum();
        if others + document.len() > INLINE_POLICIES_MAX_CHARS {
            let message =
                format!("Maximum policy size of {INLINE_POLICIES_MAX_CHARS} bytes exceeded for the role");
            return Err(ApiError::new(409, "LimitExceeded", message));
        }
        self.inline.insert(policy, document);
        Ok(json!({}))
    }

    fn get_policy(&self, role: &str, input: &Value) -> ApiResult {
        let policy = text(input, "PolicyName")?;
        let document = self.inline.get(&policy).ok_or_else(|| no_policy(&policy))?;
        Ok(json!({
            "RoleName": role, "PolicyName": policy, "PolicyDocument": percent_encoded(document),
        }))
    }

    fn attach(&mut self, role: &str, input: &Value) -> ApiResult {
        let arn = text(input, "PolicyArn")?;
        // Customer-managed policies cannot be created here, so only AWS's own exist.
        let Some(name) = arn.strip_prefix("arn:aws:iam::aws:policy/") else {
            let message = format!("Policy {arn} does not exist or is not attachable.");
            return Err(ApiError::new(404, "NoSuchEntity", message));
        };
        if self.attached.len() >= ATTACHED_POLICIES_MAX && !self.attached.contains_key(&arn) {
            let message =
                format!("Cannot exceed quota for PoliciesPerRole: {ATTACHED_POLICIES_MAX} (role {role})");
            return Err(ApiError::new(409, "LimitExceeded", message));
        }
        let name = name.rsplit('/').next().unwrap_or(name).to_owned();
        self.attached.insert(arn, name);
        Ok(json!({}))
    }
}

fn text(input: &Value, member: &str) -> Result<String, ApiError> {
    input[member].as_str().map(str::to_owned).ok_or_else(|| {
        let camel = format!("{}{}", member[..1].to_lowercase(), &member[1..]);
        let message = format!(
            "1 validation error detected: Value at '{camel}' failed to satisfy constraint: Member must not be null"
        );
        ApiError::invalid("ValidationError", message)
    })
}

/// A number, or its text: the query protocol has only text.
fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn tags(input: &Value) -> BTreeMap<String, String> {
    let list = input["Tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .filter_map(|tag| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].as_str()?.to_owned())))
        .collect()
}

/// The policy itself may be one that cannot be created here: only its ARN is looked at.
fn boundary(arn: &str) -> Result<String, ApiError> {
    let is_policy = arn.starts_with("arn:aws") && arn.contains(":policy/");
    match is_policy {
        true => Ok(arn.to_owned()),
        false => Err(ApiError::invalid("ValidationError", format!("ARN {arn} is not valid."))),
    }
}

fn check_document(document: &str) -> Result<(), ApiError> {
    match serde_json::from_str::<Value>(document) {
        Ok(parsed) if parsed["Statement"].is_array() || parsed["Statement"].is_object() => Ok(()),
        Ok(_) => Err(ApiError::invalid("MalformedPolicyDocument", "Syntax errors in policy.")),
        Err(_) => Err(ApiError::invalid("MalformedPolicyDocument", "This policy contains invalid Json")),
    }
}

fn no_role(name: &str) -> ApiError {
    ApiError::new(404, "NoSuchEntity", format!("The role with name {name} cannot be found."))
}

fn no_policy(name: &str) -> ApiError {
    ApiError::new(404, "NoSuchEntity", format!("The role policy with name {name} cannot be found."))
}

fn conflict(message: &str) -> ApiError {
    ApiError::new(409, "DeleteConflict", message)
}

/// `AROA` and 17 characters, the same for the same seed and name.
fn role_id(seed: u64, name: &str) -> String {
    let mixed = name.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut random = fastrand::Rng::with_seed(mixed);
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let tail: String = (0..17).map(|_| alphabet[random.usize(..alphabet.len())] as char).collect();
    format!("AROA{tail}")
}

/// RFC 3986, as IAM returns policy documents.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::faults::Faults;
    use crate::local::metrics::NoMetrics;
    use crate::platform::clock::Clock;

    const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;

    fn iam() -> Arc<Iam> {
        Iam::new(Context {
            clock: Clock::starting_at(1_700_000_000_000_000),
            region: "us-east-1".into(),
            account: "000000000000".into(),
            seed: 7,
            metrics: Arc::new(NoMetrics),
            faults: Arc::new(Faults::none()),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_is_created_read_back_and_deleted_only_without_policies() {
        let iam = iam();
        let create = json!({
            "RoleName": "r", "AssumeRolePolicyDocument": TRUST, "MaxSessionDuration": "7200",
            "Tags": [{"Key": "k", "Value": "v"}],
        });
        let role = iam.call("CreateRole", create.clone()).await.unwrap();
        assert_eq!(role["Role"]["Arn"], "arn:aws:iam::000000000000:role/r");
        assert_eq!(role["Role"]["MaxSessionDuration"], 7200);
        assert_eq!(iam.call("CreateRole", create).await.unwrap_err().code, "EntityAlreadyExists");

        let policy = json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": TRUST});
        iam.call("PutRolePolicy", policy).await.unwrap();
        let read = iam.call("GetRolePolicy", json!({"RoleName": "r", "PolicyName": "p"})).await.unwrap();
        assert!(read["PolicyDocument"].as_str().unwrap().starts_with("%7B%22Version%22%3A%222012-10-17%22"));
        let conflict = iam.call("DeleteRole", json!({"RoleName": "r"})).await.unwrap_err();
        assert_eq!((conflict.status, conflict.code.as_str()), (409, "DeleteConflict"));
        iam.call("DeleteRolePolicy", json!({"RoleName": "r", "PolicyName": "p"})).await.unwrap();

        let managed = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
        iam.call("AttachRolePolicy", json!({"RoleName": "r", "PolicyArn": managed})).await.unwrap();
        let listed = iam.call("ListAttachedRolePolicies", json!({"RoleName": "r"})).await.unwrap();
        assert_eq!(listed["AttachedPolicies"][0]["PolicyName"], "AWSLambdaBasicExecutionRole");
        assert!(iam.call("DeleteRole", json!({"RoleName": "r"})).await.is_err());
        iam.call("DetachRolePolicy", json!({"RoleName": "r", "PolicyArn": managed})).await.unwrap();
        iam.call("DeleteRole", json!({"RoleName": "r"})).await.unwrap();
        let gone = iam.call("GetRole", json!({"RoleName": "r"})).await.unwrap_err();
        assert_eq!(gone.message, "The role with name r cannot be found.");
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_that_is_not_json_is_refused() {
        let error = iam()
            .call("CreateRole", json!({"RoleName": "r", "AssumeRolePolicyDocument": "{"}))
            .await
            .unwrap_err();
        assert_eq!(error.code, "MalformedPolicyDocument");
    }

    #[tokio::test(start_paused = true)]
    async fn a_boundary_is_kept_changed_and_taken_away() {
        let iam = iam();
        let arn = |name: &str| format!("arn:aws:iam::000000000000:policy/{name}");
        let create =
            json!({"RoleName": "r", "AssumeRolePolicyDocument": TRUST, "PermissionsBoundary": arn("a")});
        iam.call("CreateRole", create).await.unwrap();
        let boundary = async || {
            let role = iam.call("GetRole", json!({"RoleName": "r"})).await.unwrap();
            role["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"].as_str().map(str::to_owned)
        };
        assert_eq!(boundary().await, Some(arn("a")));
        let put = json!({"RoleName": "r", "PermissionsBoundary": arn("b")});
        iam.call("PutRolePermissionsBoundary", put).await.unwrap();
        assert_eq!(boundary().await, Some(arn("b")));
        iam.call("DeleteRolePermissionsBoundary", json!({"RoleName": "r"})).await.unwrap();
        assert_eq!(boundary().await, None);
        let wrong = json!({"RoleName": "r", "PermissionsBoundary": "boundary"});
        assert_eq!(iam.call("PutRolePermissionsBoundary", wrong).await.unwrap_err().code, "ValidationError");
    }
}
