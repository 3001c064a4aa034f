//! Charts with a row for each level or service: latency ranges, stages, cost.

use maud::Markup;
use rust_decimal::prelude::ToPrimitive;

use crate::report::model::{CostReport, DistReport, TestReport};
use crate::report::svg::bars::{BarChart, Dot, Row, Segment, Shape};
use crate::report::svg::scale::short;
use crate::report::text::{number, usd};

/// Put latency of each level, p50 to p99.9 on a logarithmic axis. The shape tells the percentile as well as the colour
/// does.
pub(super) fn latency_ranges(test: &TestReport) -> Markup {
    let dot = |name, shape, value, dist: &DistReport| Dot {
        name,
        shape,
        value,
        shown: format!("{} ms (p99.9 {}, max {})", number(value), number(dist.p999), number(dist.max)),
    };
    let row = |(label, put): (&str, DistReport)| Row {
        points: vec![
            dot("p50", Shape::Circle, put.p50, &put),
            dot("p95", Shape::Square, put.p95, &put),
            dot("p99", Shape::Triangle, put.p99, &put),
        ],
        range: Some((put.p50, put.p999)),
        ..Row::named(label)
    };
    let levels = test.levels.iter().filter_map(|level| Some((level.name.as_str(), level.put_latency_ms?)));
    let rows: Vec<Row> = levels.map(row).collect();
    let caption = "ms, logarithmic, from the due time; the line reaches to p99.9";
    BarChart { title: "Put latency by level", caption, tick: &short, log: true, rows: &rows }.draw()
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
            (!segments.is_empty()).then(|| Row { segments, ..Row::named(&level.name) })
        })
        .collect();
    let caption = "ms, mean of each stage";
    BarChart { title: "Where the time goes", caption, tick: &short, log: false, rows: &rows }.draw()
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
                    rows.push(Row::named(&line.service));
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
    let caption = format!("{}, this run", cost.currency);
    BarChart { title: "Cost by service", caption: &caption, tick: &tick, log: false, rows: &rows }.draw()
}
