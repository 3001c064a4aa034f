//! The place of a rehearsal: the services in this process, a modelled function and network, and the real clients.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::cost::grouped;
use crate::local::cloud::{Cloud, CloudSettings, HostKind, LOCAL_ACCOUNT, MemoryBounds};
use crate::local::door::in_process::sdk_http_client;
use crate::local::door::network::distant;
use crate::local::faults::FaultSpec;
use crate::local::kinesis::readers::OtherReaders;
use crate::local::lambda::host::in_process::{Handler, Printed};
use crate::local::lambda::host::reference::{self, FunctionModel};
use crate::local::service::Service;
use crate::plan::Rehearsal;
use crate::platform::clients::{self, ClientSettings, Clients, Door};
use crate::platform::clock::Clock;
use crate::platform::limits;
use crate::platform::spread::Spread;

use super::exit::CliError;

/// When every rehearsal begins, so that two of them are the same: 2026-01-01T00:00:00Z.
pub const STARTS_US: i64 = 1_767_225_600_000_000;
/// Of records what was read goes then, before its retention is over. Enough for every lookup of a run, little enough
/// for a laptop, and reached early in a long plan: memory does not grow with its length.
const MEMORY: MemoryBounds =
    MemoryBounds { records_bytes: 256 << 20, read_records_bytes: 32 << 20, log_group_bytes: 4 << 20 };

pub struct Place {
    pub clock: Clock,
    pub cloud: Arc<Cloud>,
    pub clients: Clients,
    readers: Option<OtherReaders>,
}

/// What stands between the parts of a place. In a rehearsal that is nothing; tests listen there.
pub trait Between {
    /// Between the mapping and the function.
    fn function(&self, function: Handler) -> Handler {
        function
    }
    /// Between the function and the queue for its receipts.
    fn receipts(&self, queue: Arc<dyn Service>) -> Arc<dyn Service> {
        queue
    }
    /// Between the clients and the services.
    fn door(&self, _cloud: &Arc<Cloud>, door: SharedHttpClient) -> SharedHttpClient {
        door
    }
}

pub struct Nothing;
impl Between for Nothing {}

impl Place {
    /// Must be called in a runtime whose clock is paused.
    pub async fn new(
        model: &Rehearsal,
        region: &str,
        faults: Vec<FaultSpec>,
        between: &impl Between,
    ) -> Result<Place, CliError> {
        let clock = Clock::starting_at(STARTS_US);
        let queue = reference::Queue::default();
        let modelled = function(model);
        let printed = Printed::default();
        let function =
            reference::handler(clock, modelled.clone(), Arc::clone(&queue), Arc::clone(&printed), model.seed);
        let host = reference::host(clock, &modelled, between.function(function), printed, model.seed);
        let failed = |error: &dyn std::fmt::Display| CliError::environment(error.to_string());
        let cloud = Cloud::start(CloudSettings {
            clock,
            region: region.to_owned(),
            account: LOCAL_ACCOUNT.to_owned(),
            seed: model.seed,
            faults,
            // No function is unpacked.
            work_dir: std::env::temp_dir(),
            host: HostKind::InProcess(Arc::new(host)),
            memory: MEMORY,
        })
        .map_err(|error| failed(&error))?;
        let service =
            |name: &str| cloud.service(name).ok_or_else(|| failed(&format!("the endpoint has no {name}")));
        // The first to set it.
        let _ = queue.set(between.receipts(Arc::clone(service("sqs")?)));
        let readers = match model.other_reads_per_s {
            0 => None,
            reads_per_s => Some(OtherReaders::start(Arc::clone(service("kinesis")?), reads_per_s)),
        };
        let door = between.door(&cloud, sdk_http_client(Arc::clone(&cloud)));
        let door = Door::InProcess(distant(door, model.put_latency, model.seed));
        let settings = ClientSettings { region: Some(region.to_owned()), door, clock };
        let clients = clients::connect(settings).await.map_err(|error| failed(&error))?;
        Ok(Place { clock, cloud, clients, readers })
    }

    /// Ends everything that goes on by itself.
    pub async fn end(&mut self) {
        self.readers = None;
        self.cloud.end().await;
    }
}

fn function(model: &Rehearsal) -> FunctionModel {
    FunctionModel {
        init: model.cold_start,
        per_batch: model.per_batch,
        per_record: model.per_record,
        overhead: model.overhead,
        failure_rate: model.failure_rate,
        memory_used_mb: model.memory_used_mb,
        poll_late: model.poll_late,
    }
}

/// What the figures of a rehearsal rest on, a clause each.
pub fn assumptions(model: &Rehearsal) -> Vec<String> {
    let mut assumptions = vec![
        format!("a put takes {} from sending it to its answer", spread(model.put_latency)),
        format!(
            "an invocation takes {} and each of its records {} more",
            spread(model.per_batch),
            spread(model.per_record)
        ),
        format!("a cold start takes {}", spread(model.cold_start)),
        format!(
            "a function of {} MB takes these times, and {} % of them is work of the CPU, which goes with memory in \
             proportion up to {} MB (one vCPU)",
            model.at_memory_mb,
            model.cpu_share * 100.0,
            grouped(&limits::FUNCTION_ONE_VCPU_MB.to_string())
        ),
        format!(
            "{} % of invocations fail, and the function uses {} MB",
            model.failure_rate * 100.0,
            model.memory_used_mb
        ),
        match model.other_reads_per_s {
            0 => "nobody else reads the stream".to_owned(),
            reads => format!("other consumers read each shard {reads} times a second"),
        },
        "the services behave as the local endpoint models them, and the generator is never late".to_owned(),
    ];
    if model.overhead != Spread::NONE {
        let overhead = spread(model.overhead);
        assumptions.insert(2, format!("beside the function's own work an invocation takes {overhead}"));
    }
    if model.poll_late != Spread::NONE {
        let late = spread(model.poll_late);
        assumptions.push(format!("the mapping's polls begin {late} later than a second after one another"));
    }
    assumptions
}

fn spread(spread: Spread) -> String {
    let ms = |duration: Duration| format!("{} ms", duration.as_micros() as f64 / 1e3);
    match spread {
        Spread::LogNormal { median, p99 } if p99 <= median => ms(median),
        Spread::LogNormal { median, p99 } => format!("{} (median; p99 {}, log-normal)", ms(median), ms(p99)),
        Spread::Measured(quantiles) => {
            format!("{} (median; p99 {}, as measured)", ms(quantiles.median()), ms(quantiles.p99()))
        }
    }
}
