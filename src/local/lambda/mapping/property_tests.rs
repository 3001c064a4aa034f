//! Whatever fails, in whatever way: the order of each key holds, and no record is skipped. In virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::local::faults::Faults;
use crate::local::lambda::host::in_process::FunctionFailure;
use crate::local::lambda::testing::{Seen, Stage, fail, ok, watching};

/// Virtual seconds after which nothing may be outstanding.
const BOUND_S: u64 = 7_200;

#[derive(Clone, Debug)]
struct Case {
    /// Shard and key of each record, in the order of putting.
    records: Vec<(u8, u8)>,
    batch_size: u32,
    parallelization: u32,
    retries_max: u32,
    bisect: bool,
    /// Percentages of invocations.
    fails: u32,
    fails_partly: u32,
    /// The mapping's batch settings are changed while it works.
    changes: bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let records = proptest::collection::vec((0_u8..2, 0_u8..5), 1..120);
    let settings = (1_u32..9, 1_u32..=10, 0_u32..4, any::<bool>());
    (records, settings, 0_u32..50, 0_u32..50, any::<bool>(), any::<u64>()).prop_map(
        |(
            records,
            (batch_size, parallelization, retries_max, bisect),
            fails,
            fails_partly,
            changes,
            seed,
        )| {
            Case {
                records,
                batch_size,
                parallelization,
                retries_max,
                bisect,
                fails,
                fails_partly,
                changes,
                seed,
            }
        },
    )
}

/// A record: its shard and its sequence number, from 1.
type Id = (String, u64);

/// What the function took for good, as (key, record), in order.
type Taken = Arc<Mutex<Vec<(String, Id)>>>;

/// Fails as the case says; notes what its answers let the mapping count as done.
fn answer(
    case: &Case,
    taken: &Taken,
) -> impl Fn(&Seen) -> Result<Bytes, FunctionFailure> + Send + Sync + use<> {
    let rng = Mutex::new(fastrand::Rng::with_seed(case.seed));
    let (fails, partly, taken) = (case.fails, case.fails_partly, taken.clone());
    move |seen: &Seen| {
        let mut rng = rng.lock().unwrap();
        if rng.u32(0..100) < fails {
            return fail();
        }
        let first_bad = (rng.u32(0..100) < partly).then(|| rng.usize(..seen.records.len()));
        let good = first_bad.unwrap_or(seen.records.len());
        let ids = seen.records[..good].iter().map(|(key, n)| (key.clone(), (seen.shard.clone(), *n)));
        taken.lock().unwrap().extend(ids);
        match first_bad {
            None => ok(seen),
            Some(bad) => {
                let item = json!({"itemIdentifier": seen.records[bad].1.to_string()});
                Ok(json!({"batchItemFailures": [item]}).to_string().into())
            }
        }
    }
}

/// Records of the on-failure objects, in order.
fn given_up(stage: &Stage) -> Vec<Id> {
    let mut ids = Vec::new();
    for put in stage.s3.of("PutObject") {
        let body: Value =
            serde_json::from_slice(&STANDARD.decode(put["Body"].as_str().unwrap()).unwrap()).unwrap();
        let event: Value = serde_json::from_str(body["payload"].as_str().unwrap()).unwrap();
        let info = &body["KinesisBatchInfo"];
        let numbers: Vec<u64> = event["Records"].as_array().unwrap().iter().map(number).collect();
        assert_eq!(info["batchSize"], numbers.len());
        assert_eq!(info["startSequenceNumber"], numbers[0].to_string());
        assert_eq!(info["endSequenceNumber"], numbers.last().unwrap().to_string());
        ids.extend(numbers.into_iter().map(|n| (info["shardId"].as_str().unwrap().to_owned(), n)));
    }
    ids
}

fn number(record: &Value) -> u64 {
    record["kinesis"]["sequenceNumber"].as_str().unwrap().parse().unwrap()
}

async fn run(case: Case) {
    let taken = Taken::default();
    let watching = watching(Duration::from_millis(20), answer(&case, &taken));
    let stage = Stage::in_process(watching.handler, Faults::none());
    let shards = ["shardId-000000000000", "shardId-000000000001"];
    let mut all: BTreeSet<Id> = BTreeSet::new();
    let mut counts = [0_u64; 2];
    for shard in shards {
        stage.kinesis.shards.lock().unwrap().entry(shard.to_owned()).or_default();
    }
    let uuid = stage
        .map(json!({
            "BatchSize": case.batch_size, "ParallelizationFactor": case.parallelization,
            "MaximumRetryAttempts": case.retries_max, "BisectBatchOnFunctionError": case.bisect,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::lost"}},
        }))
        .await;
    for (index, (shard, key)) in case.records.iter().enumerate() {
        let place = usize::from(*shard);
        stage.kinesis.put(shards[place], &format!("k{key}"), "x");
        counts[place] += 1;
        all.insert((shards[place].to_owned(), counts[place]));
        if index % 7 == 0 {
            tokio::time::sleep(Duration::from_millis(130)).await;
        }
        if case.changes && index == case.records.len() / 2 {
            let change = json!({"UUID": uuid, "BatchSize": 3, "ParallelizationFactor": 4});
            stage.call("UpdateEventSourceMapping", change).await.unwrap();
        }
    }
    let finished = |taken: &Taken| {
        let mut done: BTreeSet<Id> = taken.lock().unwrap().iter().map(|(_, id)| id.clone()).collect();
        done.extend(given_up(&stage));
        done == all
    };
    for _ in 0..BOUND_S / 10 {
        if finished(&taken) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    // Long enough for what must not come again to come again.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(finished(&taken), "a record was skipped: {case:?}");
    check(&case, &taken.lock().unwrap(), given_up(&stage));
    stage.lambda.shutdown().await;
}

fn check(case: &Case, taken: &[(String, Id)], given_up: Vec<Id>) {
    let lost: BTreeSet<&Id> = given_up.iter().collect();
    let mut first: BTreeSet<&Id> = BTreeSet::new();
    let mut last: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (key, id) in taken {
        // A changed mapping reads again from its checkpoint: only what is new counts for the order, and what was given
        // up before and done then has lost its place.
        if first.insert(id) && !lost.contains(id) {
            let before = last.insert((&id.0, key), id.1);
            assert!(before.is_none_or(|before| before < id.1), "{id:?} of {key} after {before:?}: {case:?}");
        }
    }
    if !case.changes {
        assert_eq!(first.len(), taken.len(), "a record was done twice: {case:?}");
        assert_eq!(lost.len(), given_up.len(), "a record was given up twice: {case:?}");
        assert!(lost.is_disjoint(&first), "a record was given up and done: {case:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn order_holds_and_nothing_is_skipped(case in cases()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(run(case));
    }
}
