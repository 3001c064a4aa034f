//! One row a level, for a spreadsheet: where it comes from, then its figures. RFC 4180, with a header; empty: not
//! measured.

use crate::report::model::{Exact, LevelReport, TestReport};

use super::model::{PeriodModel, PeriodTest};

const HEADER: [&str; 38] = [
    "week",
    "test",
    "test_name",
    "state",
    "verdict",
    "run",
    "payload",
    "payload_bytes",
    "level",
    "kind",
    "started_at",
    "duration_s",
    "finished",
    "judged",
    "void",
    "from_rps",
    "target_rps",
    "achieved_rps",
    "sent",
    "acked",
    "failed",
    "throttled",
    "retried",
    "success_percent",
    "put_p50_ms",
    "put_p95_ms",
    "put_p99_ms",
    "put_max_ms",
    "service_p95_ms",
    "e2e_p50_ms",
    "e2e_p95_ms",
    "e2e_p99_ms",
    "iterator_age_max_ms",
    "invocations",
    "records_per_invocation",
    "delivered",
    "lost",
    "cost_per_million_usd",
];

/// A test without a result has one row without a level.
pub fn csv(model: &PeriodModel) -> String {
    let mut out = String::new();
    row(&mut out, HEADER.map(str::to_owned));
    for test in &model.tests {
        match &test.report {
            None => {
                let mut cells: [String; HEADER.len()] = std::array::from_fn(|_| String::new());
                cells[..6].clone_from_slice(&place(test));
                row(&mut out, cells);
            }
            Some(report) => report.levels.iter().for_each(|level| row(&mut out, cells(test, report, level))),
        }
    }
    out
}

fn place(test: &PeriodTest) -> [String; 6] {
    [
        shown(test.week),
        test.id.clone(),
        test.name.clone(),
        test.state.to_string(),
        shown(test.verdict),
        test.run.clone().unwrap_or_default(),
    ]
}

fn cells(test: &PeriodTest, report: &TestReport, level: &LevelReport) -> [String; HEADER.len()] {
    let (put, service, e2e) = (level.put_latency_ms, level.service_time_ms, level.e2e_latency_ms);
    let delivery = level.delivery.as_ref();
    let [week, id, name, state, verdict, run] = place(test);
    [
        week,
        id,
        name,
        state,
        verdict,
        run,
        report.payload.name.clone(),
        report.payload.bytes.to_string(),
        level.name.clone(),
        level.kind.clone(),
        level.started_at.clone().unwrap_or_default(),
        level.duration_s.to_string(),
        level.finished.to_string(),
        level.judged.to_string(),
        level.void.clone().unwrap_or_default(),
        shown(level.from_rps),
        shown(level.target_rps),
        shown(level.achieved_rps),
        level.sent.to_string(),
        level.acked.to_string(),
        level.failed.to_string(),
        level.throttled.to_string(),
        level.retried.to_string(),
        shown(level.success_percent),
        shown(put.map(|put| put.p50)),
        shown(put.map(|put| put.p95)),
        shown(put.map(|put| put.p99)),
        shown(put.map(|put| put.max)),
        shown(service.map(|service| service.p95)),
        shown(e2e.map(|e2e| e2e.p50)),
        shown(e2e.map(|e2e| e2e.p95)),
        shown(e2e.map(|e2e| e2e.p99)),
        shown(level.iterator_age_ms_max),
        level.invocations.to_string(),
        shown(level.records_per_invocation),
        shown(delivery.map(|delivery| delivery.delivered)),
        shown(delivery.and_then(|delivery| delivery.lost)),
        shown(level.cost_per_million.map(|Exact(cost)| cost)),
    ]
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn row(out: &mut String, cells: [String; HEADER.len()]) {
    out.push_str(&cells.map(|cell| quoted(&cell)).join(","));
    out.push_str("\r\n");
}

/// Quoted where it must be. What a spreadsheet would take for a formula is kept text by a leading apostrophe.
fn quoted(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number;
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}
