//! Schedules through the real SDK client and the in-process door, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::error::ProvideErrorMetadata;
use aws_sdk_scheduler::types::{ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, Target};
use serde_json::json;

use super::schedule::DELETE_STACK;
use crate::local::cloud::{Cloud, CloudSettings, HostKind, LOCAL_ACCOUNT};
use crate::local::door::in_process::sdk_http_client;
use crate::platform::clients::{ClientSettings, Clients, Door, connect};
use crate::platform::clock::Clock;

/// 2023-11-14T22:13:20Z.
const STARTS_US: i64 = 1_700_000_000_000_000;
const IN_AN_HOUR: &str = "at(2023-11-14T23:13:20)";
const TEMPLATE: &str = r#"{"Resources": {"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {}}}}"#;

struct Field {
    cloud: Arc<Cloud>,
    clients: Clients,
}

impl Field {
    /// A cloud with a stack `victim` and the role `scheduler`.
    async fn new(faults: &[&str]) -> Field {
        let clock = Clock::starting_at(STARTS_US);
        let cloud = Cloud::start(CloudSettings {
            clock,
            region: "us-east-1".into(),
            account: LOCAL_ACCOUNT.into(),
            seed: 7,
            faults: faults.iter().map(|spec| spec.parse().unwrap()).collect(),
            work_dir: std::path::PathBuf::new(),
            host: HostKind::Process,
            memory: Default::default(),
        })
        .unwrap();
        let door = Door::InProcess(sdk_http_client(Arc::clone(&cloud)));
        let clients = connect(ClientSettings { region: None, door, clock }).await.unwrap();
        for (role, service) in [("scheduler", "scheduler.amazonaws.com"), ("lambda", "lambda.amazonaws.com")]
        {
            let trust = json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"},
            ]});
            let input = json!({"RoleName": role, "AssumeRolePolicyDocument": trust.to_string()});
            cloud.service("iam").unwrap().call("CreateRole", input).await.unwrap();
        }
        let create = clients.cloudformation.create_stack().stack_name("victim").template_body(TEMPLATE);
        create.send().await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        Field { cloud, clients }
    }

    fn client(&self) -> &Client {
        &self.clients.scheduler
    }

    async fn stands(&self) -> bool {
        self.clients.cloudformation.describe_stacks().stack_name("victim").send().await.is_ok()
    }
}

fn target(role: &str) -> Target {
    Target::builder()
        .arn(DELETE_STACK)
        .role_arn(format!("arn:aws:iam::{LOCAL_ACCOUNT}:role/{role}"))
        .input(r#"{"StackName": "victim"}"#)
        .build()
        .unwrap()
}

fn on_time() -> FlexibleTimeWindow {
    FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build().unwrap()
}

async fn create(client: &Client, expression: &str, role: &str) -> Result<(), (String, String)> {
    let call = client.create_schedule().name("end").schedule_expression(expression);
    let sent = call.target(target(role)).flexible_time_window(on_time()).send().await;
    let told = |text: Option<&str>| text.unwrap_or_default().to_owned();
    sent.map(drop).map_err(|error| (told(error.code()), told(error.message())))
}

#[tokio::test(start_paused = true)]
async fn a_schedule_deletes_its_stack_on_time_and_stays() {
    let field = Field::new(&[]).await;
    create(field.client(), IN_AN_HOUR, "scheduler").await.unwrap();
    let (code, message) = create(field.client(), IN_AN_HOUR, "scheduler").await.unwrap_err();
    assert_eq!((code.as_str(), message.as_str()), ("ConflictException", "Schedule end already exists."));
    let shown = field.client().get_schedule().name("end").send().await.unwrap();
    assert_eq!(shown.schedule_expression(), Some(IN_AN_HOUR));
    assert_eq!(shown.arn(), Some("arn:aws:scheduler:us-east-1:123456789012:schedule/default/end"));
    assert_eq!(shown.target().unwrap().arn(), DELETE_STACK);
    assert_eq!(shown.creation_date().unwrap().secs(), 1_700_000_060);

    tokio::time::sleep(Duration::from_secs(3_530)).await;
    assert!(field.stands().await, "ten seconds before its time");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!field.stands().await);
    // ActionAfterCompletion is NONE unless told otherwise: a one-time schedule stays after it fired.
    let listed = field.client().list_schedules().name_prefix("e").send().await.unwrap();
    assert_eq!(listed.schedules()[0].name(), Some("end"));
    field.client().delete_schedule().name("end").send().await.unwrap();
    let gone = field.client().delete_schedule().name("end").send().await.unwrap_err();
    assert_eq!(gone.code(), Some("ResourceNotFoundException"));
}

#[tokio::test(start_paused = true)]
async fn an_update_moves_the_time_and_delete_after_completion_removes_it() {
    let field = Field::new(&[]).await;
    create(field.client(), IN_AN_HOUR, "scheduler").await.unwrap();
    let update = field.client().update_schedule().name("end");
    let update = update.schedule_expression("at(2023-11-15T00:13:20)").flexible_time_window(on_time());
    let update = update.target(target("scheduler")).action_after_completion(ActionAfterCompletion::Delete);
    update.send().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2 * 3_600 - 100)).await;
    assert!(field.stands().await, "the first time has passed, the second has not");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(!field.stands().await);
    assert_eq!(field.client().list_schedules().send().await.unwrap().schedules().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_is_tried_again() {
    let field = Field::new(&["error:op=DeleteStack,rate=90%,seed=1"]).await;
    create(field.client(), IN_AN_HOUR, "scheduler").await.unwrap();
    tokio::time::sleep(Duration::from_secs(5 * 3_600)).await;
    assert!(!field.stands().await);
    let struck = field.cloud.context().faults.log();
    assert!(
        struck.iter().any(|event| event.op == "DeleteStack"),
        "the seed strikes at least once: {struck:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_work_is_refused() {
    let field = Field::new(&[]).await;
    for (expression, role, why) in [
        ("rate(1 hour)", "scheduler", "at(yyyy-mm-ddThh:mm:ss)"),
        ("at(tomorrow)", "scheduler", "at(yyyy-mm-ddThh:mm:ss)"),
        (IN_AN_HOUR, "lambda", "must allow AWS EventBridge Scheduler to assume the role"),
        (IN_AN_HOUR, "nobody", "must allow AWS EventBridge Scheduler to assume the role"),
    ] {
        let (code, message) = create(field.client(), expression, role).await.unwrap_err();
        assert_eq!(code, "ValidationException", "{expression} {role}: {message}");
        assert!(message.contains(why), "{expression} {role}: {message}");
    }
    let other = field.client().get_schedule().name("end").group_name("mine").send().await.unwrap_err();
    assert_eq!(other.message(), Some("Schedule group mine does not exist."));
}
