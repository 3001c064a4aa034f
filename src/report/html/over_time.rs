//! Charts over the time of a test, all with the same levels, actions and flags marked.

use maud::{Markup, html};

use crate::report::charts::{Point, TestCharts};
use crate::report::svg::lines::{Band, Line, LineChart, Mark, XAxis, YAxis};

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

/// Every chart over time for which something was measured.
pub(super) fn charts(charts: &TestCharts) -> Markup {
    html! {
        (lines(charts, "Rate over time", "records/s", RATES))
        (lines(charts, "Put latency over time", "ms", PUT))
        (lines(charts, "End to end over time", "ms", END_TO_END))
    }
}

fn lines(charts: &TestCharts, title: &str, unit: &str, series: &[Series]) -> Markup {
    // A second without a receipt between two with one is no gap; a longer silence is.
    let gap = Some(charts.seconds_per_point as f64 * 5.0);
    let line = |series: &Series| Line {
        name: series.name.to_owned(),
        class: series.class,
        points: charts.points.iter().filter_map(|point| Some((point.at_s, (series.value)(point)?))).collect(),
        gap,
        ..Line::default()
    };
    let chart = LineChart {
        title,
        unit,
        x: XAxis::Time { to_s: charts.duration_s, since: "the load began" },
        y: YAxis::Linear,
        lines: series.iter().map(line).collect(),
        bars: None,
        bands: bands(charts),
        marks: marks(charts),
        limit: None,
    };
    chart.draw()
}

/// Holds are shaded, void levels tinted, actions hatched by their colour over both.
fn bands(charts: &TestCharts) -> Vec<Band> {
    let levels = charts.levels.iter().flat_map(|level| {
        let name = if level.void { format!("{} (void)", level.name) } else { level.name.clone() };
        let class = if level.hold { "band" } else { "" };
        let band = Band { name, class, from: level.from_s, to: level.to_s, labelled: true };
        let void = Band { class: "void-band", name: String::new(), labelled: false, ..band.clone() };
        [Some(band), level.void.then_some(void)].into_iter().flatten()
    });
    let actions = charts.actions.iter().map(|action| Band {
        name: action.text.clone(),
        class: "action-band",
        from: action.from_s,
        to: action.to_s,
        labelled: false,
    });
    levels.chain(actions).collect()
}

fn marks(_charts: &TestCharts) -> Vec<Mark> {
    Vec::new()
}

/// One line of target rates, for tests of the geometry.
#[cfg(test)]
pub(in crate::report) fn target_chart_for_tests(charts: &TestCharts) -> String {
    lines(charts, "Rate", "records/s", &RATES[..1]).into_string()
}
