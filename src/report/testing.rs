//! Reports for the tests of every format: one rich run, and what changes make of it.

use serde_json::Value;

use crate::cost::{BUILTIN_PRICES, PriceBook};
use crate::evidence::actions::ActionEvidence;
use crate::evidence::model::{Block, Blocked, Dist, Evidence, RunEnd};
use crate::verdict::fixture::evidence;

use super::*;

const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/report-v1.schema.json");

/// The model of the fixture's run, with a price book that has no price for a dashboard: it has levels that
/// passed, failed, are void and never started, metrics that are missing and a line without a price.
pub(crate) fn fixture() -> ReportModel {
    let text = BUILTIN_PRICES;
    let start = text.find("  cloudwatch_dashboard_month:").expect("entry");
    let end = text.find("  cloudwatch_custom_metric_month:").expect("entry");
    let book = PriceBook::parse(&format!("{}{}", &text[..start], &text[end..])).expect("book");
    of(&evidence(), &book)
}

/// The fixture's report after a change to its evidence.
pub(crate) fn changed(change: impl FnOnce(&mut Evidence)) -> ReportModel {
    let mut evidence = evidence();
    change(&mut evidence);
    of(&evidence, &PriceBook::builtin())
}

pub(crate) fn complete(evidence: &mut Evidence) {
    evidence.tests.truncate(1);
    evidence.plan.phases.truncate(1);
    evidence.seconds.retain(|row| row.level < 4);
    evidence.flags.clear();
    evidence.run.end = RunEnd::Completed;
    evidence.delivery.complete = true;
    evidence.delivery.acked = 66_300;
    evidence.delivery.delivered = 66_300;
    evidence.delivery.lost = Some(0);
}

pub(crate) fn unmeasured(evidence: &mut Evidence) {
    evidence.delivery.measured = false;
    evidence.usage.delivered = 0;
    for level in evidence.tests.iter_mut().flat_map(|test| &mut test.levels) {
        (level.e2e, level.clock_error_ms, level.stage_put, level.stage_stream, level.stage_function) =
            (None, None, None, None, None);
    }
}

/// A batch of 100 with one poisoned record, given up after five attempts; and a second that was not.
pub(crate) fn poisoned(evidence: &mut Evidence) {
    complete(evidence);
    let wait = |count: u64| Dist {
        count,
        avg: 3_770.0,
        p50: 3_750.0,
        p95: 7_200.0,
        p99: 7_500.0,
        p999: 7_600.0,
        max: 7_608.0,
    };
    let from_us = evidence.tests[0].started_us.expect("started") + 40_000_000;
    let given_up = Block {
        level: 1,
        shard: "shardId-000000000000".into(),
        from_us,
        until_us: Some(from_us + 7_575_000),
        failed_attempts: 5,
        poison: [950].into(),
        dead_ranges: 1,
        dead_lettered: vec![(900, 999)],
        dead_good: 99,
        dead_good_unprocessed: 49,
        added_wait: Some(wait(380)),
    };
    let open = Block {
        level: 1,
        shard: "shardId-000000000000".into(),
        from_us: from_us + 20_000_000,
        failed_attempts: 2,
        poison: [1_950].into(),
        ..Block::default()
    };
    let blocked = Blocked { poisoned: 2, blocks: vec![given_up, open], added_wait: Some(wait(380)) };
    evidence.tests[0].blocked = Some(blocked);
    evidence.delivery.dead_lettered = 100;
}

pub(crate) fn acted(evidence: &mut Evidence) {
    complete(evidence);
    let started_us = evidence.tests[0].started_us.expect("started") + 40_000_000;
    let off = ActionEvidence {
        level: 1,
        kind: "disable_mapping".into(),
        text: "mapping disabled for 20s".into(),
        planned_us: Some(started_us),
        started_us: Some(started_us),
        in_force_us: Some(started_us + 500_000),
        reverting_us: Some(started_us + 20_000_000),
        reverted_us: Some(started_us + 21_000_000),
        backlog_max_records: Some(2_010),
        caught_up_us: Some(started_us + 26_500_000),
        age_limit_ms: 1_000.0,
        ..ActionEvidence::default()
    };
    let refused = ActionEvidence {
        text: "4 shards for 1m".into(),
        kind: "reshard".into(),
        refused: Some("LimitExceededException: no".into()),
        started_us: Some(started_us),
        ..ActionEvidence::default()
    };
    let late = ActionEvidence {
        text: "reserved concurrency 1 for 5s".into(),
        kind: "set_reserved_concurrency".into(),
        ..ActionEvidence::default()
    };
    evidence.tests[0].actions = vec![off, refused, late];
}

/// The schema as the repository holds it, which is as the code generates it.
pub(crate) fn schema_of_the_repository() -> jsonschema::Validator {
    if std::env::var_os("STREAMGAUGE_BLESS").is_some() {
        std::fs::write(SCHEMA_FILE, schema()).expect("the schema can be written");
    }
    let text = std::fs::read_to_string(SCHEMA_FILE).expect("the schema is in the repository");
    assert_eq!(text, schema(), "not what the code generates: STREAMGAUGE_BLESS=1 rewrites it");
    jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema")
}

/// Every key of the JSON, wherever it stands, except the names of metrics and reasons.
pub(crate) fn keys(value: &Value, into: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                into.insert(key.clone());
                if key != "cloudwatch" && key != "failed_by_reason" {
                    keys(member, into);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, into)),
        _ => {}
    }
}
