//! Pulling metrics into a run directory: after the load, and again on demand.

use std::path::Path;
use std::time::Duration;

use crate::evidence;
use crate::evidence::cloudwatch::{self, MetricClients, PullRequest};
use crate::evidence::pulled::Pulled;
use crate::evidence::rundir::RunDir;
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;

use super::SessionError;
use super::progress::Progress;
use super::publish::write_whole;

/// CloudWatch has a minute's data within a few minutes; what comes later is for `metrics RUN`.
const SETTLE_FOR: Duration = Duration::from_secs(300);

/// Asks CloudWatch and the function's log for what belongs to the run in `dir`, and writes `metrics.json` and
/// `metrics.csv` there.
pub async fn pull(
    clients: &Clients,
    clock: Clock,
    dir: &Path,
    progress: &dyn Progress,
) -> Result<(), SessionError> {
    let evidence = evidence::load(dir)?;
    let environment = &evidence.environment;
    progress.step("pulling metrics");
    let request = PullRequest {
        stream_name: environment.stream_name.clone(),
        function_name: environment.function_name.clone(),
        mapping_uuid: environment.mapping_uuid.clone(),
        log_group: environment.log_group.clone(),
        dlq_name: environment.dlq_url.rsplit('/').next().unwrap_or_default().to_owned(),
        dlq_url: environment.dlq_url.clone(),
        from_ms: evidence.run.started_us / 1_000,
        to_ms: evidence.run.ended_us.unwrap_or_else(|| clock.now_us()) / 1_000,
        expect_records: evidence.delivery.acked + evidence.probes_acked,
        expect_invocations_at_least: evidence.receipts,
        settle_for: SETTLE_FOR,
    };
    let clients = MetricClients {
        cloudwatch: clients.cloudwatch.clone(),
        logs: clients.logs.clone(),
        sqs: clients.sqs.clone(),
    };
    // Without CloudWatch the run's own numbers stand: its metrics are missing, with the reason.
    let pulled = match cloudwatch::pull(&clients, clock, &request, &|line| progress.step_live(line)).await {
        Ok(pulled) => pulled,
        Err(error) => {
            progress.step(&format!("{error} ({})", error.hint()));
            Pulled { unsettled: Some(error.to_string()), ..Pulled::default() }
        }
    };
    RunDir::open(dir)?.write_metrics(&pulled)?;
    let path = dir.join("metrics.csv");
    write_whole(&path, &cloudwatch::to_csv(&pulled)).map_err(|error| SessionError::Unwritable { path, error })
}
