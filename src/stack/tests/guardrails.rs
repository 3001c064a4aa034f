//! What an account with guardrails asks for, against the endpoint's own services through the real SDK clients: the
//! service really holds each setting, and nothing stays behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use serde_json::{Value, json};

use super::environment;
use crate::local::cloud::{Cloud, CloudSettings, HostKind};
use crate::local::door::in_process::sdk_http_client;
use crate::local::lambda::host::in_process::{InProcessHost, Invocation};
use crate::plan::{Environment, VpcSpec};
use crate::platform::clients::{ClientSettings, Clients, Door, connect};
use crate::platform::clock::Clock;
use crate::stack::artifact::Artifact;
use crate::stack::{StackError, Standing, UpRequest, down, standing, status, up};

const KEY: &str = "arn:aws:kms:us-east-1:999988887777:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const ROLE: &str = "arn:aws:iam::123456789012:role/teams/streams/consumer";
const BOUNDARY: &str = "arn:aws:iam::123456789012:policy/boundary";

/// An account: the local services behind the SDK's clients.
struct Account {
    cloud: Arc<Cloud>,
    clients: Clients,
    clock: Clock,
    dir: tempfile::TempDir,
}

impl Account {
    async fn new() -> Account {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::starting_at(1_763_688_760_000_000);
        let handler = |_: Invocation| {
            Box::pin(async { Ok(Bytes::from_static(b"{}")) }) as crate::local::service::BoxFuture<'static, _>
        };
        let host = InProcessHost::new(clock, Arc::new(handler), Duration::from_millis(80), 1);
        let cloud = Cloud::start(CloudSettings {
            clock,
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            seed: 1,
            faults: Vec::new(),
            work_dir: dir.path().join("work"),
            host: HostKind::InProcess(Arc::new(host)),
            memory: Default::default(),
        })
        .unwrap();
        let door = Door::InProcess(sdk_http_client(Arc::clone(&cloud)));
        let clients = connect(ClientSettings { region: None, door, clock }).await.unwrap();
        Account { cloud, clients, clock, dir }
    }

    async fn up(&self, environment: &Environment) -> Result<Standing, StackError> {
        let script = self.dir.path().join("function");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        let request = UpRequest {
            env: "dev".into(),
            environment: environment.clone(),
            tags: BTreeMap::from([("cost-center".into(), "4711".into())]),
            function_zip: Artifact::from_executable(&script).unwrap(),
        };
        up(&self.clients, self.clock, &request, &|_| {}).await
    }

    /// Takes everything down and looks for what is left, service by service.
    async fn down(&self) {
        assert_eq!(down(&self.clients, self.clock, "dev", &|_| {}).await.unwrap(), Vec::<String>::new());
        assert!(self.clients.kinesis.list_streams().send().await.unwrap().stream_names().is_empty());
        assert!(self.clients.lambda.list_functions().send().await.unwrap().functions().is_empty());
        assert!(self.clients.sqs.list_queues().send().await.unwrap().queue_urls().is_empty());
        assert!(self.clients.s3.list_buckets().send().await.unwrap().buckets().is_empty());
        assert!(self.clients.logs.describe_log_groups().send().await.unwrap().log_groups().is_empty());
        let alarms = self.clients.cloudwatch.describe_alarms().send().await.unwrap();
        assert!(alarms.metric_alarms().is_empty() && alarms.composite_alarms().is_empty());
        assert_eq!(self.ask("iam", "ListRoles", json!({})).await["Roles"], json!([]));
        self.cloud.end().await;
    }

    async fn ask(&self, service: &str, operation: &str, input: Value) -> Value {
        self.cloud.service(service).unwrap().call(operation, input).await.unwrap()
    }

    /// What each thing that can be tagged is, and its tags as text.
    async fn tags(&self, stood: &Standing) -> Vec<(&'static str, String)> {
        let clients = &self.clients;
        let stream = clients.kinesis.list_tags_for_stream().stream_name(&stood.stream_name).send().await;
        let queue = clients.sqs.list_queue_tags().queue_url(&stood.dlq_url).send().await;
        let arn = format!("arn:aws:logs:us-east-1:123456789012:log-group:{}", stood.log_group);
        let group = clients.logs.list_tags_for_resource().resource_arn(arn).send().await;
        let arn =
            format!("arn:aws:lambda:us-east-1:123456789012:event-source-mapping:{}", stood.mapping_uuid);
        let mapping = clients.lambda.list_tags().resource(arn).send().await;
        vec![
            ("stream", format!("{:?}", stream.unwrap())),
            ("queue", format!("{:?}", queue.unwrap())),
            ("log group", format!("{:?}", group.unwrap())),
            ("mapping", format!("{:?}", mapping.unwrap())),
        ]
    }

    async fn queue_key(&self, url: &str) -> Option<String> {
        let call = self.clients.sqs.get_queue_attributes().queue_url(url);
        let answer = call.attribute_names(QueueAttributeName::All).send().await.unwrap();
        answer.attributes().unwrap().get(&QueueAttributeName::KmsMasterKeyId).cloned()
    }
}

fn plain() -> Environment {
    let mut environment = environment();
    environment.function.parallelization = 1;
    environment
}

#[tokio::test(start_paused = true)]
async fn one_key_encrypts_everything_that_is_kept() {
    let account = Account::new().await;
    let mut environment = plain();
    environment.account.kms_key = Some(KEY.into());
    let stood = account.up(&environment).await.unwrap();
    let of = account.clients.kinesis.describe_stream_summary().stream_name(&stood.stream_name);
    let summary = of.send().await.unwrap().stream_description_summary.unwrap();
    assert_eq!((summary.encryption_type.unwrap().as_str(), summary.key_id.as_deref()), ("KMS", Some(KEY)));
    for url in [&stood.receipts_queue_url, &stood.dlq_url] {
        assert_eq!(account.queue_key(url).await.as_deref(), Some(KEY));
    }
    let groups = account.clients.logs.describe_log_groups().send().await.unwrap();
    assert_eq!(groups.log_groups()[0].kms_key_id(), Some(KEY));
    let of = account.clients.lambda.get_function_configuration().function_name(&stood.function_name);
    assert_eq!(of.send().await.unwrap().kms_key_arn(), Some(KEY));
    let policy = role_policy(&account, "streamgauge-dev-us-east-1-function").await;
    let keys = statement(&policy, "UseTheKeys").expect("the role may use the key");
    assert_eq!(keys["Resource"], json!([KEY]));
    account.down().await;
}

#[tokio::test(start_paused = true)]
async fn the_streams_own_key_wins_and_the_one_of_aws_needs_no_permission() {
    let account = Account::new().await;
    let mut environment = plain();
    environment.stream.encryption_key = Some("alias/aws/kinesis".into());
    let stood = account.up(&environment).await.unwrap();
    let of = account.clients.kinesis.describe_stream_summary().stream_name(&stood.stream_name);
    let summary = of.send().await.unwrap().stream_description_summary.unwrap();
    assert_eq!(summary.key_id.as_deref(), Some("alias/aws/kinesis"));
    assert_eq!(account.queue_key(&stood.dlq_url).await, None);
    let policy = role_policy(&account, "streamgauge-dev-us-east-1-function").await;
    assert_eq!(statement(&policy, "UseTheKeys"), None);
    assert_eq!(statement(&policy, "AttachToTheNetwork"), None);
    account.down().await;
}

#[tokio::test(start_paused = true)]
async fn the_role_has_its_boundary_and_path_and_everything_the_mandatory_tag() {
    let account = Account::new().await;
    let mut environment = plain();
    environment.account.permissions_boundary = Some(BOUNDARY.into());
    environment.account.role_path = "/teams/streams/".into();
    environment.account.vpc = Some(VpcSpec {
        subnets: vec!["subnet-1".into(), "subnet-2".into()],
        security_groups: vec!["sg-1".into()],
    });
    let stood = account.up(&environment).await.unwrap();
    let name = json!({"RoleName": "streamgauge-dev-us-east-1-function"});
    let role = &account.ask("iam", "GetRole", name).await["Role"];
    assert_eq!(role["PermissionsBoundary"]["PermissionsBoundaryArn"], BOUNDARY);
    assert_eq!(role["Path"], "/teams/streams/");
    assert!(role["Tags"].to_string().contains("4711"), "{role}");
    let function = account.clients.lambda.get_function().function_name(&stood.function_name).send().await;
    let function = function.unwrap();
    assert_eq!(function.tags().unwrap()["cost-center"], "4711");
    for (what, tags) in account.tags(&stood).await {
        assert!(tags.contains("cost-center") && tags.contains("4711"), "{what}: {tags}");
    }
    let configuration = function.configuration().unwrap();
    assert_eq!(configuration.role(), role["Arn"].as_str());
    let network = configuration.vpc_config().unwrap();
    assert_eq!(network.subnet_ids(), ["subnet-1", "subnet-2"]);
    assert_eq!(network.security_group_ids(), ["sg-1"]);
    let policy = role_policy(&account, "streamgauge-dev-us-east-1-function").await;
    let attach = statement(&policy, "AttachToTheNetwork").expect("the role may attach to the network");
    assert!(attach["Action"].to_string().contains("ec2:CreateNetworkInterface"));
    account.down().await;
}

/// The endpoint refuses every template with an IAM resource that comes without CAPABILITY_NAMED_IAM.
#[tokio::test(start_paused = true)]
async fn with_a_role_that_is_there_none_is_made_and_no_leave_to_make_one_is_asked() {
    let account = Account::new().await;
    let mut environment = plain();
    environment.account.function_role = Some(ROLE.into());
    environment.account.cloudformation_role = Some("arn:aws:iam::123456789012:role/deployer".into());
    let stood = account.up(&environment).await.unwrap();
    assert_eq!(account.ask("iam", "ListRoles", json!({})).await["Roles"], json!([]));
    let of = account.clients.lambda.get_function_configuration().function_name(&stood.function_name);
    assert_eq!(of.send().await.unwrap().role(), Some(ROLE));
    let stacks = account.clients.cloudformation.describe_stacks().send().await.unwrap();
    // Pipeline and observability: the bucket's stack went when the function stood.
    assert_eq!(stacks.stacks().len(), 2);
    for stack in stacks.stacks() {
        assert_eq!(stack.role_arn(), Some("arn:aws:iam::123456789012:role/deployer"));
        assert!(stack.capabilities().is_empty(), "{:?}", stack.stack_name());
    }
    account.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_prefix_starts_every_name_and_the_environment_is_found_without_it() {
    let account = Account::new().await;
    let mut environment = plain();
    environment.account.name_prefix = "acme-load".into();
    let stood = account.up(&environment).await.unwrap();
    assert_eq!(stood.stream_name, "acme-load-dev-stream");
    assert_eq!((stood.alarms, stood.dashboards), (9, 1));
    let listed = status(&account.clients, "dev").await.unwrap();
    assert_eq!(listed.stacks.len(), 2);
    for stack in &listed.stacks {
        for resource in &stack.resources {
            let (kind, id) = (&resource.kind, &resource.physical_id);
            // A mapping's id is of Lambda's making; a bucket policy's is the bucket.
            let named = id.contains("acme-load-dev") || kind == "AWS::Lambda::EventSourceMapping";
            assert!(named && !id.contains("streamgauge"), "{kind} {id}");
        }
    }
    assert_eq!(standing(&account.clients, "dev").await.unwrap().unwrap().dlq_url, stood.dlq_url);

    let error = account.up(&plain()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "stack acme-load-dev-pipeline stands already; its names start with acme-load, the plan's with streamgauge"
    );
    account.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_mapping_has_the_plans_filter() {
    let account = Account::new().await;
    let mut environment = plain();
    let patterns = [r#"{"partitionKey": ["key-000001"]}"#, r#"{"data": {"kind": ["order"]}}"#];
    environment.function.filters = patterns.map(str::to_owned).to_vec();
    let stood = account.up(&environment).await.unwrap();
    let of =
        account.clients.lambda.get_event_source_mapping().uuid(&stood.mapping_uuid).send().await.unwrap();
    let kept: Vec<&str> =
        of.filter_criteria().unwrap().filters().iter().filter_map(|filter| filter.pattern()).collect();
    assert_eq!(kept, patterns);
    account.down().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_local_lambda_does_not_have_is_refused_by_name_and_leaves_nothing() {
    let account = Account::new().await;
    let mut environment = plain();
    environment.function.provisioned_concurrency = Some(2);
    let error = account.up(&environment).await.unwrap_err();
    let StackError::Failed { resource, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(resource, "FunctionVersion");
    assert!(reason.contains("the local endpoint has no versions and no aliases"), "{reason}");
    assert_eq!(down(&account.clients, account.clock, "dev", &|_| {}).await.unwrap(), Vec::<String>::new());

    let mut environment = plain();
    environment.function.enhanced_fan_out = true;
    let error = account.up(&environment).await.unwrap_err();
    let StackError::Failed { resource, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(resource, "Mapping");
    assert!(reason.contains("does not have enhanced fan-out consumers"), "{reason}");
    account.down().await;
}

async fn role_policy(account: &Account, role: &str) -> Value {
    let input = json!({"RoleName": role, "PolicyName": "consume"});
    let policy = account.ask("iam", "GetRolePolicy", input).await;
    let document = policy["PolicyDocument"].as_str().unwrap();
    let pair = format!("document={document}");
    let (_, decoded) = form_urlencoded::parse(pair.as_bytes()).next().unwrap();
    serde_json::from_str(&decoded).unwrap()
}

fn statement(policy: &Value, sid: &str) -> Option<Value> {
    policy["Statement"].as_array().unwrap().iter().find(|one| one["Sid"] == sid).cloned()
}
