//! Who the caller is, and what the account lets a stream have.

use super::super::StackError;
use super::super::error::failed;
use super::finding::Finding;
use super::{bounded, simulation};
use crate::platform::clients::Clients;

const IDENTITY: &str = "identity";

/// As STS names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// Account id.
    pub account: String,
    pub arn: String,
}

/// The identity, and what it may do: the second question needs the first one's answer.
pub(super) async fn caller_and_permissions(clients: &Clients, env: &str) -> Vec<Finding> {
    // The error as it is: here alone the whole story of the credentials is told.
    match bounded(async { Ok(caller(clients).await) }).await {
        Ok(Ok(caller)) => {
            let found = format!("account {}, {}", caller.account, caller.arn);
            let mut findings = vec![Finding::ok(IDENTITY, found)];
            findings.push(simulation::permissions(clients, &caller, env).await);
            findings
        }
        Ok(Err(error)) => unknown(Finding::stop(IDENTITY, first_line(&error.to_string()), error.hint())),
        Err(unanswered) => unknown(unanswered.stop(IDENTITY)),
    }
}

fn unknown(identity: Finding) -> Vec<Finding> {
    let found = "could not check: it is not known who asks";
    vec![identity, Finding::warning("permissions", found, "mend the identity first")]
}

/// The SDK lists below it every place where it looked for credentials.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.trim_end_matches(" Attempted:").to_owned()
}

async fn caller(clients: &Clients) -> Result<Caller, StackError> {
    let answer = clients.sts.get_caller_identity().send().await;
    let answer = answer.map_err(|error| failed("STS", "find out who asks", error))?;
    let text = |given: Option<&str>| given.unwrap_or_default().to_owned();
    Ok(Caller { account: text(answer.account()), arn: text(answer.arn()) })
}

/// What DescribeLimits says of the account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamQuota {
    pub shards_max: u32,
    /// Of provisioned streams.
    pub shards_open: u32,
    pub on_demand_streams_max: u32,
    pub on_demand_streams: u32,
}

pub(super) async fn stream_quota(clients: &Clients) -> Result<StreamQuota, StackError> {
    let answer = clients.kinesis.describe_limits().send().await;
    let answer = answer.map_err(|error| failed("Kinesis", "ask for the quota of shards", error))?;
    let count = |given: i32| u32::try_from(given).unwrap_or(0);
    Ok(StreamQuota {
        shards_max: count(answer.shard_limit()),
        shards_open: count(answer.open_shard_count()),
        on_demand_streams_max: count(answer.on_demand_stream_count_limit()),
        on_demand_streams: count(answer.on_demand_stream_count()),
    })
}
