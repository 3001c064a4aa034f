//! Who the caller is, and what the account lets a stream have.

use super::super::StackError;
use super::super::error::failed;
use super::finding::Finding;
use super::{bounded, simulation};
use crate::platform::clients::Clients;

/// As STS names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// Account id.
    pub account: String,
    pub arn: String,
}

/// The identity, and what it may do: the second question needs the first one's answer.
pub(super) async fn caller_and_permissions(clients: &Clients, env: &str) -> Vec<Finding> {
    match bounded(caller(clients)).await {
        Ok(caller) => {
            let found = format!("account {}, {}", caller.account, caller.arn);
            let mut findings = vec![Finding::ok("identity", found)];
            findings.extend(simulation::permissions(clients, &caller, env).await);
            findings
        }
        Err(unanswered) => {
            let unknown = Finding::warning(
                "permissions",
                "could not check: it is not known who asks",
                "mend the identity first",
            );
            vec![unanswered.stop("identity"), unknown]
        }
    }
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
