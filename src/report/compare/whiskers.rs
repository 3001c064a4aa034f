//! Relative differences as dots, each with a whisker for its interval, left and right of no difference.

use maud::{Markup, html};

use crate::report::svg::scale::{nice_step, short};
use crate::report::svg::{WIDTH, figure, fixed};
use crate::verdict::compare::FigureChange;

use super::words;

/// Beside the sheet of the reports.
pub const STYLE: &str = "
.worse { color: var(--red); font-weight: 700; } .better { color: var(--green); font-weight: 700; } .moved { font-weight: 700; }
.span { stroke-width: 2.5; stroke: var(--soft); } .point { fill: var(--paper); stroke: var(--soft); stroke-width: 2; }
.span.worse { stroke: var(--red); } .point.worse { fill: var(--red); stroke: var(--red); }
.span.better { stroke: var(--green); } .point.better { fill: var(--green); stroke: var(--green); }
.span.moved { stroke: var(--blue); } .point.moved { fill: var(--blue); stroke: var(--blue); }
.zero { stroke: var(--ink); stroke-width: 1.5; } .whiskers { max-width: 46rem; }
";

const LEFT: f64 = 196.0;
/// Half of the last tick, in the larger letters of a phone, stands to the right of it.
const RIGHT: f64 = 34.0;
const ROW: f64 = 25.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;
/// What is farther out is drawn at the edge, with an arrow: one figure from nearly nothing must not flatten the others.
const LIMIT_PERCENT: f64 = 200.0;

struct Row<'a> {
    figure: &'a FigureChange,
    percent: f64,
    interval: [f64; 2],
}

struct Frame {
    low: f64,
    high: f64,
}

impl Frame {
    /// From the least to the most that is drawn, zero within, in whole steps.
    fn of(rows: &[Row<'_>]) -> (Frame, f64) {
        let ends = || rows.iter().flat_map(|row| [row.percent, row.interval[0], row.interval[1]]);
        let least = ends().fold(0.0, f64::min).max(-LIMIT_PERCENT);
        let most = ends().fold(0.0, f64::max).min(LIMIT_PERCENT);
        let step = nice_step(((most - least) / 6.0).max(0.1));
        (Frame { low: (least / step).floor() * step, high: (most / step).ceil() * step }, step)
    }

    fn x(&self, percent: f64) -> f64 {
        let part = (percent - self.low) / (self.high - self.low).max(f64::MIN_POSITIVE);
        LEFT + (WIDTH - LEFT - RIGHT) * part.clamp(0.0, 1.0)
    }

    fn is_beyond(&self, percent: f64) -> bool {
        percent < self.low || percent > self.high
    }
}

/// The chart of a level; nothing where no figure has an interval.
pub fn chart(level: &str, figures: &[FigureChange]) -> Markup {
    let numbers = |figure: &FigureChange| Some((figure.percent?, figure.interval_percent?));
    let rows: Vec<Row<'_>> = figures
        .iter()
        .filter_map(|figure| numbers(figure).map(|(percent, interval)| Row { figure, percent, interval }))
        .collect();
    if rows.is_empty() {
        return html! {};
    }
    let (frame, step) = Frame::of(&rows);
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    let spoken = format!("{level}: relative differences, percent");
    let drawn = html! {
        (axis(&frame, step, height))
        @for (index, row) in rows.iter().enumerate() { (one(row, &frame, TOP + ROW * (index as f64 + 0.5))) }
    };
    let caption = "% of the run before; whisker: 95 % interval; filled: larger than the noise";
    html! { div.whiskers { (figure("Relative difference", caption, &html! {}, height, &spoken, &drawn)) } }
}

fn axis(frame: &Frame, step: f64, height: f64) -> Markup {
    let ticks = ((frame.high - frame.low) / step).round() as u32;
    let foot = height - BOTTOM;
    html! {
        @for tick in 0..=ticks {
            @let percent = frame.low + step * f64::from(tick);
            @let is_zero = percent.abs() < step / 2.0;
            @let x = fixed(frame.x(percent));
            line class=(if is_zero { "zero" } else { "grid" }) x1=(x) x2=(x) y1=(fixed(TOP)) y2=(fixed(foot)) {}
            text x=(x) y=(fixed(height - 12.0)) text-anchor="middle" { (tick_text(percent, is_zero)) }
        }
    }
}

fn tick_text(percent: f64, is_zero: bool) -> String {
    if is_zero {
        "0 %".to_owned()
    } else {
        format!("{}{}", if percent > 0.0 { "+" } else { "-" }, short(percent.abs()))
    }
}

fn one(row: &Row<'_>, frame: &Frame, y: f64) -> Markup {
    let class = words::class(row.figure);
    let [low, high] = row.interval;
    let dot = frame.x(row.percent);
    let shown = fixed(y);
    html! {
        g {
            text x=(fixed(LEFT - 8.0)) y=(fixed(y + 5.0)) text-anchor="end" { (row.figure.figure) }
            line class=(format!("span {class}")) x1=(fixed(frame.x(low))) x2=(fixed(frame.x(high))) y1=(shown) y2=(shown) {}
            @if frame.is_beyond(row.percent) {
                text.strong x=(fixed(dot)) y=(fixed(y + 5.0)) text-anchor=(if row.percent > 0.0 { "end" } else { "start" }) {
                    (words::difference(row.figure))
                }
            } @else {
                circle class=(format!("point {class}")) cx=(fixed(dot)) cy=(shown) r="5" {}
            }
            g.hover {
                rect x="0" y=(fixed(y - ROW / 2.0)) width=(fixed(WIDTH)) height=(fixed(ROW)) {
                    title {
                        (row.figure.figure) ": " (words::difference(row.figure)) " (" (words::interval(row.figure)) "), "
                        (words::says(row.figure))
                    }
                }
            }
        }
    }
}
