//! `report.html`: one self-contained file. No script, nothing loaded, charts as inline SVG; light and dark
//! by the reader's preference, printable, readable on a phone.

mod capacity;
mod heat;
pub(super) mod over_time;
mod period;
mod rows;
mod spectrum;
mod tables;
mod trend;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::verdict::Verdict;

use super::breaking_point;
use super::model::*;
use super::svg;
use super::text::{self, NONE, count, number, or_none, rate, usd};

pub use period::html as period;

const STYLE: &str = include_str!("style.css");

/// A whole page: one file that may load nothing and run nothing, whatever its texts hold. `style` comes after the
/// style of all pages.
pub(super) fn page(title: &Markup, style: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// `report.html`.
pub fn html(model: &ReportModel) -> String {
    let run = &model.run;
    let title =
        html! { @if run.rehearsal { "rehearsal of " } (run.plan) ": " (run.verdict) " (" (run.id) ")" };
    page(
        &title,
        "",
        &html! {
            (svg::patterns())
            (head(model))
            (summary(model))
            (contents(model))
            (findings(model))
            (period::maps(&model.tests))
            @for (index, test) in model.tests.iter().enumerate() {
                (test_section(test, index, &model.cost.currency))
            }
            @if !model.criteria.is_empty() {
                h2 id="run" { "The whole run" }
                (tables::criteria(&model.criteria))
            }
            (delivery(model.delivery.as_ref()))
            (cost(&model.cost))
            (environment(model))
            (remarks(model))
            footer {
                "streamgauge " (run.tool_version) ", plan " code { (run.plan_hash) } ". Every number of this report is in "
                code { "report.json" } " beside it."
            }
        },
    )
}

/// The verdict as a word; the colour only repeats it.
pub(super) fn verdict(verdict: Verdict) -> Markup {
    html! { span class=(format!("verdict {verdict}")) { (verdict) } }
}

fn head(model: &ReportModel) -> Markup {
    let run = &model.run;
    html! {
        header {
            h1 {
                (run.plan) " " (verdict(run.verdict))
                @if run.rehearsal { " " span.verdict.rehearsal { "rehearsal" } }
            }
            p.meta {
                "Run " code { (run.id) } " on " (run.target) " (" (run.region) "), "
                (run.started_at) " to " (run.ended_at.as_deref().unwrap_or(NONE)) ", " (run.end) "."
                @if run.rehearsal { " Rehearsed in virtual time." }
            }
        }
    }
}

fn summary(model: &ReportModel) -> Markup {
    html! {
        section.card {
            @for sentence in &model.summary { p { (sentence) } }
        }
    }
}

/// Where what stands, with the verdict of each test.
fn contents(model: &ReportModel) -> Markup {
    let link = |to: &str, name: &str| html! { a href=(format!("#{to}")) { (name) } };
    html! {
        nav aria-label="Contents" {
            ul {
                @if !model.findings.is_empty() { li { (link("findings", "Findings")) } }
                @for (index, test) in model.tests.iter().enumerate() {
                    li { (link(&format!("test-{}", index + 1), &format!("{} {}", test.id, test.name))) " " (verdict(test.verdict)) }
                }
                @if !model.criteria.is_empty() { li { (link("run", "The whole run")) } }
                li { (link("delivery", "Delivery")) }
                li { (link("cost", "Cost")) }
                li { (link("environment", "Environment")) }
                @if !model.flags.is_empty() { li { (link("flags", "Red flags")) } }
                @if !model.notes.is_empty() { li { (link("notes", "Notes")) } }
            }
        }
    }
}

fn findings(model: &ReportModel) -> Markup {
    html! {
        @if !model.findings.is_empty() {
            h2 id="findings" { "Findings" }
            @for finding in &model.findings { (one_finding(finding, &model.cost.currency)) }
        }
    }
}

fn one_finding(finding: &FindingReport, currency: &str) -> Markup {
    html! {
        section.card {
            p {
                strong { (finding.limit) }
                @if let Some(from) = finding.from_rps { ", from " (rate(from)) " records/s on" }
                @if let Some(at) = &finding.at { span.meta { " (" (at) ")" } }
            }
            p { (finding.explanation) }
            ul {
                @for item in &finding.evidence {
                    li {
                        (item.metric) ": " strong { (number(item.value)) " " (item.unit) }
                        @if let Some(level) = &item.level { span.meta { " on " (level) } }
                        @if let Some(at) = &item.at { span.meta { " at " (at) } }
                    }
                }
            }
            @if let Some(change) = &finding.change {
                p {
                    "Change: " strong { (change) } ", " (text::change_cost(finding.monthly_cost_of_change, currency)) "."
                }
            }
        }
    }
}

fn test_section(test: &TestReport, index: usize, currency: &str) -> Markup {
    html! {
        h2 id=(format!("test-{}", index + 1)) { (test.id) " " (test.name) " " (verdict(test.verdict)) }
        p.meta {
            "Payload " (test.payload.name) " (" (count(test.payload.bytes)) " bytes); started "
            (test.started_at.as_deref().unwrap_or(NONE)) "; "
            @match test.drain_s {
                Some(drain_s) => { "drained in " (number(drain_s)) " s." }
                None => "did not drain.",
            }
            @if !test.finished { " It did not finish." }
        }
        @if let Some(text) = &test.closed_loop { p { (text) } }
        (tables::criteria(&test.criteria))
        @if let Some(found) = &test.breaking_point { p { (breaking_point::sentence(found)) } }
        (charts(test, currency))
        (tables::levels(&test.levels))
        @if !test.actions.is_empty() { (tables::actions(&test.actions)) }
        @if let Some(blocked) = &test.blocked { (tables::blocked(blocked)) }
    }
}

/// Folded away by whoever wants the tables: open for reading and for print.
fn charts(test: &TestReport, currency: &str) -> Markup {
    let charts = &test.charts;
    html! {
        details open {
            summary { "Charts" }
            (over_time::marked(charts))
            div.charts {
                (over_time::charts(charts))
                (spectrum::chart(&charts.spectra))
                (rows::latency_ranges(test))
                (rows::stages(test))
                (rows::cost_by_level(test, currency))
                (capacity::chart(&charts.used))
            }
            (spectrum::left_out(&charts.spectra))
            @if charts.seconds_per_point > 1 {
                p.meta {
                    "A point over time stands for " (charts.seconds_per_point)
                    " s: rates and p50 are means, cold starts are counted, and all else is that of its worst second."
                }
            }
        }
    }
}

fn delivery(delivery: Option<&DeliveryReport>) -> Markup {
    html! {
        h2 id="delivery" { "Delivery" }
        @match delivery {
            None => p { "Not measured: without receipts nothing can be said about single records." },
            Some(delivery) => {
                @if !delivery.complete {
                    p { "The collection of receipts did not end: a record not seen may still have arrived, so losses are not known." }
                }
                (tables::delivery(delivery))
            }
        }
    }
}

fn cost(cost: &CostReport) -> Markup {
    let currency = &cost.currency;
    let forecast = &cost.forecast;
    html! {
        h2 id="cost" { "Cost" }
        p {
            "Per million delivered records: "
            strong { (or_none(cost.pipeline.per_million_records, |each| format!("{currency} {}", usd(each)))) }
            @if cost.pipeline.incomplete { " at least; some lines have no price" }
            ". Prices as of " (cost.prices_as_of) "."
        }
        div.charts { (rows::cost_by_service(cost)) }
        h3 { "The pipeline: what production would pay" }
        (tables::cost(&cost.pipeline.lines, cost.pipeline.total, cost.pipeline.incomplete))
        h3 { "The test: what only the measuring cost" }
        (tables::cost(&cost.test.lines, cost.test.total, cost.test.incomplete))
        p.meta {
            "Forecast before the run: pipeline " (currency) " " (usd(forecast.pipeline_total)) ", test " (currency) " "
            (usd(forecast.test_total)) ". It assumed: " (forecast.assumptions.join("; ")) "."
        }
        @for assumption in &cost.assumptions { p.meta { "Assumed: " (assumption) "." } }
    }
}

fn environment(model: &ReportModel) -> Markup {
    html! {
        h2 id="environment" { "Environment" }
        (tables::environment(model))
        @if let Some(existing) = &model.environment.existing {
            h2 { "Existing pipeline" }
            @for sentence in existing.sentences() { p { (sentence) } }
            p { "Readers of the stream:" }
            ul { @for reader in &existing.readers { li { (reader) } } }
            @if let Some(foreign) = &existing.foreign_traffic { (tables::foreign(foreign)) }
        }
    }
}

fn remarks(model: &ReportModel) -> Markup {
    html! {
        @if !model.flags.is_empty() {
            h2 id="flags" { "Red flags" }
            (tables::flags(&model.flags))
        }
        @if !model.notes.is_empty() {
            h2 id="notes" { "Notes" }
            ul { @for note in &model.notes { li { (note) } } }
        }
    }
}
