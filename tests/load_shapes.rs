//! Load shapes through the whole main job, in virtual time: a replayed series with random arrivals, a spike over
//! skewed keys, and keys that take turns over the shards.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use streamgauge::plan;
use streamgauge::session::publish::publish;
use support::{Listener, Ran, test_of_plan};

/// Which records of the load each shard handed to the function, by their keys.
#[derive(Default)]
struct Keys(Mutex<BTreeMap<String, Vec<String>>>);

impl Listener for Keys {
    fn invoked(&self, _: &str, event: &[u8]) {
        let event: Value = serde_json::from_slice(event).unwrap();
        let mut shards = self.0.lock().unwrap();
        for record in event["Records"].as_array().unwrap() {
            let key = record["kinesis"]["partitionKey"].as_str().unwrap().to_owned();
            let shard = record["eventID"].as_str().unwrap().split(':').next().unwrap().to_owned();
            if !key.starts_with("probe-") {
                shards.entry(shard).or_default().push(key);
            }
        }
    }
}

async fn ran(test: &str, files: &BTreeMap<String, bytes::Bytes>) -> (Ran, Arc<Keys>) {
    let text = format!(
        "schema: streamgauge/plan/v1\nname: shapes\nenvironment: {{stream: {{shards: 3}}}}\n\
         phases:\n  - name: a\n    tests:\n      - id: \"1\"\n        name: t\n        payload: small\n{test}"
    );
    let plan = plan::parse_with(&text, files).unwrap_or_else(|errors| panic!("{errors}"));
    let keys = Arc::new(Keys::default());
    (test_of_plan(plan, &[], 1, &keys).await, keys)
}

#[tokio::test(start_paused = true)]
async fn a_series_is_replayed_and_reported_from_the_run_directory_alone() {
    let rows: String = (0..100).map(|second| format!("{second},{}\n", 10 + second % 2 * 20)).collect();
    let series = format!("time_s,rate\n{rows}");
    let files = BTreeMap::from([("series.csv".to_owned(), series.clone().into())]);
    let test = "        arrivals: poisson\n        rates: {file: series.csv}\n        criteria: [success_rate == 100%, throughput_ratio > 80%]\n";
    let (ran, _) = ran(test, &files).await;
    assert_eq!(ran.report["run"]["verdict"], "pass", "{:#}", ran.report["tests"][0]["criteria"]);
    assert_eq!(ran.report["delivery"]["delivered"], 2_000);
    let notes = ran.report["notes"].to_string();
    assert!(notes.contains("test 1: Poisson arrivals (seed 1)"), "{notes}");
    let levels = ran.report["tests"][0]["levels"].as_array().unwrap();
    assert_eq!(levels.len(), 50, "two rows a level");
    for level in levels {
        assert_eq!((&level["kind"], &level["target_rps"]), (&json!("replay"), &json!(20.0)));
        assert_eq!((&level["name"], &level["scheduled"]), (&json!("20.0/s mean replay"), &json!(40)));
    }
    let targets: BTreeSet<String> = std::fs::read_to_string(ran.dir.join("series.csv"))
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(2).unwrap().to_owned())
        .collect();
    assert!(
        targets.contains("10.000") && targets.contains("30.000"),
        "the rows, not their mean: {targets:?}"
    );

    // The plan's files are gone; the report comes from what the run kept.
    let before = std::fs::read(ran.dir.join("report.json")).unwrap();
    publish(&ran.dir).unwrap();
    assert_eq!(std::fs::read(ran.dir.join("report.json")).unwrap(), before);
    let kept: Vec<_> =
        std::fs::read_dir(ran.dir.join("files")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read_to_string(&kept[0]).unwrap(), series);
    std::fs::write(&kept[0], series.replace("99,30", "99,31")).unwrap();
    assert!(publish(&ran.dir).is_err(), "a file that is not the one that was run is no ground for a report");
}

#[tokio::test(start_paused = true)]
async fn keys_that_take_turns_load_the_shards_alike_and_keep_their_order() {
    let test = "        keys: {count: 30, distribution: round_robin}\n        stages: [{duration: 10s, from: 60, target: 60}, {duration: 2s, from: 300, target: 300}, {duration: 5s, from: 60, target: 60}]\n        criteria: [out_of_order == 0, lost == 0]\n";
    let (ran, keys) = ran(test, &BTreeMap::new()).await;
    assert_eq!(ran.report["run"]["verdict"], "pass", "{:#}", ran.report["tests"][0]["criteria"]);
    let levels: Vec<_> = ran.report["tests"][0]["levels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|level| (level["kind"].clone(), level["acked"].clone()))
        .collect();
    assert_eq!(
        levels,
        [(json!("hold"), json!(600)), (json!("hold"), json!(600)), (json!("hold"), json!(300))]
    );
    let shards = keys.0.lock().unwrap();
    let counts: Vec<usize> = shards.values().map(Vec::len).collect();
    assert_eq!(counts, [500, 500, 500]);
    let mut seen = BTreeSet::new();
    for keys in shards.values() {
        let distinct: BTreeSet<&String> = keys.iter().collect();
        assert_eq!(distinct.len(), 10);
        assert!(distinct.into_iter().all(|key| seen.insert(key.clone())), "a key stays in its shard");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hot_key_has_its_share_and_its_records_are_in_order() {
    let test = "        keys: {count: 50, distribution: hot, hot_share: 70%}\n        stages: [{duration: 20s, from: 100, target: 100}]\n        criteria: [out_of_order == 0, lost == 0]\n";
    let (ran, keys) = ran(test, &BTreeMap::new()).await;
    assert_eq!(ran.report["run"]["verdict"], "pass", "{:#}", ran.report["tests"][0]["criteria"]);
    let shards = keys.0.lock().unwrap();
    let hot = shards.values().flatten().filter(|key| *key == "key-000000").count();
    // Five standard deviations of 2,000 draws around 1,400.
    assert!((1_298..=1_502).contains(&hot), "{hot}");
}
