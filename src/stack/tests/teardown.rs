//! The dead man's switch, leftovers, `down` under faults and `sweep`: the whole local cloud behind the in-process
//! door, in virtual time.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::environment;
use crate::local::cloud::{Cloud, CloudSettings, HostKind, LOCAL_ACCOUNT};
use crate::local::door::in_process::sdk_http_client;
use crate::local::lambda::host::in_process::{InProcessHost, Invocation};
use crate::plan::Architecture;
use crate::platform::clients::{ClientSettings, Clients, Door, connect};
use crate::platform::clock::Clock;
use crate::session::lifetime;
use crate::session::progress::Silent;
use crate::stack::artifact::Artifact;
use crate::stack::leftovers::Kind;
use crate::stack::{self, StackError, UpRequest, sweep, ttl};

const STARTS_US: i64 = 1_763_688_760_000_000;
const HOUR_US: i64 = 3_600_000_000;
const HOUR: Duration = Duration::from_secs(3_600);

struct Field {
    _cloud: Arc<Cloud>,
    clients: Clients,
    clock: Clock,
    told: RefCell<Vec<String>>,
}

impl Field {
    async fn new(faults: &[&str]) -> Field {
        let clock = Clock::starting_at(STARTS_US);
        let answer = |_: Invocation| Box::pin(async { Ok(Bytes::from_static(b"{}")) }) as _;
        let host = InProcessHost::new(clock, Arc::new(answer), Duration::from_millis(80), 7);
        let cloud = Cloud::start(CloudSettings {
            clock,
            region: "us-east-1".into(),
            account: LOCAL_ACCOUNT.into(),
            seed: 7,
            faults: faults.iter().map(|spec| spec.parse().unwrap()).collect(),
            work_dir: std::path::PathBuf::new(),
            host: HostKind::InProcess(Arc::new(host)),
            memory: Default::default(),
        })
        .unwrap();
        let door = Door::InProcess(sdk_http_client(Arc::clone(&cloud)));
        let clients = connect(ClientSettings { region: None, door, clock }).await.unwrap();
        Field { _cloud: cloud, clients, clock, told: RefCell::default() }
    }

    fn tell(&self, line: &str) {
        self.told.borrow_mut().push(line.to_owned());
    }

    /// Puts `dev` up, with a switch for `life` from now.
    async fn up(&self, life: Option<Duration>) {
        let request = request();
        let tell = |line: &str| self.tell(line);
        if let Some(life) = life {
            let ends_us = self.clock.now_us() + life.as_micros() as i64;
            let account = &request.environment.account;
            let guarded = ttl::Guarded { env: "dev", account, tags: &request.tags };
            ttl::ensure(&self.clients, self.clock, guarded, ends_us, &tell).await.unwrap();
        }
        stack::up(&self.clients, self.clock, &request, &tell).await.unwrap();
    }

    async fn down(&self) -> Result<Vec<String>, StackError> {
        stack::down(&self.clients, self.clock, "dev", &|line| self.tell(line)).await
    }

    async fn stacks(&self) -> Vec<String> {
        let status = stack::status(&self.clients, "dev").await.unwrap();
        status.stacks.into_iter().map(|stack| stack.name).collect()
    }

    async fn plant_queue(&self, name: &str, tags: &[(&str, &str)]) {
        let call =
            tags.iter().fold(self.clients.sqs.create_queue().queue_name(name), |call, (key, value)| {
                call.tags(*key, *value)
            });
        call.send().await.unwrap();
    }
}

fn request() -> UpRequest {
    UpRequest {
        env: "dev".into(),
        environment: environment(),
        tags: Default::default(),
        function_zip: {
            let dir = tempfile::tempdir().unwrap();
            let script = dir.path().join("function");
            fs_err::write(&script, "#!/bin/sh\n").unwrap();
            Artifact {
                architecture: Some(Architecture::X86_64),
                ..Artifact::from_executable(&script).unwrap()
            }
        },
    }
}

/// What `up` does itself as soon as the function stands: a schedule cannot empty a bucket.
async fn drop_artifacts(field: &Field) {
    let name = stack::Part::Artifacts.stack_name(crate::plan::NAME_PREFIX, "dev");
    let left = stack::down::remove(&field.clients, field.clock, &name, &|_| {}).await.unwrap();
    assert_eq!(left, None);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_environment_is_gone_after_its_time() {
    let field = Field::new(&[]).await;
    field.up(Some(HOUR)).await;
    drop_artifacts(&field).await;
    let ends_us = stack::status(&field.clients, "dev").await.unwrap().ends_us.unwrap();
    assert!((STARTS_US + HOUR_US..STARTS_US + HOUR_US + 60_000_000).contains(&ends_us), "{ends_us}");
    assert_eq!(field.stacks().await.len(), 3);

    tokio::time::sleep(HOUR - Duration::from_secs(300)).await;
    assert_eq!(field.stacks().await.len(), 3, "five minutes before its time");
    tokio::time::sleep(Duration::from_secs(900)).await;
    assert_eq!(field.stacks().await, ["streamgauge-dev-deadman"]);
    assert!(field.clients.kinesis.list_streams().send().await.unwrap().stream_names().is_empty());

    // The switch cannot delete itself: whoever looks next does.
    assert!(ttl::remove_fired(&field.clients, field.clock, "dev", &|_| {}).await.unwrap());
    assert!(!ttl::remove_fired(&field.clients, field.clock, "dev", &|_| {}).await.unwrap());
    assert!(field.stacks().await.is_empty());
    assert!(field.clients.scheduler.list_schedules().send().await.unwrap().schedules().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_extended_environment_stands_past_its_first_time_and_is_never_shortened() {
    let field = Field::new(&[]).await;
    field.up(Some(HOUR)).await;
    drop_artifacts(&field).await;
    // What `run` does before anything else: three hours of load, and two more.
    let extended = lifetime::extend(&field.clients, field.clock, "dev", 3 * HOUR, &Silent).await.unwrap();
    let later_us = field.clock.now_us() + 5 * HOUR_US;
    let extend = |ends_us| ttl::extend(&field.clients, field.clock, "dev", ends_us, &|_| {});
    let set_us = extend(later_us).await.unwrap().unwrap();
    assert!((later_us..later_us + 60_000_000).contains(&set_us));
    assert!(set_us - extended.unwrap() <= 60_000_000, "{extended:?}, {set_us}");
    assert_eq!(extend(later_us - HOUR_US).await.unwrap(), Some(set_us));
    tokio::time::sleep(4 * HOUR).await;
    assert_eq!(field.stacks().await.len(), 3);
    assert!(!ttl::remove_fired(&field.clients, field.clock, "dev", &|_| {}).await.unwrap());
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(field.stacks().await, ["streamgauge-dev-deadman"]);
    assert_eq!(ttl::extend(&field.clients, field.clock, "other", later_us, &|_| {}).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_cannot_be_moved_is_an_error() {
    let field = Field::new(&["error:op=UpdateStack,rate=100%"]).await;
    field.up(Some(HOUR)).await;
    let ends_us = field.clock.now_us() + 5 * HOUR_US;
    let error = ttl::extend(&field.clients, field.clock, "dev", ends_us, &|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("extend the dead man's switch"), "{error}");
    assert_eq!(field.down().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn down_takes_the_switch_along_and_what_bears_our_tags() {
    let field = Field::new(&[]).await;
    field.up(Some(HOUR)).await;
    let ours = [("streamgauge:managed", "true"), ("streamgauge:env", "dev")];
    let of_another = [("streamgauge:managed", "true"), ("streamgauge:env", "dev-2")];
    field.plant_queue("streamgauge-dev-forgotten", &ours).await;
    field.plant_queue("streamgauge-dev-2-receipts", &of_another).await;
    let seen = stack::status(&field.clients, "dev").await.unwrap().leftovers;
    assert_eq!(seen.unseen, Vec::<String>::new());
    let names: Vec<(Kind, &str)> = seen.found.iter().map(|one| (one.kind, one.name.as_str())).collect();
    assert_eq!(names, [(Kind::Queue, "streamgauge-dev-forgotten")]);

    assert_eq!(field.down().await.unwrap(), Vec::<String>::new());
    assert!(field.stacks().await.is_empty());
    let queues = field.clients.sqs.list_queues().send().await.unwrap();
    assert_eq!(queues.queue_urls().len(), 1, "that of another environment stays: {queues:?}");
}

#[tokio::test(start_paused = true)]
async fn what_lacks_our_tags_is_named_and_not_touched() {
    let field = Field::new(&[]).await;
    field.up(Some(HOUR)).await;
    field.plant_queue("streamgauge-dev-somebodys", &[]).await;
    let left = field.down().await.unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].starts_with("AWS::SQS::Queue streamgauge-dev-somebodys ("), "{left:?}");
    assert!(left[0].ends_with("without our tags: not touched)"), "{left:?}");
    assert_eq!(field.clients.sqs.list_queues().send().await.unwrap().queue_urls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_deletion_is_told_and_the_next_down_picks_up() {
    let field = Field::new(&["error:op=DeleteStack,rate=80%,seed=3"]).await;
    field.up(None).await;
    let mut downs = 0;
    // Each call is retried by the SDK as well, so that some of these fail and at last one does not.
    loop {
        let left = field.down().await.unwrap();
        if left.is_empty() {
            break;
        }
        assert!(left.iter().any(|line| line.contains("delete stack")), "{left:?}");
        downs += 1;
        assert!(downs < 50, "the seed lets one through");
    }
    assert!(downs > 0, "the seed makes one fail");
    assert!(field.stacks().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn throttled_looks_do_not_keep_down_from_its_end() {
    let field = Field::new(&["throttle:op=DescribeStacks,rate=30%"]).await;
    field.up(Some(HOUR)).await;
    assert_eq!(field.down().await.unwrap(), Vec::<String>::new());
    assert!(field.stacks().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_was_written_to_is_emptied() {
    let field = Field::new(&[]).await;
    field.up(None).await;
    let status = stack::status(&field.clients, "dev").await.unwrap();
    let resources = status.stacks.iter().flat_map(|stack| &stack.resources);
    if let Some(bucket) = resources.clone().find(|one| one.kind == "AWS::S3::Bucket") {
        for key in ["a", "b/c"] {
            let put = field.clients.s3.put_object().bucket(&bucket.physical_id).key(key);
            put.body(Bytes::from_static(b"x").into()).send().await.unwrap();
        }
    }
    assert_eq!(field.down().await.unwrap(), Vec::<String>::new());
    assert!(field.clients.s3.list_buckets().send().await.unwrap().buckets().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_finds_every_environment_and_leaves_what_is_not_ours() {
    let field = Field::new(&[]).await;
    field.up(Some(HOUR)).await;
    let of_gone = [("streamgauge:managed", "true"), ("streamgauge:env", "gone")];
    field.plant_queue("streamgauge-gone-receipts", &of_gone).await;
    field.plant_queue("streamgauge-not-tagged", &[]).await;
    let found = sweep::find(&field.clients).await.unwrap();
    let envs: Vec<&str> = found.remains.iter().map(|remains| remains.env.as_str()).collect();
    assert_eq!(envs, ["dev", "gone"]);
    assert!(found.remains[0].stacks.iter().any(|(name, _)| name == "streamgauge-dev-deadman"), "{found:?}");
    assert_eq!(found.untagged.len(), 1, "{:?}", found.untagged);
    for remains in &found.remains {
        let left =
            sweep::remove(&field.clients, field.clock, remains, &|line| field.tell(line)).await.unwrap();
        assert_eq!(left, Vec::<String>::new());
    }
    let again = sweep::find(&field.clients).await.unwrap();
    assert_eq!(again.remains, []);
    assert_eq!(again.untagged[0].name, "streamgauge-not-tagged");
}
