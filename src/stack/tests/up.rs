//! Up, status, standing and down, through the real SDK clients in virtual time.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::door::{Objects, Throttles, answering, http_client, refusing};
use super::environment;
use crate::local::cloudformation::tests::Bench;
use crate::plan::Architecture;
use crate::platform::clients::{ClientSettings, Clients, Door, connect};
use crate::platform::clock::Clock;
use crate::stack::artifact::Artifact;
use crate::stack::{StackError, Standing, UpRequest, down, standing, status, up};

pub struct Field {
    pub bench: Bench,
    pub objects: Objects,
    pub throttles: Throttles,
    pub clients: Clients,
    pub clock: Clock,
    pub told: RefCell<Vec<String>>,
}

impl Field {
    pub async fn new() -> Field {
        let (bench, objects, throttles) = (Bench::new(), Objects::default(), Throttles::default());
        let clock = Clock::starting_at(1_700_000_000_000_000);
        let http = http_client(bench.cloudformation.clone(), objects.clone(), throttles.clone());
        let settings = ClientSettings { region: None, door: Door::InProcess(http), clock };
        let clients = connect(settings).await.unwrap();
        Field { bench, objects, throttles, clients, clock, told: RefCell::default() }
    }

    pub async fn up(&self, request: &UpRequest) -> Result<Standing, StackError> {
        up(&self.clients, self.clock, request, &|line| self.told.borrow_mut().push(line.to_owned())).await
    }

    pub async fn down(&self) -> Result<Vec<String>, StackError> {
        down(&self.clients, self.clock, "dev", &|line| self.told.borrow_mut().push(line.to_owned())).await
    }
}

pub fn request() -> UpRequest {
    UpRequest {
        env: "dev".into(),
        environment: environment(),
        tags: BTreeMap::from([("team".into(), "streams".into())]),
        function_zip: Artifact {
            zip: bytes::Bytes::from_static(b"PK stand-in"),
            sha256: "ab12".into(),
            architecture: Some(Architecture::X86_64),
            source: "consumer".into(),
            unzipped_bytes: 11,
            glibc: None,
            is_script: false,
        },
    }
}

#[tokio::test(start_paused = true)]
async fn an_environment_goes_up_is_found_again_and_goes_down() {
    let field = Field::new().await;
    assert_eq!(standing(&field.clients, "dev").await.unwrap(), None);
    let stood = field.up(&request()).await.unwrap();
    assert_eq!(stood.account, "111122223333");
    assert_eq!(stood.stream_arn, "arn:stream:streamgauge-dev-stream");
    assert_eq!((stood.shards, stood.retention_hours, stood.retries), (2, 48, 5));
    assert_eq!(stood.concurrency_limit, Some(900));
    assert_eq!((stood.alarms, stood.dashboards), (9, 1));
    assert!(stood.up_us.unwrap() >= stood.created_us && stood.created_us > 1_600_000_000_000_000);
    assert!(field.objects.lock().unwrap().is_empty(), "the bucket goes once the function stands");
    assert!(field.bench.calls("DeleteBucket").len() == 1);
    let function = &field.bench.calls("CreateFunction")[0];
    assert_eq!(function["Code"]["S3Key"], "function/ab12.zip");
    assert_eq!(function["Tags"]["team"], "streams");
    let told = field.told.borrow().join("\n");
    assert!(
        told.contains("streamgauge-dev-pipeline: CREATE_COMPLETE Stream (AWS::Kinesis::Stream)"),
        "{told}"
    );

    // Again: nothing to do. From elsewhere: found without local state.
    let calls = field.bench.log.lock().unwrap().calls.len();
    field.up(&request()).await.unwrap();
    assert_eq!(field.bench.log.lock().unwrap().calls.len(), calls);
    let found = standing(&field.clients, "dev").await.unwrap().unwrap();
    assert_eq!(Standing { up_us: None, ..stood }, found);
    let listed = status(&field.clients, "dev").await.unwrap();
    let names: Vec<&str> = listed.stacks.iter().map(|stack| stack.name.as_str()).collect();
    assert_eq!(names, ["streamgauge-dev-pipeline", "streamgauge-dev-observability"]);
    assert_eq!(listed.stacks[0].resources.len(), 7);

    assert_eq!(field.down().await.unwrap(), Vec::<String>::new());
    assert!(field.objects.lock().unwrap().is_empty());
    assert!(field.bench.standing().is_empty());
    assert!(status(&field.clients, "dev").await.unwrap().stacks.is_empty());
    assert_eq!(field.down().await.unwrap(), Vec::<String>::new(), "down can be repeated");
}

#[tokio::test(start_paused = true)]
async fn the_first_cause_is_told_and_down_removes_the_rest() {
    let field = Field::new().await;
    field.bench.fail("CreateFunction", "InvalidParameterValueException", "The role cannot be assumed.");
    let error = field.up(&request()).await.unwrap_err();
    let StackError::Failed { stack, resource, kind, reason } = &error else { panic!("{error}") };
    assert_eq!((stack.as_str(), resource.as_str()), ("streamgauge-dev-pipeline", "Function"));
    assert_eq!(kind, "AWS::Lambda::Function");
    assert!(reason.contains("The role cannot be assumed."), "{reason}");
    assert!(error.hint().contains("streamgauge down"));

    // What is left explains itself to another `up`, and to `standing`.
    let again = field.up(&request()).await.unwrap_err();
    assert!(matches!(&again, StackError::State { status, .. } if status == "ROLLBACK_COMPLETE"), "{again}");
    assert!(standing(&field.clients, "dev").await.is_err());
    assert_eq!(field.down().await.unwrap(), Vec::<String>::new());
    assert!(field.bench.standing().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_deleted_is_named() {
    let field = Field::new().await;
    field.up(&request()).await.unwrap();
    field.bench.fail("DeleteStream", "ResourceInUseException", "consumers are registered");
    let left = field.down().await.unwrap();
    assert!(left[0].starts_with("stack streamgauge-dev-pipeline: DELETE_FAILED"), "{left:?}");
    let stream = left.iter().find(|line| line.starts_with("AWS::Kinesis::Stream")).unwrap();
    assert!(stream.contains("streamgauge-dev-stream: DELETE_FAILED"), "{stream}");
    assert!(stream.contains("consumers are registered"), "{stream}");
}

#[tokio::test(start_paused = true)]
async fn requests_that_cannot_work_are_refused_before_anything_is_sent() {
    let field = Field::new().await;
    for env in ["", "Dev", "1st", "dev-", "a-name-that-is-too-long"] {
        let error = field.up(&UpRequest { env: env.into(), ..request() }).await.unwrap_err();
        assert!(matches!(error, StackError::Name { .. }), "{env}");
    }
    let mut other = request();
    other.environment.function.architecture = Some(Architecture::Arm64);
    let error = field.up(&other).await.unwrap_err();
    assert_eq!(error.to_string(), "the function's zip is for x86_64, the plan asks for arm64");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_not_there_cannot_be_reached() {
    let settings =
        ClientSettings { region: None, door: Door::InProcess(refusing()), clock: Clock::starting_at(0) };
    let clients = connect(settings).await.unwrap();
    let error = status(&clients, "dev").await.unwrap_err();
    assert_eq!(error.to_string(), "cannot reach CloudFormation to list stacks: connection refused");
    let error = down(&clients, Clock::starting_at(0), "dev", &|_| {}).await.unwrap_err();
    assert!(matches!(error, StackError::Unreachable { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_credentials_are_told_apart() {
    let field = Field::new().await;
    for (code, plain) in [
        ("ExpiredToken", "CloudFormation does not accept the credentials to list stacks: ExpiredToken: why"),
        ("AccessDenied", "not allowed to list stacks: why"),
        ("Throttling", "CloudFormation refused to list stacks: Throttling: why (request request-1)"),
    ] {
        let http = answering(code);
        let settings = ClientSettings { region: None, door: Door::InProcess(http), clock: field.clock };
        let clients = connect(settings).await.unwrap();
        assert_eq!(status(&clients, "dev").await.unwrap_err().to_string(), plain);
    }
}
