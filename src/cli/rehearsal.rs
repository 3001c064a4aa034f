//! The place of a rehearsal: the services in this process, a modelled function and network, and the real clients.

use std::sync::Arc;
use std::time::Duration;

use crate::cost::grouped;
use crate::local::cloud::{Cloud, CloudSettings, HostKind, LOCAL_ACCOUNT};
use crate::local::door::in_process::sdk_http_client;
use crate::local::door::network::distant;
use crate::local::faults::FaultSpec;
use crate::local::lambda::host::reference::{self, FunctionModel};
use crate::plan::Rehearsal;
use crate::platform::clients::{self, ClientSettings, Clients, Door};
use crate::platform::clock::Clock;
use crate::platform::limits;
use crate::platform::spread::Spread;

use super::exit::CliError;

/// When every rehearsal begins, so that two of them are the same: 2026-01-01T00:00:00Z.
pub const STARTS_US: i64 = 1_767_225_600_000_000;
/// Bytes of records that are kept: what was read goes then, before its retention is over. Enough for every lookup of
/// a run, and little enough for a laptop.
const RECORDS_BYTES_MAX: u64 = 64 << 20;

pub struct Place {
    pub clock: Clock,
    pub cloud: Arc<Cloud>,
    pub clients: Clients,
}

impl Place {
    /// Must be called in a runtime whose clock is paused.
    pub async fn new(model: &Rehearsal, region: &str, faults: Vec<FaultSpec>) -> Result<Place, CliError> {
        let clock = Clock::starting_at(STARTS_US);
        let queue = reference::Queue::default();
        let host = reference::host(clock, function(model), Arc::clone(&queue), model.seed);
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
            records_bytes_max: RECORDS_BYTES_MAX,
        })
        .map_err(|error| failed(&error))?;
        let sqs = cloud.service("sqs").ok_or_else(|| failed(&"the endpoint has no SQS"))?;
        // The first to set it.
        let _ = queue.set(Arc::clone(sqs));
        let door =
            Door::InProcess(distant(sdk_http_client(Arc::clone(&cloud)), model.put_latency, model.seed));
        let settings = ClientSettings { region: Some(region.to_owned()), door, clock };
        let clients = clients::connect(settings).await.map_err(|error| failed(&error))?;
        Ok(Place { clock, cloud, clients })
    }
}

fn function(model: &Rehearsal) -> FunctionModel {
    FunctionModel {
        init: model.cold_start,
        per_batch: model.per_batch,
        per_record: model.per_record,
        failure_rate: model.failure_rate,
        memory_used_mb: model.memory_used_mb,
    }
}

/// What the figures of a rehearsal rest on, a sentence each.
pub fn assumptions(model: &Rehearsal) -> Vec<String> {
    vec![
        format!("a put takes {} from sending it to its answer", spread(model.put_latency)),
        format!(
            "an invocation takes {} and each of its records {} more",
            spread(model.per_batch),
            spread(model.per_record)
        ),
        format!("a cold start takes {}", spread(model.cold_start)),
        format!(
            "that is a function of {} MB; {} % of it is work of the CPU, which goes with memory, in proportion up to {} MB \
             (one vCPU)",
            model.at_memory_mb,
            model.cpu_share * 100.0,
            grouped(&limits::FUNCTION_ONE_VCPU_MB.to_string())
        ),
        format!(
            "{} % of invocations fail; the function uses {} MB",
            model.failure_rate * 100.0,
            model.memory_used_mb
        ),
        "the services behave as the local endpoint models them, and the generator is never late".to_owned(),
    ]
}

fn spread(spread: Spread) -> String {
    let ms = |duration: Duration| format!("{} ms", duration.as_secs_f64() * 1e3);
    if spread.p99 <= spread.median {
        return ms(spread.median);
    }
    format!("{} (median; p99 {}, log-normal)", ms(spread.median), ms(spread.p99))
}
