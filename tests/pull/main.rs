//! The pull against the local CloudWatch and SQS, through the real SDK clients, in virtual time. It stands
//! here and not beside the pull, because the room it tests does not know the local endpoint.

mod connector;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use streamgauge::evidence::cloudwatch::{MetricClients, PullRequest, pull};
use streamgauge::evidence::pulled::Pulled;
use streamgauge::local::cloudwatch::CloudWatch;
use streamgauge::local::faults::Faults;
use streamgauge::local::metrics::{MetricSink, Sample};
use streamgauge::local::service::{ApiError, ApiResult, BoxFuture, Context, Service};
use streamgauge::local::sqs::Sqs;
use streamgauge::platform::clock::Clock;

use connector::{Services, config};

const START_MS: i64 = 1_699_999_980_000;

/// Gives its lines in pages of two, as FilterLogEvents pages a long log.
struct Log(Vec<String>);

impl Service for Log {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        assert_eq!(operation, "FilterLogEvents");
        let answer = if input["logGroupName"] == "/log" {
            let skip: usize = input["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
            let events: Vec<Value> = self
                .0
                .iter()
                .skip(skip)
                .take(2)
                .map(|line| json!({ "message": line, "timestamp": START_MS }))
                .collect();
            let mut answer = json!({ "events": events });
            if skip + 2 < self.0.len() {
                answer["nextToken"] = json!((skip + 2).to_string());
            }
            Ok(answer)
        } else {
            Err(ApiError::invalid("ResourceNotFoundException", "The specified log group does not exist."))
        };
        Box::pin(async { answer })
    }
}

struct Bench {
    clock: Clock,
    cloudwatch: Arc<CloudWatch>,
    sqs: Arc<Sqs>,
    clients: MetricClients,
    said: Mutex<Vec<String>>,
}

impl Bench {
    fn new() -> Bench {
        let clock = Clock::starting_at(START_MS * 1_000);
        let cloudwatch = CloudWatch::new(clock, "us-east-1".to_owned(), "000000000000".to_owned());
        let sqs = Sqs::new(
            Context {
                clock,
                region: "us-east-1".to_owned(),
                account: "000000000000".to_owned(),
                seed: 1,
                metrics: cloudwatch.clone(),
                faults: Arc::new(Faults::none()),
            },
            Arc::default(),
        );
        let report = |init: &str| {
            format!(
                "REPORT RequestId: r\tDuration: 9.5 ms\tBilled Duration: 10 ms\tMemory Size: 512 MB\tMax Memory Used: 60 MB{init}\t\n"
            )
        };
        let log = Log(vec![
            "START RequestId: r".to_owned(),
            report("\tInit Duration: 40.5 ms"),
            "END".to_owned(),
            report(""),
        ]);
        let services = Services { cloudwatch: cloudwatch.clone(), logs: Arc::new(log), sqs: sqs.clone() };
        let config = config(clock, services);
        let clients = MetricClients {
            cloudwatch: aws_sdk_cloudwatch::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
        };
        Bench { clock, cloudwatch, sqs, clients, said: Mutex::default() }
    }

    fn record(&self, namespace: &str, dimension: (&str, &str), metric: &str, value: f64) {
        self.cloudwatch.record(Sample { namespace, metric, dimensions: &[dimension], unit: "Count", value });
    }

    fn load(&self, records: u64, invocations: u64) {
        for _ in 0..records {
            self.record("AWS/Kinesis", ("StreamName", "s"), "IncomingRecords", 1.0);
        }
        for _ in 0..invocations {
            self.record("AWS/Lambda", ("FunctionName", "f"), "Invocations", 1.0);
            self.record("AWS/Lambda", ("FunctionName", "f"), "Duration", 9.5);
        }
    }

    fn request(&self) -> PullRequest {
        PullRequest {
            stream_name: "s".to_owned(),
            function_name: "f".to_owned(),
            mapping_uuid: "u".to_owned(),
            log_group: "/log".to_owned(),
            dlq_name: "dlq".to_owned(),
            dlq_url: "http://localhost:4566/000000000000/dlq".to_owned(),
            from_ms: START_MS + 5_000,
            to_ms: START_MS + 95_000,
            expect_records: 100,
            expect_invocations_at_least: 10,
            settle_for: Duration::from_secs(120),
        }
    }

    async fn pull(&self, request: &PullRequest) -> Pulled {
        let say = |text: &str| self.said.lock().unwrap().push(text.to_owned());
        pull(&self.clients, self.clock, request, &say).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_settled_pull_has_everything() {
    let bench = Bench::new();
    bench.sqs.call("CreateQueue", json!({ "QueueName": "dlq" })).await.unwrap();
    let url = bench.sqs.queue_url("dlq");
    bench.sqs.call("SendMessage", json!({ "QueueUrl": url, "MessageBody": "dead" })).await.unwrap();
    bench.load(60, 6);
    tokio::time::sleep(Duration::from_secs(70)).await;
    bench.load(40, 4);
    bench.record("AWS/Lambda", ("EventSourceMappingUUID", "u"), "PolledEventCount", 100.0);
    let pulled = bench.pull(&bench.request()).await;
    assert_eq!(pulled.series.len(), 35);
    assert_eq!(pulled.unsettled, None);
    assert_eq!(pulled.notes, Vec::<String>::new());
    let points = |key: &str| pulled.series[key].points.clone();
    assert_eq!(points("kinesis.IncomingRecords.Sum"), [(START_MS, 60.0), (START_MS + 60_000, 40.0)]);
    assert_eq!(points("lambda.Duration.p99"), [(START_MS, 9.5), (START_MS + 60_000, 9.5)]);
    assert_eq!(points("mapping.PolledEventCount.Sum"), [(START_MS + 60_000, 100.0)]);
    assert_eq!(points("dlq.ApproximateNumberOfMessagesVisible.Maximum"), [(START_MS, 1.0)]);
    assert_eq!(points("lambda.Errors.Sum"), [], "a metric without data is a series without points");
    assert_eq!(pulled.metrics_requested, 2 + pulled.series.len() as u64);
    assert_eq!(pulled.dlq_depth, Some(1));
    let reports = pulled.reports.unwrap();
    assert_eq!((reports.invocations, reports.billed_ms, reports.cold_starts), (2, 20, 1));
    assert_eq!((reports.init_ms, reports.memory_size_mb, reports.max_memory_used_mb), (40.5, 512, 60));
}

#[tokio::test(start_paused = true)]
async fn late_metrics_are_waited_for() {
    let bench = Bench::new();
    bench.load(100, 3);
    let request = bench.request();
    let later = async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        bench.load(0, 7);
    };
    let (pulled, ()) = tokio::join!(bench.pull(&request), later);
    assert_eq!(pulled.unsettled, None);
    let waited_s = (bench.clock.now_ms() - START_MS) / 1_000;
    assert!((40..=60).contains(&waited_s), "{waited_s} s");
    assert!(bench.said.lock().unwrap()[0].contains("3 of 10 invocations"));
}

#[tokio::test(start_paused = true)]
async fn what_never_settles_says_so_after_the_bound_and_nothing_else_is_lost() {
    let bench = Bench::new();
    bench.load(90, 10);
    let mut request = bench.request();
    "/gone".clone_into(&mut request.log_group);
    let pulled = bench.pull(&request).await;
    assert_eq!((bench.clock.now_ms() - START_MS) / 1_000, 120);
    assert!(pulled.unsettled.unwrap().contains("90 of 100 records"));
    assert_eq!(pulled.series["kinesis.IncomingRecords.Sum"].points, [(START_MS, 90.0)]);
    assert_eq!((pulled.reports, pulled.dlq_depth), (None, None));
    assert!(
        pulled.notes[0].contains("/gone") && pulled.notes[0].contains("does not exist"),
        "{:?}",
        pulled.notes
    );
    assert!(pulled.notes[1].contains("on-failure queue"), "{:?}", pulled.notes);
}

#[tokio::test(start_paused = true)]
async fn more_records_than_acked_is_a_note() {
    let bench = Bench::new();
    bench.load(103, 10);
    let pulled = bench.pull(&bench.request()).await;
    assert_eq!(pulled.unsettled, None);
    assert!(pulled.notes.iter().any(|note| note.contains("3 more than were acked")), "{:?}", pulled.notes);
}
