//! The three templates and what is passed to them. `stacks/` and `dashboards/` hold the only copies: they
//! are built into the binary, and an explicit directory can stand in for them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::StackError;
use crate::plan::{AccountSpec, Architecture, Environment, FunctionSpec, StreamMode, StreamSpec};

/// How the one line of `stacks/observability.yaml` starts that the dashboard's widgets go in place of.
const DASHBOARD_LINE: &str = "{\"widgets\":";

/// Parameter names and values of a stack.
pub type Parameters = BTreeMap<&'static str, String>;

/// The texts that the stacks are made from.
#[derive(Clone, Debug)]
pub struct Templates {
    pub artifacts: String,
    pub pipeline: String,
    /// With the dashboard's widgets put in.
    pub observability: String,
}

impl Templates {
    /// Those built into the binary.
    pub fn embedded() -> Templates {
        let observability = include_str!("../../stacks/observability.yaml");
        let dashboard = include_str!("../../dashboards/pipeline.json");
        Templates {
            artifacts: include_str!("../../stacks/artifacts.yaml").to_owned(),
            pipeline: include_str!("../../stacks/pipeline.yaml").to_owned(),
            observability: with_dashboard(observability, dashboard)
                .unwrap_or_else(|| observability.to_owned()),
        }
    }

    /// Those of a directory that has `stacks/*.yaml` and `dashboards/pipeline.json`; what is missing there
    /// is taken from the binary.
    ///
    /// # Errors
    /// When a file is there but cannot be read, or the dashboard's place cannot be found.
    pub fn from_dir(dir: &Path) -> Result<Templates, StackError> {
        let read = |name: &str, built_in: &str| match fs_err::read_to_string(dir.join(name)) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(built_in.to_owned()),
            Err(error) => Err(StackError::Template { name: name.to_owned(), detail: error.to_string() }),
        };
        let dashboard = read("dashboards/pipeline.json", include_str!("../../dashboards/pipeline.json"))?;
        let observability =
            read("stacks/observability.yaml", include_str!("../../stacks/observability.yaml"))?;
        Ok(Templates {
            artifacts: read("stacks/artifacts.yaml", include_str!("../../stacks/artifacts.yaml"))?,
            pipeline: read("stacks/pipeline.yaml", include_str!("../../stacks/pipeline.yaml"))?,
            // A template of one's own may have its dashboard written out.
            observability: with_dashboard(&observability, &dashboard).unwrap_or(observability),
        })
    }
}

impl Templates {
    /// The pipeline's template for an account.
    ///
    /// # Errors
    /// When a role is given, and the part of a template of one's own that makes one cannot be found.
    pub fn pipeline_for(&self, account: &AccountSpec) -> Result<Cow<'_, str>, StackError> {
        if account.function_role.is_none() {
            return Ok(Cow::Borrowed(&self.pipeline));
        }
        without_role(&self.pipeline).map(Cow::Owned).ok_or_else(|| StackError::Template {
            name: "stacks/pipeline.yaml".to_owned(),
            detail: "its resource FunctionRole, which function_role takes the place of, cannot be taken out"
                .to_owned(),
        })
    }
}

/// The pipeline's template without the role that it could make, for an account where a role is given: a template
/// with an IAM resource asks for `CAPABILITY_NAMED_IAM` even where a condition keeps it from being made.
fn without_role(pipeline: &str) -> Option<String> {
    let begin = pipeline.find("\n  FunctionRole:\n")? + 1;
    // The resource ends where the next line stands as far left as its name.
    let after = pipeline[begin + 1..].match_indices("\n  ").map(|(at, _)| begin + 1 + at + 1);
    let end = after.into_iter().find(|at| !pipeline[at + 2..].starts_with(' '))?;
    let choice = "!If [MakesRole, !GetAtt FunctionRole.Arn, !Ref FunctionRoleArn]";
    let left = format!("{}{}", &pipeline[..begin], &pipeline[end..]).replace(choice, "!Ref FunctionRoleArn");
    (!left.contains("AWS::IAM::")).then_some(left)
}

/// The template with the dashboard's text, indented alike, in place of its stand-in line.
fn with_dashboard(template: &str, dashboard: &str) -> Option<String> {
    let line = template.lines().find(|line| line.trim_start().starts_with(DASHBOARD_LINE))?;
    let indent = &line[..line.len() - line.trim_start().len()];
    let indented: Vec<String> = dashboard.lines().map(|text| format!("{indent}{text}")).collect();
    Some(template.replacen(line, &indented.join("\n"), 1))
}

/// The bucket that `artifacts.yaml` makes. `account`: account id.
pub fn artifacts_bucket_name(prefix: &str, env: &str, account: &str, region: &str) -> String {
    format!("{prefix}-{env}-{account}-{region}")
}

/// Parameters of `artifacts.yaml`.
pub fn artifacts_parameters(env: &str, account: &AccountSpec) -> Parameters {
    BTreeMap::from([
        ("EnvironmentName", env.to_owned()),
        ("NamePrefix", account.name_prefix.clone()),
        ("KmsKeyArn", account.kms_key.clone().unwrap_or_default()),
    ])
}

/// Parameters of `pipeline.yaml`: the plan's environment, one to one, and where the code is.
pub fn pipeline_parameters(
    env: &str,
    environment: &Environment,
    architecture: Architecture,
    code_bucket: &str,
    code_key: &str,
) -> Parameters {
    let mut parameters = BTreeMap::from([
        ("EnvironmentName", env.to_owned()),
        ("CodeBucket", code_bucket.to_owned()),
        ("CodeKey", code_key.to_owned()),
        ("FunctionArchitecture", architecture_name(architecture).to_owned()),
    ]);
    parameters.extend(stream_parameters(&environment.stream));
    parameters.extend(function_parameters(&environment.function));
    parameters.extend(mapping_parameters(&environment.function));
    parameters.extend(account_parameters(&environment.account));
    parameters.insert("FunctionRevision", revision(&parameters));
    parameters
}

fn stream_parameters(stream: &StreamSpec) -> Parameters {
    let mode = match stream.mode {
        StreamMode::Provisioned => "PROVISIONED",
        StreamMode::OnDemand => "ON_DEMAND",
    };
    BTreeMap::from([
        ("StreamMode", mode.to_owned()),
        ("StreamShards", stream.shards.max(1).to_string()),
        ("StreamRetentionHours", stream.retention_hours.to_string()),
        ("StreamMaxRecordKiB", stream.max_record_kib.to_string()),
        ("StreamKmsKey", stream.encryption_key.clone().unwrap_or_default()),
    ])
}

fn function_parameters(function: &FunctionSpec) -> Parameters {
    let reserved =
        function.reserved_concurrency.map_or_else(|| "-1".to_owned(), |reserved| reserved.to_string());
    BTreeMap::from([
        ("FunctionMemoryMb", function.memory_mb.to_string()),
        ("FunctionTimeoutSeconds", function.timeout_s.to_string()),
        ("FunctionReservedConcurrency", reserved),
        ("FunctionProvisionedConcurrency", function.provisioned_concurrency.unwrap_or(0).to_string()),
        ("FunctionLogRetentionDays", function.log_retention_days.to_string()),
        ("EnvelopePaths", envelope_paths(function)),
        ("WorkMsPerBatch", function.work_ms_per_batch.to_string()),
        ("EndToEndMetric", function.end_to_end_metric.to_string()),
    ])
}

fn envelope_paths(function: &FunctionSpec) -> String {
    let paths: Vec<String> = function.envelope_paths.iter().map(ToString::to_string).collect();
    paths.join(",")
}

/// Names of the parameters that take the patterns of a mapping's filter.
const FILTER_PATTERNS: [&str; 5] =
    ["FilterPattern1", "FilterPattern2", "FilterPattern3", "FilterPattern4", "FilterPattern5"];

fn mapping_parameters(function: &FunctionSpec) -> Parameters {
    let patterns = function.filters.iter().cloned().chain(std::iter::repeat(String::new()));
    let mut parameters: Parameters = FILTER_PATTERNS.into_iter().zip(patterns).collect();
    parameters.extend([
        ("EnhancedFanOut", function.enhanced_fan_out.to_string()),
        ("BatchSize", function.batch_size.to_string()),
        ("BatchWindowSeconds", function.batch_window_s.to_string()),
        ("ParallelizationFactor", function.parallelization.to_string()),
        ("MaximumRetryAttempts", function.retries.to_string()),
        ("BisectOnError", function.bisect_on_error.to_string()),
        ("MaximumRecordAgeSeconds", function.max_record_age_s.to_string()),
        ("PartialBatchResponse", function.partial_batch_response.to_string()),
    ]);
    parameters
}

fn account_parameters(account: &AccountSpec) -> Parameters {
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let (subnets, groups) = account
        .vpc
        .as_ref()
        .map(|vpc| (vpc.subnets.join(","), vpc.security_groups.join(",")))
        .unwrap_or_default();
    BTreeMap::from([
        ("NamePrefix", account.name_prefix.clone()),
        ("FunctionRoleArn", given(&account.function_role)),
        ("FunctionRolePath", account.role_path.clone()),
        ("PermissionsBoundaryArn", given(&account.permissions_boundary)),
        ("FunctionSubnetIds", subnets),
        ("FunctionSecurityGroupIds", groups),
        ("KmsKeyArn", given(&account.kms_key)),
    ])
}

/// A text that is another one when, and only when, a version of the function would have other code or settings:
/// CloudFormation fails where a new version is asked for and nothing about the function has changed.
fn revision(parameters: &Parameters) -> String {
    const OF_THE_FUNCTION: [&str; 10] = [
        "CodeKey",
        "EndToEndMetric",
        "FunctionArchitecture",
        "FunctionMemoryMb",
        "FunctionRoleArn",
        "FunctionSecurityGroupIds",
        "FunctionSubnetIds",
        "FunctionTimeoutSeconds",
        "KmsKeyArn",
        "WorkMsPerBatch",
    ];
    let mut hash = Sha256::new();
    // With partial batch responses comes another environment variable.
    for name in OF_THE_FUNCTION.into_iter().chain(["FunctionRolePath", "PartialBatchResponse"]) {
        hash.update(format!("{name}={}\n", parameters[name]));
    }
    // Left out where it has no value, so that functions from before it was there stay what they are.
    if !parameters["EnvelopePaths"].is_empty() {
        hash.update(format!("EnvelopePaths={}\n", parameters["EnvelopePaths"]));
    }
    hex::encode(&hash.finalize()[..8])
}

/// Names that `observability.yaml` takes from the pipeline's outputs.
pub struct Watched<'a> {
    pub stream_name: &'a str,
    pub function_name: &'a str,
    pub mapping_id: &'a str,
    pub receipts_queue_name: &'a str,
    pub dlq_name: &'a str,
    pub log_group: &'a str,
    /// Reserved concurrency, or the account's limit.
    pub concurrency_limit: u32,
}

/// Parameters of `observability.yaml`.
pub fn observability_parameters(env: &str, environment: &Environment, watched: &Watched<'_>) -> Parameters {
    let alarms = &environment.alarms;
    BTreeMap::from([
        ("EnvironmentName", env.to_owned()),
        ("StreamName", watched.stream_name.to_owned()),
        ("FunctionName", watched.function_name.to_owned()),
        ("FunctionTimeoutSeconds", environment.function.timeout_s.to_string()),
        ("ConcurrencyLimit", watched.concurrency_limit.to_string()),
        ("MappingId", watched.mapping_id.to_owned()),
        ("ReceiptsQueueName", watched.receipts_queue_name.to_owned()),
        ("DlqName", watched.dlq_name.to_owned()),
        ("LogGroupName", watched.log_group.to_owned()),
        ("NamePrefix", environment.account.name_prefix.clone()),
        ("IteratorAgeAlarmMs", alarms.iterator_age_ms.to_string()),
        ("ErrorRateAlarmPercent", alarms.error_rate_percent.to_string()),
        ("DurationAlarmPercentOfTimeout", alarms.duration_percent_of_timeout.to_string()),
        ("ConcurrencyAlarmPercentOfLimit", alarms.concurrency_percent_of_limit.to_string()),
        ("LambdaThrottlesAlarmCount", alarms.lambda_throttles.to_string()),
        ("WriteThrottlesAlarmCount", alarms.write_throttles.to_string()),
        ("ReadThrottlesAlarmCount", alarms.read_throttles.to_string()),
        ("DlqAlarmMessages", alarms.dlq_messages.to_string()),
    ])
}

/// As Lambda names it.
pub fn architecture_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "x86_64",
        Architecture::Arm64 => "arm64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::limits::TEMPLATE_BODY_MAX_BYTES;
    use crate::stack::tests::environment;

    fn declared(template: &str) -> Vec<String> {
        let yaml: serde_yaml::Value = serde_yaml::from_str(template).unwrap();
        let parameters = yaml["Parameters"].as_mapping().unwrap();
        let mut names: Vec<String> = parameters.keys().map(|key| key.as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    fn passed(parameters: &Parameters) -> Vec<String> {
        parameters.keys().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_passed_is_what_the_templates_declare() {
        let templates = Templates::embedded();
        let environment = environment();
        let pipeline = pipeline_parameters("e", &environment, Architecture::Arm64, "b", "k");
        assert_eq!(passed(&pipeline), declared(&templates.pipeline));
        let watched = Watched {
            stream_name: "s",
            function_name: "f",
            mapping_id: "m",
            receipts_queue_name: "r",
            dlq_name: "d",
            log_group: "l",
            concurrency_limit: 10,
        };
        let observability = observability_parameters("e", &environment, &watched);
        assert_eq!(passed(&observability), declared(&templates.observability));
    }

    #[test]
    fn the_dashboard_is_put_in_and_is_json_with_places_to_fill() {
        let templates = Templates::embedded();
        for text in [&templates.artifacts, &templates.pipeline, &templates.observability] {
            assert!(text.len() <= TEMPLATE_BODY_MAX_BYTES, "must fit a request body");
        }
        let yaml: serde_yaml::Value = serde_yaml::from_str(&templates.observability).unwrap();
        let body = &yaml["Resources"]["Dashboard"]["Properties"]["DashboardBody"];
        let serde_yaml::Value::Tagged(tagged) = body else { panic!("a !Sub") };
        let dashboard: serde_json::Value = serde_json::from_str(tagged.value.as_str().unwrap()).unwrap();
        assert_eq!(dashboard["widgets"].as_array().unwrap().len(), 14);
        let built_in: serde_json::Value =
            serde_json::from_str(include_str!("../../dashboards/pipeline.json")).unwrap();
        assert_eq!(dashboard, built_in);
    }

    #[test]
    fn the_role_can_be_left_out_of_ours_and_not_of_one_that_has_none() {
        let pipeline = Templates::embedded().pipeline;
        let left = without_role(&pipeline).unwrap();
        let names = |template: &str| -> Vec<String> {
            let yaml: serde_yaml::Value = serde_yaml::from_str(template).unwrap();
            let resources = yaml["Resources"].as_mapping().unwrap();
            resources.keys().map(|key| key.as_str().unwrap().to_owned()).collect()
        };
        let all: Vec<String> = names(&pipeline).into_iter().filter(|name| name != "FunctionRole").collect();
        assert_eq!(names(&left), all);
        assert!(!left.contains("GetAtt FunctionRole"), "nothing refers to it");
        assert_eq!(declared(&left), declared(&pipeline));
        let mut templates = Templates::embedded();
        templates.pipeline = "Resources: {}\n".into();
        let account = AccountSpec { function_role: Some("arn".into()), ..AccountSpec::default() };
        assert!(matches!(templates.pipeline_for(&account), Err(StackError::Template { .. })));
    }

    #[test]
    fn a_directory_stands_in_for_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("stacks")).unwrap();
        fs_err::write(dir.path().join("stacks/artifacts.yaml"), "mine").unwrap();
        let templates = Templates::from_dir(dir.path()).unwrap();
        assert_eq!(templates.artifacts, "mine");
        assert_eq!(templates.observability, Templates::embedded().observability);
    }
}
