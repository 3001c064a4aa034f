//! `levels.csv`: one row a level with every figure that `report.json` has of it, for spreadsheets and scripts.
//!
//! RFC 4180: commas, quotes where needed, CRLF; UTF-8 without a mark. Numbers are plain, with a point; times are RFC
//! 3339; what was not measured is empty. No cell is taken for a formula ([`escape::csv_cell`]).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::escape;
use super::model::*;

/// What a row has before its level's own figures.
const OF_THE_RUN: [&str; 13] = [
    "run_id",
    "plan",
    "plan_hash",
    "target",
    "region",
    "rehearsal",
    "run_verdict",
    "test_id",
    "test_name",
    "test_verdict",
    "payload_name",
    "payload_bytes",
    "currency",
];

/// The keys of `tests[].levels[]` of report.json in its order, those of an object in an object joined by `_`. The two
/// open maps follow them: `failed_by_reason` and `cloudwatch`.
pub(super) const OF_THE_LEVEL: [&str; 95] = [
    "name",
    "kind",
    "users_from",
    "users_target",
    "from_rps",
    "target_rps",
    "achieved_rps",
    "started_at",
    "duration_s",
    "finished",
    "judged",
    "scheduled",
    "sent",
    "acked",
    "failed",
    "throttled",
    "retried",
    "success_percent",
    "void",
    "in_flight_limited",
    "generator_lag_ms_count",
    "generator_lag_ms_avg",
    "generator_lag_ms_p50",
    "generator_lag_ms_p95",
    "generator_lag_ms_p99",
    "generator_lag_ms_p999",
    "generator_lag_ms_max",
    "put_latency_ms_count",
    "put_latency_ms_avg",
    "put_latency_ms_p50",
    "put_latency_ms_p95",
    "put_latency_ms_p99",
    "put_latency_ms_p999",
    "put_latency_ms_max",
    "service_time_ms_count",
    "service_time_ms_avg",
    "service_time_ms_p50",
    "service_time_ms_p95",
    "service_time_ms_p99",
    "service_time_ms_p999",
    "service_time_ms_max",
    "e2e_latency_ms_count",
    "e2e_latency_ms_avg",
    "e2e_latency_ms_p50",
    "e2e_latency_ms_p95",
    "e2e_latency_ms_p99",
    "e2e_latency_ms_p999",
    "e2e_latency_ms_max",
    "e2e_latency_ms_clock_error_ms",
    "stages_ms_put_count",
    "stages_ms_put_avg",
    "stages_ms_put_p50",
    "stages_ms_put_p95",
    "stages_ms_put_p99",
    "stages_ms_put_p999",
    "stages_ms_put_max",
    "stages_ms_stream_count",
    "stages_ms_stream_avg",
    "stages_ms_stream_p50",
    "stages_ms_stream_p95",
    "stages_ms_stream_p99",
    "stages_ms_stream_p999",
    "stages_ms_stream_max",
    "stages_ms_function_count",
    "stages_ms_function_avg",
    "stages_ms_function_p50",
    "stages_ms_function_p95",
    "stages_ms_function_p99",
    "stages_ms_function_p999",
    "stages_ms_function_max",
    "stages_ms_sink_count",
    "stages_ms_sink_avg",
    "stages_ms_sink_p50",
    "stages_ms_sink_p95",
    "stages_ms_sink_p99",
    "stages_ms_sink_p999",
    "stages_ms_sink_max",
    "iterator_age_ms_max",
    "invocations",
    "records_per_invocation",
    "cold_starts",
    "memory_used_mb_max",
    "delivery_complete",
    "delivery_acked",
    "delivery_delivered",
    "delivery_lost",
    "delivery_expired",
    "delivery_unconfirmed",
    "delivery_delivered_unacked",
    "delivery_duplicated_producer",
    "delivery_duplicated_redelivery",
    "delivery_out_of_order",
    "delivery_reordered_by_producer",
    "delivery_dead_lettered",
    "cost_per_million",
];

/// The open maps of a level: a column for each key that occurs in any level, in the order of the keys.
const OPEN: [&str; 2] = ["failed_by_reason_", "cloudwatch_"];

/// `levels.csv`: a header, then a row for each level in the order of the tests, also for those that never started.
pub fn csv(model: &ReportModel) -> String {
    let levels = model.tests.iter().flat_map(|test| {
        let lead = of_the_run(model, test);
        test.levels.iter().map(move |level| (lead.to_vec(), Some(level)))
    });
    rows(&OF_THE_RUN, levels.collect())
}

/// A header, then a row for each level: what leads it, then its figures; without a level what leads it alone.
pub(super) fn rows(lead: &[&str], rows: Vec<(Vec<String>, Option<&LevelReport>)>) -> String {
    let rows: Vec<(Vec<String>, BTreeMap<String, String>)> =
        rows.into_iter().map(|(lead, level)| (lead, level.map(figures).unwrap_or_default())).collect();
    let open: BTreeSet<&str> = rows
        .iter()
        .flat_map(|(_, figures)| figures.keys().map(String::as_str))
        .filter(|name| OPEN.iter().any(|open| name.starts_with(open)))
        .collect();
    let names: Vec<&str> = OF_THE_LEVEL.into_iter().chain(open).collect();
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let header = lead.iter().chain(&names).map(|name| match *name {
        "name" => "level".to_owned(),
        name => escape::csv_cell(name),
    });
    let written = writer.write_record(header).and_then(|()| {
        rows.iter().try_for_each(|(lead, figures)| {
            let cells = names.iter().map(|name| figures.get(*name).cloned().unwrap_or_default());
            writer.write_record(lead.iter().cloned().chain(cells).map(|cell| escape::csv_cell(&cell)))
        })
    });
    written.expect("rows of the same length always go into a vector");
    let bytes = writer.into_inner().expect("a vector has no failing flush");
    String::from_utf8(bytes).expect("made of strings")
}

fn of_the_run(model: &ReportModel, test: &TestReport) -> [String; OF_THE_RUN.len()] {
    let run = &model.run;
    [
        run.id.clone(),
        run.plan.clone(),
        run.plan_hash.clone(),
        run.target.clone(),
        run.region.clone(),
        run.rehearsal.to_string(),
        run.verdict.to_string(),
        test.id.clone(),
        test.name.clone(),
        test.verdict.to_string(),
        test.payload.name.clone(),
        test.payload.bytes.to_string(),
        model.cost.currency.clone(),
    ]
}

/// Each figure of a level by the name of its column; what is null is left out.
fn figures(level: &LevelReport) -> BTreeMap<String, String> {
    let value = serde_json::to_value(level).expect("the report is made of these");
    let mut figures = BTreeMap::new();
    flatten(&value, String::new(), &mut figures);
    // Of CloudWatch the value alone: why there is none is in report.json.
    figures
        .into_iter()
        .filter_map(|(name, figure)| match name.strip_prefix("cloudwatch_") {
            Some(metric) => Some((format!("cloudwatch_{}", metric.strip_suffix("_value")?), figure)),
            None => Some((name, figure)),
        })
        .collect()
}

fn flatten(value: &Value, name: String, into: &mut BTreeMap<String, String>) {
    let text = match value {
        Value::Object(members) => {
            for (key, member) in members {
                let name = if name.is_empty() { key.clone() } else { format!("{name}_{key}") };
                flatten(member, name, into);
            }
            return;
        }
        Value::Null | Value::Array(_) => return,
        Value::Bool(yes) => yes.to_string(),
        // Whole numbers exactly; others without an exponent, as a spreadsheet in any language reads them.
        Value::Number(number) => match number.as_u64() {
            Some(whole) => whole.to_string(),
            None => number.as_f64().unwrap_or_default().to_string(),
        },
        Value::String(text) => text.clone(),
    };
    into.insert(name, text);
}
