//! `report.md`: the whole report as Markdown tables, for a wiki or a pull request.

use std::fmt::Write as _;

use super::actions;
use super::blocked;
use super::breaking_point;
pub(super) use super::escape::markdown as escaped;
use super::existing::{ExistingReport, ForeignMinuteReport};
use super::model::*;
use super::text::{self, NONE, count, lost, number, observed, or_none, percent, rate, usd};

/// `report.md`.
pub fn markdown(model: &ReportModel) -> String {
    let mut out = String::new();
    head(&mut out, model);
    for test in &model.tests {
        test_section(&mut out, test);
    }
    if !model.criteria.is_empty() {
        line(&mut out, "\n## The whole run\n");
        criteria_table(&mut out, &model.criteria);
    }
    findings(&mut out, model);
    delivery(&mut out, model.delivery.as_ref());
    cost(&mut out, &model.cost);
    environment(&mut out, model);
    if let Some(existing) = &model.environment.existing {
        existing_pipeline(&mut out, existing);
    }
    if !model.flags.is_empty() {
        line(&mut out, "\n## Red flags\n");
        table(
            &mut out,
            &["flag", "at", "level", "detail", "CloudWatch", "stopped the run"],
            6,
            model.flags.iter().map(flag_row),
        );
    }
    if !model.notes.is_empty() {
        line(&mut out, "\n## Notes\n");
        for note in &model.notes {
            line(&mut out, &format!("- {}", escaped(note)));
        }
    }
    out
}

pub(super) fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}

/// A table whose first `left` columns are aligned to the left.
pub(super) fn table(out: &mut String, header: &[&str], left: usize, rows: impl Iterator<Item = Vec<String>>) {
    line(out, &format!("| {} |", header.join(" | ")));
    let rule: Vec<&str> = (0..header.len()).map(|index| if index < left { "---" } else { "---:" }).collect();
    line(out, &format!("| {} |", rule.join(" | ")));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        line(out, &format!("| {} |", cells.join(" | ")));
    }
}

fn head(out: &mut String, model: &ReportModel) {
    let run = &model.run;
    line(out, &format!("# {}: {}\n", escaped(&run.plan), run.verdict));
    let rehearsal = if run.rehearsal { " Rehearsed in virtual time." } else { "" };
    let told = format!(
        "Run {} on {} ({}), {} to {}; plan {}, streamgauge {}.{rehearsal}",
        run.id,
        run.target,
        run.region,
        run.started_at,
        run.ended_at.as_deref().unwrap_or(NONE),
        run.plan_hash.get(..12).unwrap_or(&run.plan_hash),
        run.tool_version
    );
    line(out, &format!("{}\n", escaped(&told)));
    line(out, "## Summary\n");
    for sentence in &model.summary {
        line(out, &format!("- {}", escaped(sentence)));
    }
}

pub(super) fn test_section(out: &mut String, test: &TestReport) {
    let payload = &test.payload;
    line(out, &format!("\n## {} {}: {}\n", escaped(&test.id), escaped(&test.name), test.verdict));
    let unfinished = if test.finished { "" } else { " It did not finish." };
    line(
        out,
        &format!(
            "Payload {} ({} bytes); started {}; {}.{unfinished}\n",
            escaped(&payload.name),
            count(payload.bytes),
            test.started_at.as_deref().unwrap_or(NONE),
            test.drain_s.map_or_else(
                || "did not drain".to_owned(),
                |drain_s| format!("drained in {} s", number(drain_s))
            )
        ),
    );
    if let Some(text) = &test.closed_loop {
        line(out, &format!("{}\n", escaped(text)));
    }
    criteria_table(out, &test.criteria);
    if let Some(found) = &test.breaking_point {
        line(out, &format!("\n{}", escaped(&breaking_point::sentence(found))));
    }
    line(
        out,
        "\nRates and latency, in records/s and ms; put latency counts from the due time, service time from the send.\n",
    );
    let header = [
        "level",
        "target",
        "achieved",
        "put avg",
        "p50",
        "p95",
        "p99",
        "p99.9",
        "max",
        "service p50",
        "service p95",
        "service p99",
    ];
    table(out, &header, 1, test.levels.iter().map(rate_row));
    line(
        out,
        "\nAlong the pipeline, in ms; the clock error is half the interval of the two clocks' offset.\n",
    );
    let header = [
        "level",
        "e2e p50",
        "e2e p95",
        "e2e p99",
        "clock error",
        "put p95",
        "stream p95",
        "function p95",
        "sink p95",
        "iterator age max",
    ];
    table(out, &header, 1, test.levels.iter().map(stage_row));
    line(out, "\nCounts; cost in USD per million records.\n");
    let header = [
        "level",
        "sent",
        "acked",
        "success",
        "throttles",
        "retries",
        "delivered",
        "lost",
        "duplicated",
        "invocations",
        "records an invocation",
        "cost",
    ];
    table(out, &header, 1, test.levels.iter().map(count_row));
    for level in &test.levels {
        if let Some(why) = &level.void {
            line(out, &format!("\n**{} is void**: {}", escaped(&level.name), escaped(why)));
        }
    }
    if !test.actions.is_empty() {
        let told = actions::sentences(&test.actions).join(" ");
        line(out, &format!("\n### Actions during load\n\n{}\n", escaped(&told)));
        let rows = actions::rows(&test.actions).map(Vec::from);
        table(out, &actions::HEADER, actions::TEXT_COLUMNS, rows);
    }
    if let Some(blocked) = &test.blocked {
        line(out, &format!("\n### Blocked shards\n\n{}\n", escaped(&blocked::sentences(blocked).join(" "))));
        table(out, &blocked::HEADER, 2, blocked::rows(blocked).map(Vec::from));
    }
}

fn criteria_table(out: &mut String, criteria: &[CriterionReport]) {
    if criteria.is_empty() {
        line(out, "No criteria.");
        return;
    }
    let rows = criteria.iter().map(|criterion| {
        vec![
            criterion.text.clone(),
            criterion.verdict.to_string(),
            observed(criterion),
            text::in_unit(criterion.threshold, &criterion.unit),
            criterion.reason.clone(),
        ]
    });
    table(out, &["criterion", "verdict", "observed", "threshold", "reason"], 2, rows);
}

fn ms(value: Option<f64>) -> String {
    or_none(value, number)
}

fn rate_row(level: &LevelReport) -> Vec<String> {
    let (put, service) = (level.put_latency_ms, level.service_time_ms);
    vec![
        level.name.clone(),
        or_none(level.target_rps, rate),
        or_none(level.achieved_rps, rate),
        ms(put.map(|put| put.avg)),
        ms(put.map(|put| put.p50)),
        ms(put.map(|put| put.p95)),
        ms(put.map(|put| put.p99)),
        ms(put.map(|put| put.p999)),
        ms(put.map(|put| put.max)),
        ms(service.map(|service| service.p50)),
        ms(service.map(|service| service.p95)),
        ms(service.map(|service| service.p99)),
    ]
}

fn stage_row(level: &LevelReport) -> Vec<String> {
    let (e2e, stages) = (level.e2e_latency_ms, level.stages_ms);
    vec![
        level.name.clone(),
        ms(e2e.map(|e2e| e2e.p50)),
        ms(e2e.map(|e2e| e2e.p95)),
        ms(e2e.map(|e2e| e2e.p99)),
        ms(e2e.and_then(|e2e| e2e.clock_error_ms)),
        ms(stages.put.map(|stage| stage.p95)),
        ms(stages.stream.map(|stage| stage.p95)),
        ms(stages.function.map(|stage| stage.p95)),
        ms(stages.sink.map(|stage| stage.p95)),
        ms(level.iterator_age_ms_max),
    ]
}

fn count_row(level: &LevelReport) -> Vec<String> {
    let delivery = level.delivery.as_ref();
    vec![
        level.name.clone(),
        or_none(level.sent, count),
        or_none(level.acked, count),
        or_none(level.success_percent, percent),
        or_none(level.throttled, count),
        or_none(level.retried, count),
        or_none(delivery, |delivery| count(delivery.delivered)),
        or_none(delivery.and_then(|delivery| delivery.lost), count),
        or_none(delivery, |delivery| count(delivery.duplicated.producer + delivery.duplicated.redelivery)),
        or_none(level.invocations, count),
        or_none(level.records_per_invocation, number),
        or_none(level.cost_per_million, usd),
    ]
}

fn findings(out: &mut String, model: &ReportModel) {
    line(out, "\n## Findings\n");
    for (index, finding) in model.findings.iter().enumerate() {
        let from =
            finding.from_rps.map_or_else(String::new, |from| format!(", from {} records/s on", rate(from)));
        line(
            out,
            &format!(
                "{}. **{}**{from}. {}\n",
                index + 1,
                escaped(&finding.limit),
                escaped(&finding.explanation)
            ),
        );
        for item in &finding.evidence {
            let place = match (&item.level, &item.at) {
                (Some(level), Some(at)) => format!(" ({level}, {at})"),
                (Some(level), None) => format!(" ({level})"),
                (None, Some(at)) => format!(" ({at})"),
                (None, None) => String::new(),
            };
            let text = format!("{}: {} {}{place}", item.metric, number(item.value), item.unit);
            line(out, &format!("   - {}", escaped(&text)));
        }
        if let Some(change) = &finding.change {
            let cost = text::change_cost(finding.monthly_cost_of_change, &model.cost.currency);
            line(out, &format!("   - change: {}", escaped(&format!("{change} ({cost})"))));
        }
    }
    if let Some(known) = &model.known_up_to {
        line(out, &format!("\n{}", escaped(known)));
    }
}

fn delivery(out: &mut String, delivery: Option<&DeliveryReport>) {
    line(out, "\n## Delivery\n");
    let Some(delivery) = delivery else {
        line(out, "Not measured: no receipts.");
        return;
    };
    let header = [
        "complete",
        "acked",
        "delivered",
        "lost",
        "unconfirmed",
        "delivered unacked",
        "put twice",
        "redelivered",
        "out of order",
        "reordered by producer",
        "dead-lettered",
    ];
    let row = vec![
        if delivery.complete { "yes" } else { "no" }.to_owned(),
        count(delivery.acked),
        count(delivery.delivered),
        lost(delivery),
        count(delivery.unconfirmed),
        count(delivery.delivered_unacked),
        count(delivery.duplicated.producer),
        count(delivery.duplicated.redelivery),
        count(delivery.out_of_order),
        count(delivery.reordered_by_producer),
        count(delivery.dead_lettered),
    ];
    table(out, &header, 1, std::iter::once(row));
}

fn cost(out: &mut String, cost: &CostReport) {
    let currency = &escaped(&cost.currency);
    line(out, "\n## Cost\n");
    let each = or_none(cost.pipeline.per_million_records, |each| format!("{currency} {}", usd(each)));
    line(
        out,
        &format!("Per million delivered records: {each}. Prices as of {}.\n", escaped(&cost.prices_as_of)),
    );
    for (title, lines, total, incomplete) in [
        ("Pipeline", &cost.pipeline.lines, cost.pipeline.total, cost.pipeline.incomplete),
        ("Test", &cost.test.lines, cost.test.total, cost.test.incomplete),
    ] {
        let bound = if incomplete { ", a lower bound: lines without a price" } else { "" };
        line(out, &format!("{title}: {currency} {}{bound}.\n", usd(total)));
        let header = ["service", "item", "unit", "basis", "quantity", "unit price", "amount"];
        let rows = lines.iter().map(|each| {
            vec![
                each.service.clone(),
                each.item.clone(),
                each.unit.clone(),
                each.basis.clone(),
                each.quantity.0.to_string(),
                each.unit_price.map_or_else(|| "unpriced".to_owned(), |price| price.0.to_string()),
                each.amount.map_or_else(|| "unpriced".to_owned(), |amount| amount.0.to_string()),
            ]
        });
        table(out, &header, 4, rows);
        out.push('\n');
    }
    let forecast = &cost.forecast;
    line(
        out,
        &format!(
            "Forecast before the run: pipeline {currency} {}, test {currency} {} (assumed: {}).",
            usd(forecast.pipeline_total),
            usd(forecast.test_total),
            escaped(&forecast.assumptions.join("; "))
        ),
    );
    for assumption in &cost.assumptions {
        line(out, &format!("\nAssumed: {}.", escaped(assumption)));
    }
}

fn environment(out: &mut String, model: &ReportModel) {
    let (stream, function) = (&model.environment.stream, &model.environment.function);
    line(out, "\n## Environment\n");
    let limit = or_none(function.concurrency_limit, |limit| limit.to_string());
    let rows = [
        ("generator", model.run.host.clone()),
        ("environment", format!("{} in account {}", model.environment.name, model.environment.account)),
        (
            "stream",
            format!(
                "{}, {}, {} shards, retention {} h",
                stream.name, stream.mode, stream.shards, stream.retention_hours
            ),
        ),
        (
            "function",
            format!(
                "{}, {}, {} MB, timeout {} s, concurrency limit {limit}",
                function.name, function.architecture, function.memory_mb, function.timeout_s
            ),
        ),
        (
            "mapping",
            format!(
                "batch {}, window {} s, parallelization {}, retries {}, bisect {}",
                function.batch_size,
                function.batch_window_s,
                function.parallelization,
                function.retries,
                if function.bisect_on_error { "on" } else { "off" }
            ),
        ),
    ];
    table(out, &["what", "value"], 2, rows.into_iter().map(|(what, value)| vec![what.to_owned(), value]));
}

fn existing_pipeline(out: &mut String, existing: &ExistingReport) {
    line(out, "\n## Existing pipeline\n");
    for sentence in existing.sentences() {
        line(out, &format!("- {}", escaped(&sentence)));
    }
    line(out, "\nReaders of the stream:\n");
    for reader in &existing.readers {
        line(out, &format!("- {}", escaped(reader)));
    }
    if let Some(foreign) = &existing.foreign_traffic {
        line(out, "");
        let row = |minute: &ForeignMinuteReport| {
            let counts = [minute.incoming, minute.ours, minute.foreign].map(|count| count.to_string());
            std::iter::once(minute.at.clone()).chain(counts).collect()
        };
        let header = ["minute", "incoming", "of this run", "of others"];
        table(out, &header, 1, foreign.busy().map(row));
    }
}

fn flag_row(flag: &FlagReport) -> Vec<String> {
    let stopped = if flag.stopped { "yes" } else { "no" };
    vec![
        flag.flag.clone(),
        flag.at.clone(),
        flag.level.clone().unwrap_or_else(|| NONE.to_owned()),
        flag.detail.clone(),
        text::confirmation(flag),
        stopped.to_owned(),
    ]
}
