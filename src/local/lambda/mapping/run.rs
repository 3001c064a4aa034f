//! The task of one mapping: follows what the API asks for, finds shards, and runs one poller for each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::config::Config;
use super::poller::Poller;
use super::progress::{Progress, State};
use crate::local::lambda::state::Shared;
use crate::local::service::ApiError;

/// How often shards are looked for. AWS documents no number.
const DISCOVER_EVERY: Duration = Duration::from_secs(10);
/// The same when the stream could not be listed.
const DISCOVER_AGAIN: Duration = Duration::from_secs(1);

/// What the API wants of a mapping. The pollers stop when it changes.
#[derive(Clone)]
pub enum Wanted {
    Running(Arc<Config>),
    Stopped,
    Gone,
}

/// What the tasks of one mapping have in common.
#[derive(Clone)]
pub struct Mapping {
    pub shared: Arc<Shared>,
    pub uuid: Arc<str>,
    pub progress: Arc<Progress>,
}

/// Runs until the mapping is gone and its pollers have ended.
pub async fn follow(mapping: Mapping, mut wanted: watch::Receiver<Wanted>) {
    loop {
        let now = wanted.borrow_and_update().clone();
        match now {
            Wanted::Gone => return,
            Wanted::Stopped => {
                mapping.progress.set_state(State::Disabled);
                if wanted.changed().await.is_err() {
                    return;
                }
            }
            Wanted::Running(config) => {
                run(&mapping, &config, wanted.clone()).await;
                // Nobody is left who could want anything: the service was dropped.
                if wanted.has_changed().is_err() {
                    return;
                }
            }
        }
    }
}

/// Polls with this configuration until something else is wanted. Bounded by the pollers' stop.
async fn run(mapping: &Mapping, config: &Arc<Config>, mut stop: watch::Receiver<Wanted>) {
    let mut pollers: JoinSet<()> = JoinSet::new();
    let mut started = BTreeSet::new();
    loop {
        note_retention(mapping, config).await;
        let wait = match list_shards(mapping, config).await {
            Ok(shards) => {
                start_pollers(mapping, config, &shards, &mut started, &mut pollers, &stop);
                mapping.progress.set_begun(shards.keys(), mapping.shared.ctx.clock.now_ms());
                mapping.progress.set_running();
                DISCOVER_EVERY
            }
            Err(error) => {
                mapping.progress.note(&format!("PROBLEM: {error}"));
                DISCOVER_AGAIN
            }
        };
        tokio::select! {
            biased;
            _ = stop.changed() => break,
            // A shard was read to its end: its children may start.
            Some(_) = pollers.join_next(), if !pollers.is_empty() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    while pollers.join_next().await.is_some() {}
}

/// A shard starts when its parents, where they are still listed, have been read to their end: that keeps the
/// order of a partition key over a split or a merge.
fn start_pollers(
    mapping: &Mapping,
    config: &Arc<Config>,
    shards: &BTreeMap<String, Vec<String>>,
    started: &mut BTreeSet<String>,
    pollers: &mut JoinSet<()>,
    stop: &watch::Receiver<Wanted>,
) {
    let progress = &mapping.progress;
    let now_ms = mapping.shared.ctx.clock.now_ms();
    for (id, parents) in shards {
        let waits = parents.iter().any(|parent| shards.contains_key(parent) && !progress.is_finished(parent));
        let from = progress.shard(id);
        if waits || from.finished || started.contains(id) {
            continue;
        }
        started.insert(id.clone());
        progress.set_started(id, &from, now_ms);
        let poller = Poller::new(mapping.clone(), config.clone(), id, from, stop.clone());
        pollers.spawn(poller.run());
    }
}

/// Looks how long the stream keeps its records. An error is left for the list of shards to meet.
async fn note_retention(mapping: &Mapping, config: &Config) {
    let asked = json!({"StreamName": config.stream});
    if let Ok(answer) = mapping.shared.peers.kinesis.call("DescribeStreamSummary", asked).await
        && let Some(hours) = answer["StreamDescriptionSummary"]["RetentionPeriodHours"].as_i64()
    {
        mapping.progress.set_retention_ms(hours * 3_600_000);
    }
}

/// The shards of the stream, each with its parents.
async fn list_shards(mapping: &Mapping, config: &Config) -> Result<BTreeMap<String, Vec<String>>, ApiError> {
    let mut shards = BTreeMap::new();
    let mut input = json!({"StreamName": config.stream});
    loop {
        let page = mapping.shared.peers.kinesis.call("ListShards", input).await?;
        for shard in page["Shards"].as_array().into_iter().flatten() {
            let Some(id) = shard["ShardId"].as_str() else { continue };
            let parents = ["ParentShardId", "AdjacentParentShardId"]
                .iter()
                .filter_map(|member| shard[*member].as_str().map(str::to_owned))
                .collect();
            shards.insert(id.to_owned(), parents);
        }
        match &page["NextToken"] {
            Value::String(token) => input = json!({"NextToken": token}),
            _ => return Ok(shards),
        }
    }
}
