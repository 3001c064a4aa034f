//! The tables of `report.html`.

use maud::{Markup, html};

use crate::report::actions::{self, ActionReport};
use crate::report::blocked;
use crate::report::existing::ForeignReport;
use crate::report::model::*;
use crate::report::text::{self, NONE, count, lost, number, observed, or_none, percent, rate, usd};

pub(super) fn criteria(criteria: &[CriterionReport]) -> Markup {
    html! {
        @if !criteria.is_empty() {
            div.scroll {
                table {
                    thead { tr { th.word { "criterion" } th.word { "verdict" } th { "observed" } th { "threshold" } th.word { "reason" } } }
                    tbody {
                        @for criterion in criteria {
                            tr {
                                td.name { code { (criterion.text) } }
                                td.word { (super::verdict(criterion.verdict)) }
                                td { (observed(criterion)) }
                                td { (text::in_unit(criterion.threshold, &criterion.unit)) }
                                td.wide { (criterion.reason) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// One column of the table of levels.
type Column = (&'static str, fn(&LevelReport) -> String);

pub(super) fn levels(levels: &[LevelReport]) -> Markup {
    html! {
        (level_table("Rates, and put latency from the due time beside service time from the send, ms", levels, RATES))
        (level_table("End to end and by stage, ms", levels, STAGES))
        (level_table("Counts, and USD per million records", levels, COUNTS))
    }
}

const RATES: &[Column] = &[
    ("target/s", |level| or_none(level.target_rps, rate)),
    ("achieved/s", |level| or_none(level.achieved_rps, rate)),
    ("put avg", |level| ms(level.put_latency_ms.map(|put| put.avg))),
    ("p50", |level| ms(level.put_latency_ms.map(|put| put.p50))),
    ("p95", |level| ms(level.put_latency_ms.map(|put| put.p95))),
    ("p99", |level| ms(level.put_latency_ms.map(|put| put.p99))),
    ("p99.9", |level| ms(level.put_latency_ms.map(|put| put.p999))),
    ("max", |level| ms(level.put_latency_ms.map(|put| put.max))),
    ("service p50", |level| ms(level.service_time_ms.map(|service| service.p50))),
    ("p95", |level| ms(level.service_time_ms.map(|service| service.p95))),
    ("p99", |level| ms(level.service_time_ms.map(|service| service.p99))),
    ("generator lag p99", |level| ms(level.generator_lag_ms.map(|lag| lag.p99))),
];

const STAGES: &[Column] = &[
    ("e2e p50", |level| ms(level.e2e_latency_ms.map(|e2e| e2e.p50))),
    ("p95", |level| ms(level.e2e_latency_ms.map(|e2e| e2e.p95))),
    ("p99", |level| ms(level.e2e_latency_ms.map(|e2e| e2e.p99))),
    ("clock error", |level| {
        or_none(level.e2e_latency_ms.and_then(|e2e| e2e.clock_error_ms), |error| {
            format!("\u{b1}{}", number(error))
        })
    }),
    ("put p95", |level| ms(level.stages_ms.put.map(|stage| stage.p95))),
    ("stream p95", |level| ms(level.stages_ms.stream.map(|stage| stage.p95))),
    ("function p95", |level| ms(level.stages_ms.function.map(|stage| stage.p95))),
    ("sink p95", |level| ms(level.stages_ms.sink.map(|stage| stage.p95))),
    ("iterator age max", |level| ms(level.iterator_age_ms_max)),
    ("memory max, MB", |level| or_none(level.memory_used_mb_max, |used| used.to_string())),
];

const COUNTS: &[Column] = &[
    ("sent", |level| or_none(level.sent, count)),
    ("acked", |level| or_none(level.acked, count)),
    ("success", |level| or_none(level.success_percent, percent)),
    ("throttles", |level| or_none(level.throttled, count)),
    ("retries", |level| or_none(level.retried, count)),
    ("delivered", |level| or_none(level.delivery.as_ref(), |delivery| count(delivery.delivered))),
    ("lost", |level| or_none(level.delivery.as_ref().and_then(|delivery| delivery.lost), count)),
    ("duplicated", |level| {
        or_none(level.delivery.as_ref(), |delivery| {
            count(delivery.duplicated.producer + delivery.duplicated.redelivery)
        })
    }),
    ("invocations", |level| or_none(level.invocations, count)),
    ("records each", |level| or_none(level.records_per_invocation, number)),
    ("cold starts", |level| or_none(level.cold_starts, count)),
    ("cost", |level| or_none(level.cost_per_million, usd)),
];

fn ms(value: Option<f64>) -> String {
    or_none(value, number)
}

fn level_table(caption: &str, levels: &[LevelReport], columns: &[Column]) -> Markup {
    html! {
        div.scroll {
            table {
                caption { (caption) }
                thead { tr { th.word { "level" } @for (title, _) in columns { th { (title) } } } }
                tbody {
                    @for level in levels {
                        tr.void[level.void.is_some()] title=[level.void.as_deref()] {
                            td.name { (level.name) @if level.void.is_some() { " (void)" } @if level.started_at.is_none() { " (not started)" } }
                            @for (_, cell) in columns { td { (cell(level)) } }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn actions(actions: &[ActionReport]) -> Markup {
    html! {
        h3 { "Actions during load" }
        p { (actions::sentences(actions).join(" ")) }
        div.scroll {
            table {
                thead { tr { @for title in actions::HEADER { th { (title) } } } }
                tbody { @for row in actions::rows(actions) { tr { @for cell in row { td { (cell) } } } } }
            }
        }
    }
}

pub(super) fn blocked(blocked: &BlockedReport) -> Markup {
    html! {
        h3 { "Blocked shards" }
        p { (blocked::sentences(blocked).join(" ")) }
        @if !blocked.blocks.is_empty() {
            div.scroll {
                table {
                    thead { tr { @for title in blocked::HEADER { th { (title) } } } }
                    tbody { @for row in blocked::rows(blocked) { tr { @for cell in row { td { (cell) } } } } }
                }
            }
        }
    }
}

pub(super) fn delivery(delivery: &DeliveryReport) -> Markup {
    let cells = [
        ("acked", count(delivery.acked)),
        ("delivered", count(delivery.delivered)),
        ("lost", lost(delivery)),
        ("unconfirmed", count(delivery.unconfirmed)),
        ("delivered, not acked", count(delivery.delivered_unacked)),
        ("put twice", count(delivery.duplicated.producer)),
        ("redelivered", count(delivery.duplicated.redelivery)),
        ("out of order", count(delivery.out_of_order)),
        ("reordered by the producer", count(delivery.reordered_by_producer)),
        ("dead-lettered", count(delivery.dead_lettered)),
    ];
    html! {
        div.scroll {
            table {
                thead { tr { @for (title, _) in &cells { th { (title) } } } }
                tbody { tr { @for (_, value) in &cells { td { (value) } } } }
            }
        }
    }
}

pub(super) fn cost(lines: &[LineReport], total: Exact, incomplete: bool) -> Markup {
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        th.word { "service" } th.word { "item" } th { "quantity" } th.word { "unit" } th { "unit price" }
                        th { "amount" } th.word { "basis" }
                    }
                }
                tbody {
                    @for line in lines {
                        tr {
                            td.name { (line.service) } td.name { (line.item) } td { (line.quantity.0) } td.name { (line.unit) }
                            td { (or_unpriced(line.unit_price)) } td { (or_unpriced(line.amount)) } td.wide { (line.basis) }
                        }
                    }
                    tr.total {
                        td.name { "total" } td {} td {} td {} td {} td { (total.0) }
                        td.wide { @if incomplete { "a lower bound: lines without a price" } }
                    }
                }
            }
        }
    }
}

fn or_unpriced(amount: Option<Exact>) -> String {
    amount.map_or_else(|| "unpriced".to_owned(), |amount| amount.0.to_string())
}

pub(super) fn environment(model: &ReportModel) -> Markup {
    let (environment, stream, function) =
        (&model.environment, &model.environment.stream, &model.environment.function);
    let limit = or_none(function.concurrency_limit, |limit| limit.to_string());
    let peak = or_none(model.run.generator_peak_mb, |peak| format!("{} MB", number(peak)));
    let rows = [
        ("generator", format!("{}; peak memory {peak}", model.run.host)),
        ("environment", format!("{}, account {}", environment.name, environment.account)),
        (
            "stream",
            format!(
                "{}: {}, {} shards, retention {} h",
                stream.name, stream.mode, stream.shards, stream.retention_hours
            ),
        ),
        (
            "function",
            format!(
                "{}: {}, {} MB, timeout {} s, concurrency limit {limit}",
                function.name, function.architecture, function.memory_mb, function.timeout_s
            ),
        ),
        (
            "event source mapping",
            format!(
                "batch {}, window {} s, parallelization {}, retries {}, bisect {}",
                function.batch_size,
                function.batch_window_s,
                function.parallelization,
                function.retries,
                if function.bisect_on_error { "on" } else { "off" }
            ),
        ),
        ("watched by", format!("{} alarms, {} dashboards", environment.alarms, environment.dashboards)),
    ];
    html! {
        div.scroll {
            table { tbody { @for (what, value) in &rows { tr { td.name { (what) } td.wide { (value) } } } } }
        }
    }
}

pub(super) fn flags(flags: &[FlagReport]) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { th.word { "flag" } th.word { "at" } th.word { "level" } th.word { "detail" } th.word { "CloudWatch" } th.word { "stopped the run" } } }
                tbody {
                    @for flag in flags {
                        tr {
                            td.name { (flag.flag) } td.name { (flag.at) } td.name { (flag.level.as_deref().unwrap_or(NONE)) }
                            td.wide { (flag.detail) } td.wide { (text::confirmation(flag)) } td.word { @if flag.stopped { "yes" } @else { "no" } }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn foreign(foreign: &ForeignReport) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { th.word { "minute" } th { "incoming" } th { "of this run" } th { "of others" } } }
                tbody {
                    @for minute in foreign.busy() {
                        tr {
                            td.name { (minute.at) } td { (minute.incoming) } td { (minute.ours) } td { (minute.foreign) }
                        }
                    }
                }
            }
        }
    }
}
