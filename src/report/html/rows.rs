//! Charts with a row for each level or service: latency ranges, stages, cost.

use maud::{Markup, html};
use rust_decimal::prelude::ToPrimitive;

use crate::report::model::{CostReport, DistReport, TestReport};
use crate::report::text::{number, usd};

use super::plot::{fixed, nice_step};

const WIDTH: f64 = 640.0;
const LEFT: f64 = 8.0;
const RIGHT: f64 = 24.0;
const ROW: f64 = 42.0;
const AXIS: f64 = 30.0;

/// Part of a bar.
struct Segment {
    name: String,
    class: &'static str,
    value: f64,
    shown: String,
}

struct Row {
    label: String,
    segments: Vec<Segment>,
}

/// Put latency of each level, p50 to p99.9 on a logarithmic axis.
pub(super) fn latency_ranges(test: &TestReport) -> Markup {
    let rows: Vec<(&str, DistReport)> =
        test.levels.iter().filter_map(|level| Some((level.name.as_str(), level.put_latency_ms?))).collect();
    let low = rows.iter().map(|(_, dist)| dist.p50).reduce(f64::min).unwrap_or(1.0).max(0.01);
    let high = rows.iter().map(|(_, dist)| dist.p999).reduce(f64::max).unwrap_or(1.0).max(low * 1.01);
    if rows.is_empty() {
        return html! {};
    }
    let (from, to) = (low.log10().floor(), high.log10().ceil());
    let x = |value: f64| {
        LEFT + (WIDTH - LEFT - RIGHT)
            * ((value.max(0.01).log10() - from) / (to - from).max(1.0)).clamp(0.0, 1.0)
    };
    let height = ROW * rows.len() as f64 + AXIS;
    html! {
        figure {
            figcaption { "Put latency by level " span { "(ms, logarithmic; from the due time)" } }
            div.legend {
                span { (mark_key("f1", "p50")) } span { (mark_key("f2", "p95")) } span { (mark_key("f4", "p99")) }
                span { "line: p50 to p99.9" }
            }
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label="Put latency by level, ms" {
                @for power in (from as i32)..=(to as i32) {
                    @let at = x(10f64.powi(power));
                    line.grid x1=(fixed(at)) x2=(fixed(at)) y1="0" y2=(fixed(height - AXIS)) {}
                    @let anchor = if power == from as i32 { "start" } else if power == to as i32 { "end" } else { "middle" };
                    text x=(fixed(at)) y=(fixed(height - 10.0)) text-anchor=(anchor) { (number(10f64.powi(power))) }
                }
                @for (index, (name, dist)) in rows.iter().enumerate() {
                    @let y = ROW * index as f64;
                    text.strong x=(fixed(LEFT)) y=(fixed(y + 16.0)) { (name) }
                    (range(dist, y + 29.0, x))
                }
            }
        }
    }
}

/// The shape tells the percentile as well as the colour does.
fn range(dist: &DistReport, y: f64, x: impl Fn(f64) -> f64) -> Markup {
    let title = format!(
        "p50 {}, p95 {}, p99 {}, p99.9 {}, max {} ms",
        number(dist.p50),
        number(dist.p95),
        number(dist.p99),
        number(dist.p999),
        number(dist.max)
    );
    html! {
        g {
            title { (title) }
            line.line.s1 x1=(fixed(x(dist.p50))) x2=(fixed(x(dist.p999))) y1=(fixed(y)) y2=(fixed(y)) {}
            circle.f1 cx=(fixed(x(dist.p50))) cy=(fixed(y)) r="5" {}
            rect.f2 x=(fixed(x(dist.p95) - 5.0)) y=(fixed(y - 5.0)) width="10" height="10" {}
            path.f4 d=(format!("M{} {}l6 10h-12z", fixed(x(dist.p99)), fixed(y - 6.0))) {}
        }
    }
}

fn mark_key(class: &str, name: &str) -> Markup {
    html! {
        svg viewBox="0 0 36 12" aria-hidden="true" {
            @match name {
                "p50" => circle class=(class) cx="18" cy="6" r="5" {},
                "p95" => rect class=(class) x="13" y="1" width="10" height="10" {},
                _ => path class=(class) d="M18 0l6 11h-12z" {},
            }
        }
        " " (name)
    }
}

/// Where a record's time goes, on average.
pub(super) fn stages(test: &TestReport) -> Markup {
    let rows: Vec<Row> = test
        .levels
        .iter()
        .filter_map(|level| {
            let stages = level.stages_ms;
            let segments: Vec<Segment> = [
                ("put", "f1", stages.put),
                ("stream", "f2", stages.stream),
                ("function", "f3", stages.function),
                ("sink", "f4", stages.sink),
            ]
            .into_iter()
            .filter_map(|(name, class, dist)| {
                let value = dist?.avg;
                Some(Segment { name: name.to_owned(), class, value, shown: format!("{} ms", number(value)) })
            })
            .collect();
            (!segments.is_empty()).then(|| Row { label: level.name.clone(), segments })
        })
        .collect();
    bars("Where the time goes", "ms, mean of each stage", &rows, &number)
}

/// The bill by service, the test's own part apart from the pipeline's.
pub(super) fn cost_by_service(cost: &CostReport) -> Markup {
    let mut rows: Vec<Row> = Vec::new();
    let parts = [("pipeline", "f1", &cost.pipeline.lines), ("test", "f2", &cost.test.lines)];
    for (part, class, lines) in parts {
        for line in lines {
            let Some(amount) = line.amount else { continue };
            let row = match rows.iter_mut().find(|row| row.label == line.service) {
                Some(row) => row,
                None => {
                    rows.push(Row { label: line.service.clone(), segments: Vec::new() });
                    rows.last_mut().expect("a row was just pushed")
                }
            };
            let value = amount.0.to_f64().unwrap_or(0.0);
            let shown = format!("{} {}, {}", cost.currency, usd(amount), line.item);
            row.segments.push(Segment { name: part.to_owned(), class, value, shown });
        }
    }
    let tick = |value: f64| {
        if value == 0.0 { "0".to_owned() } else { format!("{value:.4}").trim_end_matches('0').to_owned() }
    };
    bars("Cost by service", &format!("{}, this run", cost.currency), &rows, &tick)
}

/// Stacked bars on a linear axis; nothing without rows.
fn bars(title: &str, unit: &str, rows: &[Row], tick: &dyn Fn(f64) -> String) -> Markup {
    let sum = |row: &Row| row.segments.iter().map(|segment| segment.value).sum::<f64>();
    let Some(largest) = rows.iter().map(sum).reduce(f64::max).filter(|largest| *largest > 0.0) else {
        return html! {};
    };
    let step = nice_step(largest / 4.0);
    let ticks = (largest / step).ceil() as u32;
    let x = |value: f64| LEFT + (WIDTH - LEFT - RIGHT) * value / (step * f64::from(ticks));
    let height = ROW * rows.len() as f64 + AXIS;
    html! {
        figure {
            figcaption { (title) " " span { "(" (unit) ")" } }
            (segment_legend(rows))
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(format!("{title}, {unit}")) {
                @for index in 0..=ticks {
                    @let at = x(step * f64::from(index));
                    line.grid x1=(fixed(at)) x2=(fixed(at)) y1="0" y2=(fixed(height - AXIS)) {}
                    @let anchor = if index == 0 { "start" } else if index == ticks { "end" } else { "middle" };
                    text x=(fixed(at)) y=(fixed(height - 10.0)) text-anchor=(anchor) { (tick(step * f64::from(index))) }
                }
                @for (index, row) in rows.iter().enumerate() {
                    @let y = ROW * index as f64;
                    text.strong x=(fixed(LEFT)) y=(fixed(y + 16.0)) { (row.label) }
                    (stack(row, y + 21.0, &x))
                }
            }
        }
    }
}

fn stack(row: &Row, y: f64, x: &dyn Fn(f64) -> f64) -> Markup {
    let starts = row.segments.iter().scan(0.0, |end, segment| {
        let start = *end;
        *end += segment.value;
        Some(start)
    });
    html! {
        @for (segment, from) in row.segments.iter().zip(starts) {
            @let start = x(from);
            @let width = x(from + segment.value) - start;
            rect class=(segment.class) x=(fixed(start)) y=(fixed(y)) width=(format!("{width:.2}")) height="15" {
                title { (segment.name) ": " (segment.shown) }
            }
        }
    }
}

fn segment_legend(rows: &[Row]) -> Markup {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for segment in rows.iter().flat_map(|row| &row.segments) {
        if !seen.iter().any(|(name, _)| *name == segment.name) {
            seen.push((&segment.name, segment.class));
        }
    }
    html! {
        div.legend {
            @for (name, class) in seen {
                span {
                    svg viewBox="0 0 36 12" aria-hidden="true" { rect class=(class) x="4" y="1" width="28" height="10" {} }
                    " " (name)
                }
            }
        }
    }
}
