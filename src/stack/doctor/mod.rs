//! `doctor`: what would keep a plan from working, found before anything is created. Asks the account in parallel
//! and judges the answers with pure functions; a question without an answer hides no other finding.

mod account;
mod capacity;
mod concurrency;
mod finding;
mod generator;
mod money;
mod network;
mod permissions;
mod simulation;
mod stacks;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use super::artifact::{Artifact, ArtifactError};
use super::{Part, StackError, Standing};
use crate::plan::{Plan, StreamMode};
use crate::platform::clients::Clients;
use crate::platform::clock::{Clock, WallUs};

pub use finding::{Concern, Finding, Level};
pub use generator::{Headroom, Probe, measure as measure_headroom};
pub use money::Money;

/// How long one question may take, with its retries: `doctor` is to answer while somebody waits.
const QUESTION_BOUND: Duration = Duration::from_secs(30);

/// What to examine.
pub struct DoctorRequest<'a> {
    /// Name of the environment, as `up` takes it.
    pub env: &'a str,
    /// `None` examines the account and this machine alone.
    pub plan: Option<&'a Plan>,
    pub artifact: &'a Result<Artifact, ArtifactError>,
    /// What this machine can send, measured before (and apart from) everything else.
    pub headroom: &'a Headroom,
    pub money: &'a Money,
}

/// Why a question has no answer, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
struct Unanswered {
    why: String,
    hint: String,
    /// The credentials are to blame: the finding `identity` says all about it.
    by_credentials: bool,
}

impl Unanswered {
    /// What is not known is a warning: the run may well work.
    fn warning(&self, check: &'static str) -> Finding {
        Finding::warning(check, format!("could not check: {}", self.why), self.hint.clone())
    }

    /// For what nothing works without.
    fn stop(&self, check: &'static str) -> Finding {
        match self.by_credentials {
            true => self.warning(check),
            false => Finding::stop(check, self.why.clone(), self.hint.clone()),
        }
    }
}

impl From<StackError> for Unanswered {
    fn from(error: StackError) -> Unanswered {
        let hint = error.hint();
        match error {
            StackError::Credentials { service, .. } => {
                let why = format!("{service} does not accept the credentials");
                Unanswered { why, hint, by_credentials: true }
            }
            // No credentials, and those that the look-up did not find a moment ago.
            StackError::NoCredentials { .. } => {
                Unanswered { why: "no credentials were found".to_owned(), hint, by_credentials: true }
            }
            other => Unanswered { why: other.to_string(), hint, by_credentials: false },
        }
    }
}

/// The answer of a question within its bound.
async fn bounded<T>(question: impl Future<Output = Result<T, StackError>>) -> Result<T, Unanswered> {
    bounded_by(QUESTION_BOUND, question).await
}

async fn bounded_by<T>(
    bound: Duration,
    question: impl Future<Output = Result<T, StackError>>,
) -> Result<T, Unanswered> {
    match tokio::time::timeout(bound, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Unanswered {
            why: format!("no answer within {} s", bound.as_secs()),
            hint: "check the network, the proxy and the region; run with -v for the whole exchange"
                .to_owned(),
            by_credentials: false,
        }),
    }
}

/// The stream that a plan would load: the one that stands, else the one that the plan asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StreamNow {
    mode: StreamMode,
    /// Only meaningful when provisioned.
    shards: u32,
    stands: bool,
}

impl StreamNow {
    fn of(plan: &Plan, standing: Option<&Standing>) -> StreamNow {
        match standing {
            Some(standing) => StreamNow {
                mode: match standing.stream_mode.as_str() {
                    "on-demand" => StreamMode::OnDemand,
                    _ => StreamMode::Provisioned,
                },
                shards: standing.shards,
                stands: true,
            },
            None => {
                let stream = &plan.environment.stream;
                StreamNow { mode: stream.mode, shards: stream.shards, stands: false }
            }
        }
    }
}

/// Everything that can be found: the account, this machine and the plan. Changes nothing anywhere.
///
/// Ordered by what a reader needs first: who and where, what stands, what is allowed, then what the plan needs.
pub async fn examine(clients: &Clients, clock: Clock, request: &DoctorRequest<'_>) -> Vec<Finding> {
    let stream_name = format!("streamgauge-{}-stream", request.env);
    // Boxed: side by side the SDK's futures are larger than a thread's stack.
    let (caller, stands, templates, stream_quota, function_quota, network, dry_runs) = tokio::join!(
        Box::pin(account::caller_and_permissions(clients, request.env)),
        Box::pin(stacks::look(clients, request.env)),
        Box::pin(permissions::templates(clients)),
        Box::pin(bounded(account::stream_quota(clients))),
        Box::pin(concurrency::quota(clients, clock)),
        Box::pin(bounded(network::measure(clients, clock, &stream_name))),
        Box::pin(permissions::dry_runs(clients, &stream_name)),
    );
    let (stand_findings, standing) = stands;
    let mut findings = vec![Finding::ok("region", clients.region.clone())];
    findings.extend(caller);
    findings.extend(stand_findings);
    findings.extend(dry_runs);
    findings.push(templates);
    findings.extend(network_findings(&network, request.plan));
    let stream = request.plan.map(|plan| StreamNow::of(plan, standing.as_ref()));
    findings.push(match &stream_quota {
        Ok(quota) => capacity::stream_quota(quota, stream),
        Err(unanswered) => unanswered.warning("stream-quota"),
    });
    findings.push(match &function_quota {
        Ok(quota) => concurrency::judge(quota, request.plan, stream, standing.as_ref()),
        Err(unanswered) => unanswered.warning("concurrency"),
    });
    findings.extend(offline(clock.now_us(), &clients.region, request, standing.as_ref()));
    findings
}

/// What can be found without asking anybody: also for where there is nobody to ask.
pub fn offline(
    now_us: WallUs,
    region: &str,
    request: &DoctorRequest<'_>,
    standing: Option<&Standing>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(plan) = request.plan {
        let stream = StreamNow::of(plan, standing);
        findings.push(capacity::stream_capacity(plan, stream));
        findings.push(capacity::record_size(plan));
        findings.extend(standing.and_then(|standing| stacks::differences(plan, standing)));
    }
    findings.push(artifact(request));
    findings.extend(generator::judge(request.headroom, request.plan));
    findings.extend(money::judge(request.money, region, now_us, request.plan));
    findings
}

fn network_findings(network: &Result<network::Network, Unanswered>, plan: Option<&Plan>) -> Vec<Finding> {
    match network {
        Ok(network) => vec![network.distance(plan), network.clock()],
        Err(unanswered) => vec![unanswered.warning("round-trip"), unanswered.warning("clock")],
    }
}

/// The function's code: there, small enough, and for the architecture that the plan asks for.
fn artifact(request: &DoctorRequest<'_>) -> Finding {
    let artifact = match request.artifact {
        Ok(artifact) => artifact,
        Err(error) => return Finding::stop("function-code", error.to_string(), error.hint()),
    };
    let asked = request.plan.and_then(|plan| plan.environment.function.architecture);
    if let (Some(plan), Some(zip)) = (asked, artifact.architecture)
        && plan != zip
    {
        let name = super::templates::architecture_name;
        let error = StackError::Architecture { zip: name(zip), plan: name(plan) };
        return Finding::stop("function-code", error.to_string(), error.hint());
    }
    let architecture =
        artifact.architecture.map_or("of no known architecture", super::templates::architecture_name);
    Finding::ok(
        "function-code",
        format!(
            "{}, {architecture}, {:.1} MB unzipped",
            artifact.source.display(),
            artifact.unzipped_bytes as f64 / 1e6
        ),
    )
}
