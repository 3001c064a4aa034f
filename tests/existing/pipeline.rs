//! Somebody else's pipeline: one stream, one function, one mapping, made by plain SDK calls.

use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_lambda::types::{Environment, EventSourcePosition, FunctionCode, Runtime};
use serde_json::Value;
use streamgauge::consumer::QUEUE_URL_VARIABLE;
use streamgauge::evidence::model::RunEnd;
use streamgauge::plan;
use streamgauge::session::publish::publish;
use streamgauge::session::run::{RunRequest, run};
use streamgauge::stack::Standing;
use streamgauge::stack::artifact::Artifact;
use streamgauge::stack::existing::{ExistingError, Pipeline, inspect};

use crate::support::{Field, request};

pub const PLAN_HEAD: &str = "\
schema: streamgauge/plan/v1
name: existing
environment: {existing: {stream: orders, function: reader}}
phases:
  - name: a
    tests:
      - id: a
        name: t
        payload: small
";

/// A ramp of 10 s to 20 records/s, then a hold of `hold_s`.
pub fn lasting(hold_s: u32, criteria: &str) -> String {
    format!(
        "{PLAN_HEAD}        stages: [{{duration: 10s, target: 20}}, {{duration: {hold_s}s, target: 20}}]\n        criteria: {criteria}\n"
    )
}

pub struct Owned {
    pub services: Field,
    /// Where the function sends receipts, if it does.
    queue_url: Option<String>,
}

pub struct Ran {
    pub report: Value,
    /// As a terminal of 100 columns shows it.
    pub terminal: String,
    pub dir: PathBuf,
}

impl Owned {
    /// The stream `orders` with one shard, and the function `reader` on it.
    pub async fn make(receipts: bool) -> Owned {
        let services = Field::new(&[], 1).await;
        let queue_url = match receipts {
            false => None,
            true => {
                let made = services.clients.sqs.create_queue().queue_name("proofs").send().await.unwrap();
                made.queue_url().map(str::to_owned)
            }
        };
        let kinesis = &services.clients.kinesis;
        kinesis.create_stream().stream_name("orders").shard_count(1).send().await.unwrap();
        let owned = Owned { services, queue_url };
        tokio::time::sleep(Duration::from_secs(30)).await;
        owned.function("reader", receipts).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let lambda = &owned.services.clients.lambda;
        let mapping = lambda.create_event_source_mapping().function_name("reader").batch_size(50);
        let mapping = mapping.event_source_arn(owned.arn().await);
        mapping.starting_position(EventSourcePosition::TrimHorizon).send().await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        owned
    }

    pub async fn function(&self, name: &str, receipts: bool) {
        let script = self.services.root.path().join("function");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        let zip = Artifact::from_executable(&script).unwrap().zip;
        let variables = self.queue_url.as_ref().filter(|_| receipts);
        let environment = Environment::builder()
            .set_variables(variables.map(|url| [(QUEUE_URL_VARIABLE.to_owned(), url.clone())].into()))
            .build();
        self.services
            .clients
            .lambda
            .create_function()
            .function_name(name)
            .runtime(Runtime::Providedal2023)
            .role("arn:aws:iam::123456789012:role/reader")
            .handler("bootstrap")
            .memory_size(256)
            .timeout(30)
            .code(FunctionCode::builder().zip_file(zip.to_vec().into()).build())
            .environment(environment)
            .send()
            .await
            .unwrap();
    }

    async fn arn(&self) -> String {
        let summary = self.services.clients.kinesis.describe_stream_summary().stream_name("orders");
        let summary = summary.send().await.unwrap();
        summary.stream_description_summary().unwrap().stream_arn().to_owned()
    }

    pub async fn look(&self, receipts_queue_url: Option<&str>) -> Result<Standing, ExistingError> {
        let pipeline = Pipeline { stream: "orders".into(), function: "reader".into() };
        inspect(&self.services.clients, "mine", &pipeline, receipts_queue_url).await
    }

    pub async fn request(&self, plan_text: &str) -> RunRequest {
        let services = &self.services;
        let standing = self.look(self.queue_url.as_deref()).await.unwrap();
        let plan = plan::parse(plan_text).unwrap_or_else(|errors| panic!("{}", errors.in_file("plan")));
        request(&services.clients, services.clock, plan, standing, services.root.path())
    }

    pub async fn run(&self, plan_text: &str) -> Ran {
        let finished = run(self.request(plan_text).await).await.unwrap();
        assert_eq!(finished.end, RunEnd::Completed, "{:?}", finished.failure);
        let published = publish(&finished.dir).unwrap();
        let report = serde_json::from_str(&streamgauge::report::json(&published.model)).unwrap();
        let terminal = streamgauge::report::terminal(&published.model, 100, false);
        Ran { report, terminal, dir: finished.dir }
    }

    /// Another producer: so many records a second, for so long. Gives how many it sent.
    pub fn foreign_traffic(&self, rate_per_s: u32, lasts_s: u32) -> tokio::task::JoinHandle<u64> {
        let kinesis = self.services.clients.kinesis.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate_per_s);
            for index in 0..rate_per_s * lasts_s {
                ticks.tick().await;
                let put = kinesis.put_record().stream_name("orders").partition_key(index.to_string());
                put.data(Blob::new("{\"order\": 1}")).send().await.unwrap();
            }
            u64::from(rate_per_s * lasts_s)
        })
    }

    pub async fn set_batch_size(&self, batch_size: i32) {
        let lambda = &self.services.clients.lambda;
        let mappings = lambda.list_event_source_mappings().send().await.unwrap();
        let uuid = mappings.event_source_mappings()[0].uuid().unwrap();
        lambda.update_event_source_mapping().uuid(uuid).batch_size(batch_size).send().await.unwrap();
    }

    pub async fn allow(&self, value: &str) {
        let kinesis = &self.services.clients.kinesis;
        let tags = kinesis.add_tags_to_stream().stream_name("orders").tags("streamgauge:allow", value);
        tags.send().await.unwrap();
    }

    pub async fn consumer(&self, name: &str) {
        let kinesis = &self.services.clients.kinesis;
        kinesis
            .register_stream_consumer()
            .stream_arn(self.arn().await)
            .consumer_name(name)
            .send()
            .await
            .unwrap();
    }

    /// Everything that stands, by name.
    pub async fn names(&self) -> Vec<String> {
        let clients = &self.services.clients;
        let mut names = clients.kinesis.list_streams().send().await.unwrap().stream_names().to_vec();
        let functions = clients.lambda.list_functions().send().await.unwrap();
        names.extend(functions.functions().iter().filter_map(|one| one.function_name().map(str::to_owned)));
        let mappings = clients.lambda.list_event_source_mappings().send().await.unwrap();
        names.extend(mappings.event_source_mappings().iter().filter_map(|one| one.uuid().map(str::to_owned)));
        let queues = clients.sqs.list_queues().send().await.unwrap();
        names.extend(queues.queue_urls().iter().cloned());
        let stacks = clients.cloudformation.describe_stacks().send().await.unwrap();
        names.extend(stacks.stacks().iter().filter_map(|one| one.stack_name().map(str::to_owned)));
        let alarms = clients.cloudwatch.describe_alarms().send().await.unwrap();
        names.extend(alarms.metric_alarms().iter().filter_map(|one| one.alarm_name().map(str::to_owned)));
        names
    }
}
