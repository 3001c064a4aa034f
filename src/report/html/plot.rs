//! Lines over time as SVG, drawn here: no script, no network. Hovering a column shows its numbers.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::report::charts::{ActionSpan, LevelSpan, Point, TestCharts};
use crate::report::text::{number, span};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 32.0;
/// Columns that show numbers when hovered.
const HOVER_COLUMNS: usize = 100;
/// A level's name is written over its band only where the band is this wide.
const LABEL_WIDTH: f64 = 76.0;

/// One line: its name, the class that draws it, and where its value comes from.
pub(super) struct Series {
    pub name: &'static str,
    pub class: &'static str,
    pub value: fn(&Point) -> Option<f64>,
}

/// Maps seconds and values to the picture.
struct Frame {
    duration_s: f64,
    top: f64,
}

impl Frame {
    fn x(&self, at_s: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (at_s / self.duration_s).clamp(0.0, 1.0)
    }
    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value / self.top).clamp(0.0, 1.0)
    }
}

/// A chart over the time of a test; nothing where no line has a value.
pub(super) fn lines(charts: &TestCharts, title: &str, unit: &str, series: &[Series]) -> Markup {
    let values = || series.iter().flat_map(|line| charts.points.iter().filter_map(line.value));
    let Some(largest) = values().reduce(f64::max) else { return html! {} };
    let step = nice_step(largest.max(1e-3) / 5.0);
    let frame =
        Frame { duration_s: charts.duration_s.max(1.0), top: (largest / step).ceil().max(1.0) * step };
    html! {
        figure {
            figcaption { (title) " " span { "(" (unit) ")" } }
            (legend(series))
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("{title}, {unit}")) {
                (bands(&charts.levels, &frame))
                (action_bands(&charts.actions, &frame))
                (value_axis(&frame, step))
                (time_axis(&frame))
                @for line in series {
                    path class=(format!("line {}", line.class)) d=(path(&charts.points, line.value, &frame, charts.seconds_per_point)) {}
                }
                (hover(charts, unit, series, &frame))
            }
        }
    }
}

fn legend(series: &[Series]) -> Markup {
    html! {
        div.legend {
            @for line in series {
                span {
                    svg viewBox="0 0 36 12" aria-hidden="true" {
                        line class=(format!("line {}", line.class)) x1="0" y1="6" x2="36" y2="6" {}
                    }
                    " " (line.name)
                }
            }
        }
    }
}

/// Holds are shaded, void levels tinted.
fn bands(levels: &[LevelSpan], frame: &Frame) -> Markup {
    html! {
        @for level in levels {
            @let (from, to) = (frame.x(level.from_s), frame.x(level.to_s));
            @if level.hold {
                rect.band x=(fixed(from)) y=(fixed(TOP)) width=(fixed(to - from)) height=(fixed(HEIGHT - TOP - BOTTOM)) {}
            }
            @if level.void {
                rect.void-band x=(fixed(from)) y=(fixed(TOP)) width=(fixed(to - from)) height=(fixed(HEIGHT - TOP - BOTTOM)) {}
            }
            @if to - from >= LABEL_WIDTH {
                text.level x=(fixed((from + to) / 2.0)) y=(fixed(TOP - 7.0)) text-anchor="middle" {
                    (short(level, to - from))
                }
            }
        }
    }
}

/// What was changed in the pipeline, from when to when.
fn action_bands(actions: &[ActionSpan], frame: &Frame) -> Markup {
    html! {
        @for action in actions {
            @let (from, to) = (frame.x(action.from_s), frame.x(action.to_s));
            rect.action-band x=(fixed(from)) y=(fixed(TOP)) width=(fixed((to - from).max(1.0))) height=(fixed(HEIGHT - TOP - BOTTOM)) {}
        }
    }
}

/// The name, cut to what fits: about nine units a character.
fn short(level: &LevelSpan, width: f64) -> String {
    let name = if level.void { format!("{} (void)", level.name) } else { level.name.clone() };
    let fits = (width / 9.0) as usize;
    if name.chars().count() <= fits {
        return name;
    }
    name.chars().take(fits.saturating_sub(1)).collect::<String>() + "\u{2026}"
}

fn value_axis(frame: &Frame, step: f64) -> Markup {
    let ticks = (frame.top / step).round() as u32;
    html! {
        @for tick in 0..=ticks {
            @let value = step * f64::from(tick);
            @let y = fixed(frame.y(value));
            line.grid x1=(fixed(LEFT)) x2=(fixed(WIDTH - RIGHT)) y1=(y) y2=(y) {}
            text x=(fixed(LEFT - 7.0)) y=(fixed(frame.y(value) + 5.0)) text-anchor="end" { (number(value)) }
        }
    }
}

fn time_axis(frame: &Frame) -> Markup {
    let step = time_step(frame.duration_s);
    let ticks = (frame.duration_s / step).floor() as u32;
    html! {
        @for tick in 0..=ticks {
            @let at_s = step * f64::from(tick);
            @let x = frame.x(at_s);
            @let anchor = if tick == 0 { "start" } else if x > WIDTH - RIGHT - 20.0 { "end" } else { "middle" };
            line.grid x1=(fixed(x)) x2=(fixed(x)) y1=(fixed(HEIGHT - BOTTOM)) y2=(fixed(HEIGHT - BOTTOM + 4.0)) {}
            text x=(fixed(x)) y=(fixed(HEIGHT - 10.0)) text-anchor=(anchor) { (span(at_s)) }
        }
    }
}

/// A path that breaks where points are missing.
fn path(points: &[Point], value: fn(&Point) -> Option<f64>, frame: &Frame, seconds_per_point: i64) -> String {
    let mut out = String::new();
    let mut last_s: Option<f64> = None;
    // A second without a receipt between two with one is no gap; a longer silence is.
    let gap_s = seconds_per_point as f64 * 5.0;
    for point in points {
        let Some(value) = value(point) else { continue };
        let pen = if last_s.is_some_and(|last_s| point.at_s - last_s <= gap_s) { 'L' } else { 'M' };
        write!(out, "{pen}{} {}", fixed(frame.x(point.at_s)), fixed(frame.y(value)))
            .expect("writing to a string cannot fail");
        last_s = Some(point.at_s);
    }
    out
}

fn hover(charts: &TestCharts, unit: &str, series: &[Series], frame: &Frame) -> Markup {
    let every = charts.points.len().div_ceil(HOVER_COLUMNS).max(1);
    let width_s = (charts.seconds_per_point * every as i64) as f64;
    html! {
        @for point in charts.points.iter().step_by(every) {
            @let from = frame.x(point.at_s);
            @let to = frame.x(point.at_s + width_s);
            rect.hover x=(fixed(from)) y=(fixed(TOP)) width=(fixed((to - from).max(1.0))) height=(fixed(HEIGHT - TOP - BOTTOM)) {
                title { (tooltip(charts, point, unit, series)) }
            }
        }
    }
}

fn tooltip(charts: &TestCharts, point: &Point, unit: &str, series: &[Series]) -> String {
    let level = charts.levels.iter().find(|level| point.at_s >= level.from_s && point.at_s < level.to_s);
    let level = level.map_or("draining", |level| &level.name);
    let mut text = format!("{} {level}", span(point.at_s));
    for action in charts.actions.iter().filter(|one| point.at_s >= one.from_s && point.at_s < one.to_s) {
        write!(text, "\n{}", action.text).expect("writing to a string cannot fail");
    }
    for line in series {
        if let Some(value) = (line.value)(point) {
            write!(text, "\n{}: {} {unit}", line.name, number(value))
                .expect("writing to a string cannot fail");
        }
    }
    text
}

/// The next of 1, 2, 5 times a power of ten.
pub(super) fn nice_step(at_least: f64) -> f64 {
    let power = 10f64.powf(at_least.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|times| times * power)
        .find(|step| *step >= at_least)
        .unwrap_or(10.0 * power)
}

/// Steps that people count time in, at most seven of them.
fn time_step(duration_s: f64) -> f64 {
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0]
        .into_iter()
        .find(|step| duration_s / step <= 7.0)
        .unwrap_or_else(|| nice_step(duration_s / 7.0 / 3_600.0) * 3_600.0)
}

/// A coordinate: one decimal is finer than a screen.
pub(super) fn fixed(coordinate: f64) -> String {
    let text = format!("{coordinate:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
