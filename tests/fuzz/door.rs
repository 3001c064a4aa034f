//! The endpoint's protocols through the router, in virtual time: no socket, so waits cost nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use streamgauge::local::cloud::{Cloud, CloudSettings, HostKind, LOCAL_ACCOUNT};
use streamgauge::local::door::router;
use streamgauge::local::lambda::host::in_process::{InProcessHost, Invocation};
use streamgauge::local::service::BoxFuture;
use streamgauge::platform::clock::Clock;

use super::runner::{self, Cases};
use super::seeds::{self, Request, Wire};
use super::{answers, mutate};

/// When each batch begins, microseconds since the epoch.
pub const START_US: i64 = 1_763_688_760_000_000;
const BATCHES: u64 = 12;
const CASES: usize = 400;
/// Virtual time that a request may take: a function's longest timeout, and margin.
const ANSWER_MAX: Duration = Duration::from_secs(1_200);

#[test]
fn every_protocol_answers_whatever_comes() {
    runner::run(BATCHES, |seed, cases| paused(batch(seed, cases)));
}

/// Runs on a clock that stands still while there is work.
pub fn paused<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(work)
}

/// An endpoint whose functions answer at once.
pub fn cloud(seed: u64) -> Arc<Cloud> {
    let clock = Clock::starting_at(START_US);
    let call = |_: Invocation| Box::pin(async { Ok(Bytes::from_static(b"{}")) }) as BoxFuture<'static, _>;
    let host = InProcessHost::new(clock, Arc::new(call), Duration::from_millis(50), seed);
    let settings = CloudSettings {
        clock,
        region: "us-east-1".to_owned(),
        account: LOCAL_ACCOUNT.to_owned(),
        seed,
        faults: Vec::new(),
        work_dir: PathBuf::new(),
        host: HostKind::InProcess(Arc::new(host)),
        memory: Default::default(),
    };
    Cloud::start(settings).expect("a cloud")
}

/// Asks and checks the answer; `None` when HTTP itself has no such request.
pub async fn ask(cloud: &Cloud, request: &Request) -> Option<http::Response<Bytes>> {
    let mut builder = http::Request::builder().method(request.method.clone()).uri(request.path.as_str());
    for (name, value) in &request.headers {
        builder = builder.header(name.as_str(), value.as_str());
    }
    let sent = builder.body(Bytes::from(request.body.clone())).ok()?;
    let answer = tokio::time::timeout(ANSWER_MAX, router::handle(cloud, sent)).await;
    let response = answer.unwrap_or_else(|_| panic!("no answer within {ANSWER_MAX:?}: {request:?}"));
    answers::check(request, &response);
    Some(response)
}

async fn batch(seed: u64, cases: &Cases) {
    let (cloud, mut rng) = (cloud(seed), Rng::with_seed(seed));
    let seeds = seeds::all();
    for request in &seeds {
        cases.next(format!("batch {seed}, unchanged: {request:?}"));
        let response = ask(&cloud, request).await.expect("a request");
        assert!(response.status().as_u16() < 400, "refused: {request:?}\n{response:?}");
        // Streams and stacks take a moment.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut asked = 0;
    for case in 0..CASES {
        let request = mutant(&mut rng, &seeds);
        cases.next(format!("batch {seed}, case {case}: {request:?}"));
        asked += usize::from(ask(&cloud, &request).await.is_some());
    }
    assert!(asked > CASES / 2, "most mutants must reach the router: {asked} did");
    cloud.end().await;
}

fn mutant(rng: &mut Rng, seeds: &[Request]) -> Request {
    let mut request = seeds[rng.usize(0..seeds.len())].clone();
    let other = &seeds[rng.usize(0..seeds.len())];
    match rng.u8(0..10) {
        // What it says, in a form that parses.
        0..=4 if request.input.is_some() => {
            request.input.iter_mut().for_each(|input| mutate::tree(rng, input));
            request.write_input();
        }
        5 if request.input.is_some() && request.wire != Wire::Query => {
            request.body = request.input.as_ref().map(mutate::with_duplicate_key).unwrap_or_default();
        }
        6 => request.path = mutate::text(rng, &request.path),
        7 => {
            let header = rng.usize(0..request.headers.len());
            request.headers[header].1 = mutate::text(rng, &request.headers[header].1);
        }
        // The other's body, or its headers with this body.
        8 if rng.bool() => request.body = other.body.clone(),
        8 => request = Request { body: request.body, input: None, ..other.clone() },
        _ => request.body = mutate::bytes(rng, request.body, &other.body),
    }
    request
}
