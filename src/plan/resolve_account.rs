//! What an account asks for, in [`super::resolve`]: keys, roles, networks and names. That they exist only AWS
//! can say; that they can exist is checked here.

use super::model::*;
use super::resolve::{Place, Resolver};
use super::typed_environment::{AccountDoc, EncryptionDoc, VpcDoc};

/// Characters of the prefix of all names: with an environment of 20 characters, an account id and the longest
/// region, a bucket's name has the 63 that S3 allows. S3 user guide, "Bucket naming rules".
const NAME_PREFIX_MAX_CHARS: usize = 14;
/// Filters of one mapping, and characters of a pattern. Lambda developer guide, "Event filtering"; Lambda API
/// reference, Filter.
const FILTERS_MAX: usize = 5;
const FILTER_MAX_CHARS: usize = 4_096;
/// Lambda API reference, VpcConfig.
const SUBNETS_MAX: usize = 16;
const SECURITY_GROUPS_MAX: usize = 5;
/// IAM API reference, CreateRole.
const PATH_MAX_CHARS: usize = 512;

const KEY_EXPECTED: &str =
    "the ARN of a key, arn:aws:kms:REGION:ACCOUNT:key/ID (a policy cannot name an alias)";
const ROLE_EXPECTED: &str = "the ARN of a role, arn:aws:iam::ACCOUNT:role/NAME";
const BOUNDARY_EXPECTED: &str = "the ARN of a policy, arn:aws:iam::ACCOUNT:policy/NAME";
/// The key that AWS keeps for Kinesis, and how Kinesis calls it.
const KINESIS_OWN_KEY: &str = "aws/kinesis";

impl Resolver<'_> {
    pub(super) fn encryption(&mut self, encryption: Option<EncryptionDoc>, at: &Place<'_>) -> Option<String> {
        let at = at.key("kms_key");
        let expected = format!("{KINESIS_OWN_KEY}, or {KEY_EXPECTED}");
        match encryption?.kms_key {
            None => self.missing(&at, &expected),
            Some(key) if key == KINESIS_OWN_KEY => return Some(format!("alias/{KINESIS_OWN_KEY}")),
            Some(key) if is_key(&key) => return Some(key),
            Some(_) => self.unexpected(&at, expected),
        }
        None
    }

    pub(super) fn filters(&mut self, filters: Option<Vec<String>>, at: &Place<'_>) -> Vec<String> {
        let Some(filters) = filters else { return Vec::new() };
        if filters.is_empty() || filters.len() > FILTERS_MAX {
            self.unexpected(at, format!("1 to {FILTERS_MAX} patterns"));
        }
        for (i, pattern) in filters.iter().enumerate() {
            let is_object = serde_json::from_str::<serde_json::Value>(pattern)
                .is_ok_and(|value| value.as_object().is_some_and(|members| !members.is_empty()));
            if !is_object || pattern.chars().count() > FILTER_MAX_CHARS {
                let expected = format!(
                    "a JSON object as text, such as '{{\"data\": {{\"kind\": [\"order\"]}}}}', of at most {FILTER_MAX_CHARS} characters"
                );
                self.unexpected(&at.index(i), expected);
            }
        }
        filters
    }

    pub(super) fn account(&mut self, account: AccountDoc, at: &Place<'_>) -> AccountSpec {
        if account.function_role.is_some() {
            for (given, key) in [
                (account.permissions_boundary.is_some(), "permissions_boundary"),
                (account.role_path.is_some(), "role_path"),
            ] {
                if given {
                    self.unexpected(&at.key(key), "nothing: with function_role no role is made");
                }
            }
        }
        let default = AccountSpec::default();
        AccountSpec {
            name_prefix: self
                .checked(account.name_prefix, &at.key("name_prefix"), is_prefix, &prefix_expected())
                .unwrap_or(default.name_prefix),
            permissions_boundary: self.checked(
                account.permissions_boundary,
                &at.key("permissions_boundary"),
                is_policy,
                BOUNDARY_EXPECTED,
            ),
            role_path: self
                .checked(account.role_path, &at.key("role_path"), is_path, "a path such as /teams/streams/")
                .unwrap_or(default.role_path),
            function_role: self.checked(
                account.function_role,
                &at.key("function_role"),
                is_role,
                ROLE_EXPECTED,
            ),
            cloudformation_role: self.checked(
                account.cloudformation_role,
                &at.key("cloudformation_role"),
                is_role,
                ROLE_EXPECTED,
            ),
            vpc: account.vpc.map(|vpc| self.vpc(vpc, &at.key("vpc"))),
            kms_key: self.checked(account.kms_key, &at.key("kms_key"), is_key, KEY_EXPECTED),
        }
    }

    fn checked(
        &mut self,
        text: Option<String>,
        at: &Place<'_>,
        fits: fn(&str) -> bool,
        expected: &str,
    ) -> Option<String> {
        let text = text?;
        if !fits(&text) {
            self.unexpected(at, expected);
            return None;
        }
        Some(text)
    }

    fn vpc(&mut self, vpc: VpcDoc, at: &Place<'_>) -> VpcSpec {
        VpcSpec {
            subnets: self.ids(vpc.subnets, &at.key("subnets"), "subnet-", SUBNETS_MAX),
            security_groups: self.ids(
                vpc.security_groups,
                &at.key("security_groups"),
                "sg-",
                SECURITY_GROUPS_MAX,
            ),
        }
    }

    fn ids(&mut self, ids: Option<Vec<String>>, at: &Place<'_>, prefix: &str, most: usize) -> Vec<String> {
        let ids = ids.unwrap_or_default();
        if ids.is_empty() {
            self.missing(at, &format!("1 to {most} ids such as {prefix}0123456789abcdef0"));
        } else if ids.len() > most {
            self.wrong(at, format!("{} ids", ids.len()), format!("at most {most}"));
        }
        for (i, id) in ids.iter().enumerate() {
            let fits = id.strip_prefix(prefix).is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            });
            if !fits {
                self.unexpected(&at.index(i), format!("an id such as {prefix}0123456789abcdef0"));
            }
        }
        ids
    }
}

fn prefix_expected() -> String {
    format!("1 to {NAME_PREFIX_MAX_CHARS} lower-case letters, digits and hyphens, starting with a letter")
}

fn is_prefix(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= NAME_PREFIX_MAX_CHARS
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(allowed)
}

fn is_path(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    let Some(inside) = text.strip_prefix('/') else { return false };
    text.len() <= PATH_MAX_CHARS
        && (inside.is_empty()
            || inside.strip_suffix('/').is_some_and(|parts| {
                parts.split('/').all(|part| !part.is_empty() && part.bytes().all(allowed))
            }))
}

fn is_key(text: &str) -> bool {
    is_arn(text, "kms", "key/") && !text.contains("::")
}

fn is_role(text: &str) -> bool {
    is_arn(text, "iam", "role/")
}

/// One of the account's, or one of AWS's own.
fn is_policy(text: &str) -> bool {
    is_arn(text, "iam", "policy/") || is_arn(&text.replacen("::aws:", "::000000000000:", 1), "iam", "policy/")
}

/// `arn:<partition>:<service>:<region>:<account>:<kind><name>`, without white space. IAM user guide, "Amazon
/// Resource Names".
fn is_arn(text: &str, service: &str, kind: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, of, _region, account, resource] = parts[..] else { return false };
    arn == "arn"
        && partition.starts_with("aws")
        && of == service
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && resource.strip_prefix(kind).is_some_and(|name| !name.is_empty())
        && !text.contains(char::is_whitespace)
        && text.len() <= 2_048
}
