//! Charts over the time of a test, all with the same levels, actions and flags marked.

use maud::{Markup, html};

use crate::report::charts::{Period, Point, TestCharts};
use crate::report::svg::lines::{Band, Line, LineChart, Mark, XAxis, YAxis};
use crate::report::text::{number, span};

/// One line: its name, the class that draws it, and where its value comes from.
struct Series {
    name: &'static str,
    class: &'static str,
    value: fn(&Point) -> Option<f64>,
}

const RATES: &[Series] = &[
    Series { name: "target", class: "s0", value: |point| point.target_rps },
    Series { name: "acked", class: "s1", value: |point| point.acked_rps },
    Series { name: "refusals", class: "s2", value: |point| point.refused_rps },
];
const PUT: &[Series] = &[
    Series { name: "p50", class: "s1", value: |point| point.put_p50_ms },
    Series { name: "p95", class: "s4", value: |point| point.put_p95_ms },
];
const END_TO_END: &[Series] = &[
    Series { name: "end to end p95", class: "s5", value: |point| point.e2e_p95_ms },
    Series { name: "iterator age, largest", class: "s3", value: |point| point.iterator_age_ms },
];
const BACKLOG: &[Series] = &[Series {
    name: "acked, not yet processed or given up",
    class: "s1",
    value: |point| point.backlog_records,
}];
const BUSY: &[Series] =
    &[Series { name: "at once, mean of a second", class: "s1", value: |point| point.concurrency }];
const COLD_STARTS: Series = Series { name: "cold starts", class: "f2", value: |point| point.cold_starts };

/// A limit is drawn only where the lines come near it: it would flatten them.
const LIMIT_NEAR: f64 = 4.0;

/// Every chart over time for which something was measured.
pub(super) fn charts(charts: &TestCharts) -> Markup {
    let chart = |title, unit, series: &[Series]| over_time(charts, title, unit, series);
    html! {
        (chart("Rate over time", "records/s", RATES).draw())
        (chart("Put latency over time", "ms from the due time", PUT).draw())
        (chart("End to end and iterator age over time", "ms", END_TO_END).draw())
        (chart("Backlog over time", "records", BACKLOG).draw())
        (function(charts))
        (throttles(charts))
    }
}

/// What the letters and numbers in the charts stand for; nothing where nothing is marked.
pub(super) fn marked(charts: &TestCharts) -> Markup {
    html! {
        @if !charts.flags.is_empty() || !charts.actions.is_empty() {
            div.marked {
                "Marked in the charts over time:"
                ul {
                    @for flag in &charts.flags {
                        li {
                            span.key.flag { (flag.key) } " " (span(flag.at_s)) " " strong { (flag.flag) }
                            @if let Some(level) = &flag.level { " on " (level) }
                            ": " (flag.detail) @if flag.stopped { "; it stopped the run" }
                        }
                    }
                    @if charts.flags_more > 0 { li { (charts.flags_more) " more flags, in the table of red flags" } }
                    @for action in &charts.actions {
                        li { span.key { (action.key) } " " (span(action.from_s)) " to " (span(action.to_s)) " " (action.text) }
                    }
                }
            }
        }
    }
}

fn over_time<'a>(charts: &TestCharts, title: &'a str, unit: &'a str, series: &[Series]) -> LineChart<'a> {
    LineChart {
        title,
        unit,
        x: XAxis::Time { to_s: charts.duration_s, of: "the test" },
        y: YAxis::Linear,
        lines: series.iter().map(|series| line(charts, series)).collect(),
        bars: None,
        bands: bands(charts),
        marks: marks(charts),
        limit: None,
    }
}

fn line(charts: &TestCharts, series: &Series) -> Line {
    let value = |point: &Point| Some((point.at_s, (series.value)(point)?));
    Line {
        name: series.name.to_owned(),
        class: series.class,
        points: charts.points.iter().filter_map(value).collect(),
        // A second without a receipt between two with one is no gap; a longer silence is.
        gap: Some(charts.seconds_per_point as f64 * 5.0),
        ..Line::default()
    }
}

/// Concurrency and cold starts.
fn function(charts: &TestCharts) -> Markup {
    let mut chart = over_time(charts, "Concurrency and cold starts over time", "invocations", BUSY);
    chart.lines.extend(steps(&charts.concurrency, "CloudWatch's maximum of a minute", "s4"));
    let largest =
        chart.lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value).fold(0.0, f64::max);
    chart.limit = charts
        .lanes
        .filter(|lanes| *lanes <= largest * LIMIT_NEAR)
        .map(|lanes| (lanes, format!("the mapping's limit: {} at once", number(lanes))));
    let mut cold_starts = line(charts, &COLD_STARTS);
    cold_starts.points.retain(|(_, starts)| *starts > 0.0);
    chart.bars = Some(cold_starts);
    chart.draw()
}

/// Where CloudWatch saw any.
fn throttles(charts: &TestCharts) -> Markup {
    let any = charts.throttles.iter().any(|period| period.value > 0.0);
    let mut chart =
        over_time(charts, "Throttled invocations over time", "invocations a minute, CloudWatch", &[]);
    chart.lines = steps(&charts.throttles, "throttled", "s2").into_iter().collect();
    html! { @if any { (chart.draw()) } }
}

/// A value that holds over a period, from its start to its end.
fn steps(periods: &[Period], name: &str, class: &'static str) -> Option<Line> {
    let points =
        periods.iter().flat_map(|period| [(period.from_s, period.value), (period.to_s, period.value)]);
    (!periods.is_empty()).then(|| Line {
        name: name.to_owned(),
        class,
        points: points.collect(),
        ..Line::default()
    })
}

/// Holds are shaded, void levels tinted, actions tinted between two edges.
fn bands(charts: &TestCharts) -> Vec<Band> {
    let levels = charts.levels.iter().flat_map(|level| {
        let name = if level.void { format!("{} (void)", level.name) } else { level.name.clone() };
        let class = if level.hold { "band" } else { "" };
        let band = Band { name, class, from: level.from_s, to: level.to_s, labelled: true };
        let void = Band { class: "void-band", name: String::new(), labelled: false, ..band.clone() };
        [Some(band), level.void.then_some(void)].into_iter().flatten()
    });
    let actions = charts.actions.iter().map(|action| Band {
        name: format!("{} {}", action.key, action.text),
        class: "action-band",
        from: action.from_s,
        to: action.to_s,
        labelled: false,
    });
    levels.chain(actions).collect()
}

fn marks(charts: &TestCharts) -> Vec<Mark> {
    let flags = charts.flags.iter().map(|flag| Mark {
        key: flag.key.clone(),
        text: format!("{} {}: {}", span(flag.at_s), flag.flag, flag.detail),
        at: flag.at_s,
        foot: false,
    });
    let actions = charts.actions.iter().map(|action| Mark {
        key: action.key.clone(),
        text: format!("{} to {}: {}", span(action.from_s), span(action.to_s), action.text),
        at: action.from_s,
        foot: true,
    });
    flags.chain(actions).collect()
}

/// One line of target rates, for tests of the geometry.
#[cfg(test)]
pub(in crate::report) fn target_chart_for_tests(charts: &TestCharts) -> String {
    over_time(charts, "Rate", "records/s", &RATES[..1]).draw().into_string()
}
