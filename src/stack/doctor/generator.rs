//! What this machine can send: how many signed put requests it builds, and how many connections it may open.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::Blob;
use aws_smithy_types::body::SdkBody;
use rustix::process::{Resource, getrlimit};

use super::finding::Finding;
use crate::plan::{Plan, PutMode, Test};
use crate::platform::clients::{ClientSettings, Clients, Door, connect};
use crate::platform::clock::Clock;
use crate::platform::limits;

/// How long the measurement takes.
const MEASURED_FOR: Duration = Duration::from_secs(1);
/// Requests at most, so that a clock that stands still cannot keep it going.
const REQUESTS_MAX: u64 = 200_000;
/// The real thing has TLS, sockets and bookkeeping to do beside: with less than this it would be the limit.
const COMFORTABLE: f64 = 2.0;
/// The driver wakes every millisecond and sends all that is due.
const WAKES_PER_S: f64 = 1_000.0;
/// Files that are open beside the connections: the run directory, other services, the runtime.
const OTHER_FILES: u64 = 100;
/// Records of 1 KB, one a request, where no plan says otherwise.
const DEFAULT_PROBE: Probe = Probe { payload_bytes: 1_024, records_per_put: 1 };

/// What is measured: the put of one wake of the driver, at the plan's highest rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    pub payload_bytes: usize,
    /// 1 is PutRecord.
    pub records_per_put: usize,
}

impl Probe {
    /// That of the test with the highest rate.
    pub fn of(plan: Option<&Plan>) -> Probe {
        let Some(test) = plan.and_then(highest) else { return DEFAULT_PROBE };
        let records_per_put = match test.put {
            PutMode::Record => 1,
            PutMode::Batch => {
                ((test.peak_rps() / WAKES_PER_S).ceil() as usize).clamp(1, limits::PUT_RECORDS_MAX_RECORDS)
            }
        };
        Probe { payload_bytes: test.payload.bytes, records_per_put }
    }
}

fn highest(plan: &Plan) -> Option<&Test> {
    plan.tests().max_by(|a, b| a.peak_rps().total_cmp(&b.peak_rps()))
}

/// What this machine can do.
#[derive(Clone, Debug, PartialEq)]
pub struct Headroom {
    pub probe: Probe,
    /// Records a second in signed requests; 0 where time does not pass.
    pub records_per_s: f64,
    pub cpus: usize,
    /// The soft limit; `None` is no limit.
    pub open_files_max: Option<u64>,
}

/// Builds and signs puts for about a second with the real client, into an HTTP client that answers at once: no
/// socket is opened. Runs on as many tasks as the runtime has threads for a load (two).
pub async fn measure(clock: Clock, plan: Option<&Plan>) -> Headroom {
    let probe = Probe::of(plan);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let http = http_client_fn(move |_, _| SharedHttpConnector::new(AnswersAtOnce::to(probe)));
    let settings = ClientSettings { region: None, door: Door::InProcess(http), clock };
    let mut records_per_s = 0.0;
    if let Ok(clients) = connect(settings).await {
        let started = clock.instant();
        let tasks: Vec<_> =
            (0..cpus.min(2)).map(|_| tokio::spawn(put_for_a_while(clients.clone(), clock, probe))).collect();
        let mut puts = 0;
        for task in tasks {
            puts += task.await.unwrap_or(0);
        }
        let elapsed_s = clock.instant().duration_since(started).as_secs_f64();
        if elapsed_s > 0.0 {
            records_per_s = puts as f64 * probe.records_per_put as f64 / elapsed_s;
        }
    }
    Headroom { probe, records_per_s, cpus, open_files_max: getrlimit(Resource::Nofile).current }
}

/// Puts until the time is over; gives how many.
async fn put_for_a_while(clients: Clients, clock: Clock, probe: Probe) -> u64 {
    let ends = clock.instant() + MEASURED_FOR;
    let data = Blob::new(vec![b'x'; probe.payload_bytes]);
    let mut puts = 0;
    while puts < REQUESTS_MAX && clock.instant() < ends {
        put(&clients, &data, probe.records_per_put).await;
        puts += 1;
        // The client never waits here, and other tasks want their turn.
        tokio::task::yield_now().await;
    }
    puts
}

async fn put(clients: &Clients, data: &Blob, records: usize) {
    let client = &clients.kinesis_data;
    if records == 1 {
        let call = client.put_record().stream_name("headroom").partition_key("key-000000");
        // Whatever it answers, the request was built and signed.
        let _ = call.data(data.clone()).send().await;
        return;
    }
    let entry = PutRecordsRequestEntry::builder().data(data.clone()).partition_key("key-000000").build();
    let entries = vec![entry.expect("data and key are given"); records];
    let _ = client.put_records().stream_name("headroom").set_records(Some(entries)).send().await;
}

/// An HTTP client that acknowledges every record.
#[derive(Clone, Debug)]
struct AnswersAtOnce {
    body: Arc<str>,
}

impl AnswersAtOnce {
    fn to(probe: Probe) -> AnswersAtOnce {
        const RECORD: &str = r#"{"SequenceNumber":"49","ShardId":"shardId-000000000000"}"#;
        let body = match probe.records_per_put {
            1 => RECORD.to_owned(),
            records => {
                format!(r#"{{"FailedRecordCount":0,"Records":[{}]}}"#, vec![RECORD; records].join(","))
            }
        };
        AnswersAtOnce { body: body.into() }
    }
}

impl HttpConnector for AnswersAtOnce {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let status = 200.try_into().expect("200 is a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(self.body.to_string()))))
    }
}

/// The machine against the plan's highest rate.
pub(super) fn judge(headroom: &Headroom, plan: Option<&Plan>) -> Vec<Finding> {
    vec![rate(headroom, plan.and_then(highest)), open_files(headroom, plan)]
}

fn rate(headroom: &Headroom, test: Option<&Test>) -> Finding {
    const CHECK: &str = "generator";
    let Headroom { probe, records_per_s, cpus, .. } = headroom;
    let found = format!(
        "this machine ({cpus} CPUs) signs {records_per_s:.0} records/s of {} bytes, {} a request",
        probe.payload_bytes, probe.records_per_put
    );
    if *records_per_s <= 0.0 {
        return Finding::warning(CHECK, "could not measure this machine", "run doctor again");
    }
    let Some(test) = test else { return Finding::ok(CHECK, found) };
    let peak_rps = test.peak_rps();
    let needed = format!("{peak_rps:.0} records/s (test {})", test.id);
    let hint = match test.put {
        PutMode::Record => {
            "use put: batch, or a machine with more and faster CPUs (a release build is many times faster than a debug build)"
        }
        PutMode::Batch => {
            "use a machine with more and faster CPUs (a release build is many times faster than a debug build)"
        }
    };
    let finding = if *records_per_s < peak_rps {
        Finding::stop(CHECK, found, hint)
    } else if *records_per_s < peak_rps * COMFORTABLE {
        Finding::warning(CHECK, found, hint)
    } else {
        Finding::ok(CHECK, found)
    };
    finding.needed(needed)
}

/// Over HTTP/1.1 every put under way holds a connection: a second's worth of them, as many as may be in flight.
fn open_files(headroom: &Headroom, plan: Option<&Plan>) -> Finding {
    const CHECK: &str = "open-files";
    let Some(most) = headroom.open_files_max else { return Finding::ok(CHECK, "no limit on open files") };
    let found = format!("{most} files may be open");
    let puts_under_way = |test: &Test| {
        let puts_per_s = match test.put {
            PutMode::Record => test.peak_rps(),
            PutMode::Batch => test.peak_rps().min(WAKES_PER_S),
        };
        (puts_per_s.ceil() as u64).min(u64::from(test.max_in_flight))
    };
    let needed = OTHER_FILES + plan.and_then(|plan| plan.tests().map(puts_under_way).max()).unwrap_or(0);
    let finding = match most >= needed {
        true => Finding::ok(CHECK, found),
        false => {
            let hint =
                format!("when the service stalls for a second, connections run out: ulimit -n {needed}");
            Finding::warning(CHECK, found, hint)
        }
    };
    finding.needed(format!("{needed}"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn headroom(records_per_s: f64, open_files_max: Option<u64>) -> Headroom {
        Headroom { probe: DEFAULT_PROBE, records_per_s, cpus: 2, open_files_max }
    }

    #[test]
    fn the_machine_is_held_against_the_highest_rate() {
        let plan = crate::plan::parse(include_str!("../../../plans/breaking-point.yaml")).unwrap();
        let peak_rps = highest(&plan).unwrap().peak_rps();
        let levels = |records_per_s, files| {
            judge(&headroom(records_per_s, files), Some(&plan)).iter().map(|f| f.level).collect::<Vec<_>>()
        };
        assert_eq!(levels(peak_rps * 3.0, None), [Level::Ok, Level::Ok]);
        assert_eq!(levels(peak_rps * 1.5, Some(1 << 20)), [Level::Warning, Level::Ok]);
        assert_eq!(levels(peak_rps * 0.9, Some(64)), [Level::Stop, Level::Warning]);
        assert_eq!(levels(0.0, None)[0], Level::Warning);
    }

    #[tokio::test]
    async fn the_measurement_counts_requests_that_the_client_really_built() {
        let headroom = measure(Clock::start(), None).await;
        assert!(headroom.records_per_s > 10.0, "{headroom:?}");
        assert!(headroom.cpus >= 1);
        // The answers are ones that the client takes for what they say.
        for records_per_put in [1, 3] {
            let probe = Probe { payload_bytes: 10, records_per_put };
            let http = http_client_fn(move |_, _| SharedHttpConnector::new(AnswersAtOnce::to(probe)));
            let settings =
                ClientSettings { region: None, door: Door::InProcess(http), clock: Clock::start() };
            let clients = connect(settings).await.unwrap();
            let entry =
                PutRecordsRequestEntry::builder().data(Blob::new("x")).partition_key("k").build().unwrap();
            match records_per_put {
                1 => {
                    let call = clients.kinesis_data.put_record().stream_name("s").partition_key("k");
                    assert_eq!(call.data(Blob::new("x")).send().await.unwrap().sequence_number(), "49");
                }
                _ => {
                    let call = clients.kinesis_data.put_records().stream_name("s");
                    let answer = call.set_records(Some(vec![entry; 3])).send().await.unwrap();
                    assert_eq!(answer.records().len(), 3);
                }
            }
        }
    }
}
