//! The whole examination in virtual time: the real clients against the local services, with single answers replaced.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::*;
use crate::local::cloud::{Cloud, CloudSettings, HostKind};
use crate::local::door::in_process::sdk_http_client;
use crate::platform::clients::{ClientSettings, Door, connect};
use crate::stack::{UpRequest, up};

const NOW_US: WallUs = 1_795_241_164_000_000; // 2026-11-21T06:06:04Z
const QUICKSTART: &str = include_str!("../../../plans/quickstart.yaml");

/// What is put in the place of an answer.
#[derive(Clone, Copy, Debug)]
struct Replaced {
    /// Part of the request's service, target, address and body.
    request: &'static str,
    status: u16,
    body: &'static str,
}

/// The local services, further away than they are.
#[derive(Clone, Debug, Default)]
struct World {
    replaced: Vec<Replaced>,
    faults: Vec<&'static str>,
    round_trip: Duration,
    /// Of the service's clock before ours.
    date_ahead_s: i64,
}

#[derive(Clone, Debug)]
struct Between {
    world: World,
    inner: SharedHttpConnector,
    clock: Clock,
}

impl HttpConnector for Between {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        let service_us = this.clock.now_us() + this.world.date_ahead_s * 1_000_000;
        let at = jiff::Timestamp::from_microsecond(service_us).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let date = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let header = |name| request.headers().get(name).unwrap_or_default().to_owned();
        let service = header("authorization").split('/').nth(3).unwrap_or_default().to_owned();
        let body = request.body().bytes().map(|body| String::from_utf8_lossy(body).into_owned());
        let asked =
            format!("{service} {} {} {}", header("x-amz-target"), request.uri(), body.unwrap_or_default());
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(this.world.round_trip).await;
            let replaced = this.world.replaced.iter().find(|replaced| asked.contains(replaced.request));
            let mut answer = match replaced {
                Some(replaced) => {
                    let status = replaced.status.try_into().unwrap();
                    HttpResponse::new(status, SdkBody::from(replaced.body))
                }
                None => this.inner.call(request).await?,
            };
            answer.headers_mut().insert("date", date);
            Ok(answer)
        })
    }
}

struct Field {
    clients: Clients,
    clock: Clock,
    work: tempfile::TempDir,
}

impl World {
    async fn open(&self) -> Field {
        let (clock, work) = (Clock::starting_at(NOW_US), tempfile::tempdir().unwrap());
        let cloud = Cloud::start(CloudSettings {
            clock,
            region: "us-east-1".into(),
            account: "123456789012".into(),
            seed: 1,
            faults: self.faults.iter().map(|spec| spec.parse().unwrap()).collect(),
            work_dir: work.path().into(),
            host: HostKind::Process,
            memory: Default::default(),
        });
        let inner: SharedHttpClient = sdk_http_client(cloud.unwrap());
        let world = self.clone();
        let http = http_client_fn(move |settings: &HttpConnectorSettings, parts: &RuntimeComponents| {
            let inner = inner.http_connector(settings, parts);
            SharedHttpConnector::new(Between { world: world.clone(), inner, clock })
        });
        let settings = ClientSettings { region: None, door: Door::InProcess(http), clock };
        Field { clients: connect(settings).await.unwrap(), clock, work }
    }

    async fn examined(&self, plan: Option<&str>) -> Vec<Finding> {
        self.open().await.examined(plan).await
    }
}

impl Field {
    async fn examined(&self, plan: Option<&str>) -> Vec<Finding> {
        let plan = plan.map(|text| crate::plan::parse(text).unwrap());
        let headroom = Headroom {
            probe: Probe::of(plan.as_ref()),
            records_per_s: 50_000.0,
            cpus: 4,
            open_files_max: Some(65_536),
        };
        let money = Money {
            book_region: "us-east-1".into(),
            book_as_of: "2026-11-20".into(),
            forecast_usd: plan.as_ref().map(|_| rust_decimal::Decimal::ONE),
            incomplete: false,
        };
        let artifact = Ok(artifact());
        let request = DoctorRequest {
            env: "dev",
            plan: plan.as_ref(),
            artifact: &artifact,
            headroom: &headroom,
            money: &money,
        };
        let findings = examine(&self.clients, self.clock, &request).await;
        for finding in &findings {
            let has_hint = finding.hint.as_ref().is_some_and(|hint| !hint.is_empty());
            assert_eq!(has_hint, finding.level != Level::Ok, "{finding:?}");
            assert!(!finding.found.contains('\n'), "{finding:?}");
        }
        findings
    }
}

fn artifact() -> Artifact {
    Artifact {
        zip: bytes::Bytes::from_static(b"PK stand-in"),
        sha256: "ab12".into(),
        architecture: None,
        source: "consumer".into(),
        unzipped_bytes: 11,
        glibc: None,
        is_script: false,
    }
}

/// Check -> level, leaving out what is ok.
fn not_ok(findings: &[Finding]) -> BTreeMap<&'static str, Level> {
    findings.iter().filter(|f| f.level != Level::Ok).map(|f| (f.check, f.level)).collect()
}

#[track_caller]
fn finding<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.check == check).unwrap_or_else(|| panic!("{check}: {findings:#?}"))
}

/// The local account's caller is its root user, which is worth a warning.
const ROOT: (&str, Level) = ("permissions", Level::Warning);

#[tokio::test(start_paused = true)]
async fn an_account_where_all_is_well_has_no_stop_and_every_check() {
    let findings = World::default().examined(Some(QUICKSTART)).await;
    assert_eq!(not_ok(&findings), BTreeMap::from([ROOT]));
    let checks: Vec<&str> = findings.iter().map(|finding| finding.check).collect();
    assert_eq!(
        checks,
        [
            "region",
            "identity",
            "permissions",
            "stacks",
            "may-put-record",
            "may-put-records",
            "templates",
            "round-trip",
            "clock",
            "stream-quota",
            "concurrency",
            "stream-capacity",
            "record-size",
            "function-code",
            "generator",
            "open-files",
            "price-book",
            "forecast"
        ]
    );
    let alone = World::default().examined(None).await;
    assert_eq!(not_ok(&alone), BTreeMap::from([ROOT]));
    assert!(alone.iter().all(|finding| finding.check != "stream-capacity"));
}

#[tokio::test(start_paused = true)]
async fn a_plan_beyond_its_shards_is_stopped_and_told_how_many_it_needs() {
    let text = QUICKSTART.replacen("target: 500", "target: 2500", 2);
    let findings = World::default().examined(Some(&text)).await;
    let capacity = finding(&findings, "stream-capacity");
    assert_eq!((capacity.level, capacity.concern), (Level::Stop, Concern::Plan));
    assert_eq!(capacity.needed.as_deref(), Some("3 shard(s)"));
    assert!(capacity.hint.as_ref().unwrap().contains("shards to 3"), "{capacity:?}");
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_are_one_stop_and_hide_nothing() {
    const XML: &str = "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>The security token included in the \
                       request is expired</Message></Error></ErrorResponse>";
    const JSON: &str = r#"{"__type":"ExpiredTokenException","message":"The security token is expired"}"#;
    let replaced = [("sts ", XML), ("cloudformation ", XML), ("kinesis ", JSON), ("lambda ", JSON)];
    let replaced = replaced.map(|(request, body)| Replaced { request, status: 403, body });
    let findings = World { replaced: replaced.to_vec(), ..World::default() }.examined(Some(QUICKSTART)).await;
    let stops: Vec<&str> =
        findings.iter().filter(|f| f.level == Level::Stop).map(|finding| finding.check).collect();
    assert_eq!(stops, ["identity"], "{findings:#?}");
    assert!(finding(&findings, "identity").found.contains("expired"));
    assert_eq!(finding(&findings, "stream-capacity").level, Level::Ok);
    // A refusal is a round trip, too.
    assert_eq!(finding(&findings, "round-trip").level, Level::Ok);
}

#[tokio::test(start_paused = true)]
async fn each_permission_that_is_missing_is_named_and_hides_nothing_else() {
    const XML: &str = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>User me is not authorized to perform: \
                       that</Message></Error></ErrorResponse>";
    const JSON: &str =
        r#"{"__type":"AccessDeniedException","message":"User me is not authorized to perform: that"}"#;
    let cases = [
        ("Kinesis_20131202.PutRecord ", JSON, "may-put-record", Level::Stop),
        ("Kinesis_20131202.PutRecords ", JSON, "may-put-records", Level::Stop),
        ("Kinesis_20131202.DescribeLimits", JSON, "stream-quota", Level::Warning),
        ("account-settings", JSON, "concurrency", Level::Warning),
        ("Action=DescribeStacks", XML, "stacks", Level::Stop),
        ("Action=ValidateTemplate", XML, "templates", Level::Warning),
        ("Action=GetCallerIdentity", XML, "identity", Level::Stop),
    ];
    for (request, body, check, level) in cases {
        let world = World { replaced: vec![Replaced { request, status: 403, body }], ..World::default() };
        let findings = world.examined(Some(QUICKSTART)).await;
        assert_eq!(not_ok(&findings), BTreeMap::from([ROOT, (check, level)]), "{request}");
        assert!(finding(&findings, check).found.contains("that"), "{:?}", finding(&findings, check));
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_is_told_as_throttling() {
    let world = World { faults: vec!["throttle:rate=100%,op=DescribeStacks"], ..World::default() };
    let findings = world.examined(None).await;
    let stacks = finding(&findings, "stacks");
    assert_eq!(stacks.level, Level::Stop);
    assert!(stacks.hint.as_ref().unwrap().contains("wait a minute"), "{stacks:?}");
    assert_eq!(finding(&findings, "stream-quota").level, Level::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_answers_is_given_up() {
    let world = World { round_trip: Duration::from_secs(3_600), ..World::default() };
    let field = world.open().await;
    let started = field.clock.instant();
    let findings = field.examined(Some(QUICKSTART)).await;
    // The stacks are asked for longest: throttling is waited out.
    assert!(field.clock.instant() - started < 5 * QUESTION_BOUND);
    assert_eq!(finding(&findings, "identity").level, Level::Stop);
    assert_eq!(finding(&findings, "clock").level, Level::Warning);
    assert_eq!(finding(&findings, "stream-capacity").level, Level::Ok);
}

#[tokio::test(start_paused = true)]
async fn distance_and_clock_are_measured() {
    let world = World { round_trip: Duration::from_millis(120), date_ahead_s: 290, ..World::default() };
    let findings = world.examined(Some(QUICKSTART)).await;
    let distance = finding(&findings, "round-trip");
    assert_eq!(distance.level, Level::Stop);
    assert!(distance.found.starts_with("p50 120."), "{distance:?}");
    assert_eq!(finding(&findings, "clock").level, Level::Stop);
    let world = World { date_ahead_s: -3, ..World::default() };
    let clock = finding(&world.examined(None).await, "clock").clone();
    assert_eq!(clock.level, Level::Warning);
    assert!(clock.found.contains("+3.0 s"), "{clock:?}");
}

#[tokio::test(start_paused = true)]
async fn a_role_is_simulated_call_by_call() {
    const CALLER: Replaced = Replaced {
        request: "Action=GetCallerIdentity",
        status: 200,
        body: "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>\
               <Arn>arn:aws:sts::123456789012:assumed-role/Tester/me</Arn></GetCallerIdentityResult>\
               </GetCallerIdentityResponse>",
    };
    const ROLE: Replaced = Replaced {
        request: "Action=GetRole",
        status: 200,
        body: "<GetRoleResponse><GetRoleResult><Role><Path>/teams/</Path><RoleName>Tester</RoleName><RoleId>A</RoleId>\
               <Arn>arn:aws:iam::123456789012:role/teams/Tester</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>\
               </Role></GetRoleResult></GetRoleResponse>",
    };
    const ALLOWED: Replaced = Replaced {
        request: "Action=SimulatePrincipalPolicy&Version=2010-05-08&PolicySourceArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fteams%2FTester",
        status: 200,
        body: "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults><member>\
               <EvalActionName>sqs:DeleteMessage</EvalActionName><EvalDecision>allowed</EvalDecision></member>\
               </EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>",
    };
    let denied = Replaced {
        body: "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults>\
               <member><EvalActionName>sqs:DeleteMessage</EvalActionName><EvalDecision>implicitDeny</EvalDecision>\
               </member></EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>",
        ..ALLOWED
    };
    let of = async |simulated: Replaced| {
        let world = World { replaced: vec![CALLER, ROLE, simulated], ..World::default() };
        finding(&world.examined(None).await, "permissions").clone()
    };
    assert_eq!(of(ALLOWED).await.level, Level::Ok);
    let stop = of(denied).await;
    assert_eq!(stop.level, Level::Stop);
    assert!(stop.found.contains("sqs:DeleteMessage"), "{stop:?}");
    let refused = Replaced {
        request: "Action=SimulatePrincipalPolicy",
        status: 403,
        body: "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>",
    };
    let warning = of(refused).await;
    assert_eq!(warning.level, Level::Warning);
    assert!(warning.found.starts_with("could not check"), "{warning:?}");
}

#[tokio::test(start_paused = true)]
async fn what_stands_counts_and_not_what_the_plan_asks_for() {
    let field = World::default().open().await;
    let plan = crate::plan::parse(QUICKSTART).unwrap();
    let script = field.work.path().join("function");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let request = UpRequest {
        env: "dev".into(),
        environment: plan.environment.clone(),
        tags: plan.tags.clone(),
        function_zip: Artifact::from_executable(&script).unwrap(),
    };
    up(&field.clients, field.clock, &request, &|_| {}).await.unwrap();
    let findings = field.examined(Some(QUICKSTART)).await;
    assert_eq!(not_ok(&findings), BTreeMap::from([ROOT]));
    assert!(finding(&findings, "stacks").found.contains("stands"));
    assert!(finding(&findings, "may-put-record").found.ends_with("(dry run)"));

    let larger = QUICKSTART.replacen("target: 500", "target: 2500", 2).replacen("shards: 1", "shards: 3", 1);
    let findings = field.examined(Some(&larger)).await;
    assert!(finding(&findings, "environment").found.contains("shards 1, not 3"));
    let capacity = finding(&findings, "stream-capacity");
    assert_eq!(capacity.level, Level::Stop);
    assert!(capacity.hint.as_ref().unwrap().contains("streamgauge down"), "{capacity:?}");
}
