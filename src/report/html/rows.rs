//! Charts with a row for each level or service: latency ranges, stages, cost.

use maud::Markup;
use rust_decimal::prelude::ToPrimitive;

use crate::report::model::{CostReport, DistReport, LevelReport, TestReport};
use crate::report::svg::bars::{BarChart, Dot, Row, Segment, Shape};
use crate::report::svg::scale::short;
use crate::report::text::{number, or_none, usd};

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
    let caption = "ms from the due time, logarithmic; the line: p50 to p99.9";
    BarChart { title: "Put latency by level", caption, tick: &short, log: true, rows: &rows }.draw()
}

/// Where a record's time goes: the means of the stages add up, their percentiles do not, so that those stand beside.
pub(super) fn stages(test: &TestReport) -> Markup {
    let rows: Vec<Row> = test.levels.iter().filter_map(stages_of).collect();
    let caption = "ms; bars: means of the stages";
    BarChart { title: "Where the time goes", caption, tick: &short, log: false, rows: &rows }.draw()
}

fn stages_of(level: &LevelReport) -> Option<Row> {
    let stages = level.stages_ms;
    // The sink is part of the function's time: its own bar must not count twice.
    let sink_ms = stages.sink.map_or(0.0, |sink| sink.avg);
    let segment = |name: &str, class, dist: DistReport, value: f64| Segment {
        name: name.to_owned(),
        class,
        value,
        shown: format!("mean {}, p50 {}, p95 {} ms", number(value), number(dist.p50), number(dist.p95)),
    };
    let function_ms = |function: DistReport| (function.avg - sink_ms).max(0.0);
    let segments: Vec<Segment> = [
        stages.put.map(|put| segment("put", "f1", put, put.avg)),
        stages.stream.map(|stream| segment("stream", "f2", stream, stream.avg)),
        stages.function.map(|function| segment("function", "f3", function, function_ms(function))),
        stages.sink.map(|sink| segment("sink", "f4", sink, sink.avg)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let dot = |name, shape, value| Dot { name, shape, value, shown: format!("{} ms", number(value)) };
    let whole = level.e2e_latency_ms;
    let row = Row {
        segments,
        value: whole
            .map_or_else(String::new, |e2e| format!("p50 {}, p95 {}", number(e2e.p50), number(e2e.p95))),
        points: whole.map_or_else(Vec::new, |e2e| {
            vec![
                dot("end to end p50", Shape::Circle, e2e.p50),
                dot("end to end p95", Shape::Triangle, e2e.p95),
            ]
        }),
        ..Row::named(&level.name)
    };
    (!row.segments.is_empty()).then_some(row)
}

/// How the cost of a record falls as batches fill.
pub(super) fn cost_by_level(test: &TestReport, currency: &str) -> Markup {
    let row = |level: &LevelReport| {
        let amount = level.cost_per_million?;
        let batch = or_none(level.records_per_invocation, number);
        let segment = Segment {
            name: level.name.clone(),
            class: "f1",
            value: amount.0.to_f64()?,
            shown: format!("{currency} {}, {batch} records per invocation", usd(amount)),
        };
        let value = format!("{}, batches of {batch}", usd(amount));
        Some(Row { value, segments: vec![segment], ..Row::named(&level.name) })
    };
    let rows: Vec<Row> = test.levels.iter().filter_map(row).collect();
    let caption = format!("{currency}; batches: records per invocation");
    let chart = BarChart {
        title: "Cost per million by level",
        caption: &caption,
        tick: &tick,
        log: false,
        rows: &rows,
    };
    chart.draw()
}

/// An amount at an axis.
fn tick(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else {
        format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
    }
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
    let caption = format!("{}, this run", cost.currency);
    BarChart { title: "Cost by service", caption: &caption, tick: &tick, log: false, rows: &rows }.draw()
}
