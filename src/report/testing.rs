//! Reports for the tests of every format: one rich run, and what changes make of it.

use serde_json::Value;

use crate::cost::{BUILTIN_PRICES, PriceBook};
use crate::evidence::actions::ActionEvidence;
use crate::evidence::model::{
    Block, Blocked, Delivery, Dist, EnvironmentInfo, Evidence, LevelEvidence, RunEnd, Usage,
};
use crate::verdict::fixture::evidence;

use super::*;

const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/report-v1.schema.json");

/// The model of the fixture's run, with a price book that has no price for a dashboard: it has levels that
/// passed, failed, are void and never started, metrics that are missing and a line without a price.
pub(crate) fn fixture() -> ReportModel {
    of(&evidence(), &book_without_dashboards())
}

fn book_without_dashboards() -> PriceBook {
    let text = BUILTIN_PRICES;
    let start = text.find("  cloudwatch_dashboard_month:").expect("entry");
    let end = text.find("  cloudwatch_custom_metric_month:").expect("entry");
    PriceBook::parse(&format!("{}{}", &text[..start], &text[end..])).expect("book")
}

/// Everything that a report can have: the fixture with blocked shards, actions, reasons, CloudWatch by level, a sink, and
/// planted faults. One second in twenty is drawn, to keep the snapshot of the page small.
pub(crate) fn rich() -> ReportModel {
    rich_with(|_| {})
}

/// The rich report after a further change.
pub(crate) fn rich_with(change: impl FnOnce(&mut Evidence)) -> ReportModel {
    let mut evidence = evidence();
    block(&mut evidence);
    act(&mut evidence);
    evidence.run.faults = vec!["throttle:rate=5%".into()];
    evidence.run.generator_peak_mb = Some(41.5);
    let level = &mut evidence.tests[0].levels[3];
    level.stage_sink = level.stage_function;
    let unaligned = Err("no whole minute inside the level".to_owned());
    level.cloudwatch.insert("lambda.Duration.Average".into(), Ok(9.25));
    level.cloudwatch.insert("lambda.Duration.Maximum".into(), unaligned);
    evidence.seconds.retain(|row| row.at_ms / 1_000 % 20 == 0);
    evidence.receipt_seconds.retain(|row| row.at_ms / 1_000 % 20 == 0);
    change(&mut evidence);
    of(&evidence, &book_without_dashboards())
}

/// As little as a run can leave behind: killed in its first second, before any record, receipt or metric, and nothing
/// known of the environment.
pub(crate) fn poor() -> ReportModel {
    changed(|evidence| {
        unmeasured(evidence);
        evidence.run.end = RunEnd::Killed;
        evidence.run.ended_us = None;
        // As the plan has it, since nothing else is known.
        let (none, known) = (EnvironmentInfo::default(), std::mem::take(&mut evidence.environment));
        let EnvironmentInfo { account, stream_name, function_name, architecture, up_us, down_us, .. } = none;
        evidence.environment = EnvironmentInfo {
            account,
            stream_name,
            function_name,
            architecture,
            up_us,
            down_us,
            alarms: 0,
            dashboards: 0,
            ..known
        };
        evidence.delivery = Delivery::default();
        evidence.cloudwatch.unsettled = Some("there is no metrics.json".into());
        let Usage { region, stream_mode, shards, retention_hours, memory_mb, .. } = evidence.usage.clone();
        evidence.usage =
            Usage { region, stream_mode, shards, retention_hours, memory_mb, ..Usage::default() };
        (evidence.seconds, evidence.receipt_seconds) = (Vec::new(), Vec::new());
        evidence.flags.clear();
        let never = evidence.tests[2].levels[2].clone();
        for test in &mut evidence.tests {
            test.cloudwatch.clear();
            (test.started_us, test.ended_us, test.drain_s, test.finished) = (None, None, None, false);
            for level in &mut test.levels {
                let LevelEvidence { index, name, kind, from_rps, target_rps, planned_s, .. } = level.clone();
                *level =
                    LevelEvidence { index, name, kind, from_rps, target_rps, planned_s, ..never.clone() };
            }
        }
        // The first level began, and no record of it has an outcome.
        let started_us = Some(evidence.run.started_us + 20_000_000);
        evidence.tests[0].started_us = started_us;
        evidence.tests[0].levels[0].started_us = started_us;
    })
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
    evidence.receipts = 0;
    evidence.usage.delivered = 0;
    for level in evidence.tests.iter_mut().flat_map(|test| &mut test.levels) {
        (level.e2e, level.clock_error_ms, level.stage_put, level.stage_stream, level.stage_function) =
            (None, None, None, None, None);
    }
}

pub(crate) fn poisoned(evidence: &mut Evidence) {
    complete(evidence);
    block(evidence);
}

/// A batch of 100 with one poisoned record, given up after five attempts; and a second that was not.
fn block(evidence: &mut Evidence) {
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
    act(evidence);
}

/// Three actions: one that was caught up, one that was refused, one that was not begun.
fn act(evidence: &mut Evidence) {
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

/// The schema as the repository holds it, which is as the code generates it, [closed](closed_schema).
pub(crate) fn schema_of_the_repository() -> jsonschema::Validator {
    if std::env::var_os("STREAMGAUGE_BLESS").is_some() {
        std::fs::write(SCHEMA_FILE, schema()).expect("the schema can be written");
    }
    let text = std::fs::read_to_string(SCHEMA_FILE).expect("the schema is in the repository");
    assert_eq!(text, schema(), "not what the code generates: STREAMGAUGE_BLESS=1 rewrites it");
    jsonschema::validator_for(&closed_schema()).expect("a schema")
}

/// The published schema, for ourselves: it allows no other keys and no other words than those that it lists.
pub(crate) fn closed_schema() -> Value {
    let mut schema = serde_json::from_str(&schema()).expect("JSON");
    close(&mut schema);
    schema
}

fn close(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                for property in properties.values_mut().filter_map(Value::as_object_mut) {
                    if let Some(words) = property.remove("examples") {
                        property.insert("enum".into(), words);
                    }
                }
                members.insert("additionalProperties".into(), false.into());
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
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
