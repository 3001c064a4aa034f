//! Cost against latency, a mark for each setting: filled where it meets every criterion, a cross where it does not.

use maud::{Markup, html};
use rust_decimal::prelude::ToPrimitive;

use crate::report::svg::scale::{Scale, short};
use crate::report::svg::{WIDTH, figure, fixed};
use crate::report::text::{number, usd};

use super::model::{Outcome, Row, WhatIf};

/// Beside the sheet of the reports.
pub(super) const STYLE: &str = "
.scatter { max-width: 52rem; } .meets { fill: var(--green); stroke: var(--green); stroke-width: 2; }
.not { fill: none; stroke: var(--red); stroke-width: 2.5; } .scatter .legend .not, .scatter .legend .meets { stroke-width: 2; }
";

const HEIGHT: f64 = 360.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 40.0;
/// Height of a line of the larger letters of a phone, and width of the numbers of a few settings.
const LINE: f64 = 20.0;
const NUMBER: f64 = 40.0;
/// Values wider apart than this want a logarithmic axis.
const WIDE: f64 = 20.0;

struct Point<'a> {
    number: usize,
    row: &'a Row,
    usd: f64,
    ms: f64,
}

struct Axis {
    scale: Scale,
    is_log: bool,
}

impl Axis {
    fn of(values: &[f64], at: (f64, f64)) -> Axis {
        let largest = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let smallest = values.iter().copied().filter(|value| *value > 0.0).fold(largest, f64::min);
        let is_log = largest > smallest * WIDE;
        let scale = if is_log { Scale::log(smallest, largest, at) } else { Scale::linear(largest, 5, at) };
        Axis { scale, is_log }
    }
}

/// The chart; nothing where no setting has both figures.
pub(super) fn chart(whatif: &WhatIf) -> Markup {
    let numbered = whatif.settings.iter().enumerate();
    let points: Vec<Point<'_>> = numbered
        .filter_map(|(index, row)| {
            let usd = row.cost_per_million?.0.to_f64()?;
            Some(Point { number: index + 1, row, usd, ms: row.e2e_p99_ms? })
        })
        .collect();
    if points.is_empty() {
        return html! {};
    }
    let x = Axis::of(&points.iter().map(|point| point.usd).collect::<Vec<_>>(), (LEFT, WIDTH - RIGHT));
    let y = Axis::of(&points.iter().map(|point| point.ms).collect::<Vec<_>>(), (HEIGHT - BOTTOM, TOP));
    let caption = format!(
        "up: end-to-end p99, ms{}; right: {} a million records{}; numbers as in the table",
        if y.is_log { ", logarithmic" } else { "" },
        whatif.currency,
        if x.is_log { ", logarithmic" } else { "" }
    );
    let drawn = html! {
        (axes(&x.scale, &y.scale))
        @for point in &points { (mark(whatif, point, &x.scale, &y.scale)) }
        (labels(&points, &x.scale, &y.scale))
    };
    html! { div.scatter { (figure("Cost against latency", &caption, &legend(), HEIGHT, &spoken(whatif, &points), &drawn)) } }
}

fn spoken(whatif: &WhatIf, points: &[Point<'_>]) -> String {
    let each = points.iter().map(|point| told(whatif, point));
    format!("Cost a million records against end-to-end p99. {}.", each.collect::<Vec<_>>().join("; "))
}

fn told(whatif: &WhatIf, point: &Point<'_>) -> String {
    let cost = point.row.cost_per_million.map_or_else(String::new, usd);
    format!(
        "{} {}: {} {cost}, {} ms, {}",
        point.number,
        whatif.label(point.row),
        whatif.currency,
        number(point.ms),
        point.row.outcome.as_str()
    )
}

fn legend() -> Markup {
    html! {
        div.legend {
            span { svg viewBox="0 0 36 12" aria-hidden="true" { circle.meets cx="18" cy="6" r="5" {} } " meets every criterion" }
            span { svg viewBox="0 0 36 12" aria-hidden="true" { path.not d="M13 1L23 11M13 11L23 1" {} } " does not, or is not known to" }
        }
    }
}

fn axes(x: &Scale, y: &Scale) -> Markup {
    html! {
        @for value in &y.ticks {
            @let at = fixed(y.at(*value));
            line.grid x1=(fixed(LEFT)) x2=(fixed(WIDTH - RIGHT)) y1=(at) y2=(at) {}
            text x=(fixed(LEFT - 7.0)) y=(fixed(y.at(*value) + 5.0)) text-anchor="end" { (short(*value)) }
        }
        @for value in &x.ticks {
            @let at = fixed(x.at(*value));
            line.grid x1=(at) x2=(at) y1=(fixed(HEIGHT - BOTTOM)) y2=(fixed(TOP)) {}
            text x=(at) y=(fixed(HEIGHT - 12.0)) text-anchor="middle" { (short(*value)) }
        }
    }
}

fn mark(whatif: &WhatIf, point: &Point<'_>, x: &Scale, y: &Scale) -> Markup {
    let (at, up) = (x.at(point.usd), y.at(point.ms));
    html! {
        g {
            title { (told(whatif, point)) }
            @if point.row.outcome == Outcome::Meets {
                circle.meets cx=(fixed(at)) cy=(fixed(up)) r="6" {}
            } @else {
                path.not d=(format!("M{} {}l10 10m0 -10l-10 10", fixed(at - 5.0), fixed(up - 5.0))) {}
            }
        }
    }
}

/// The number of each setting beside its mark; what is too close to another shares its label.
fn labels(points: &[Point<'_>], x: &Scale, y: &Scale) -> Markup {
    let mut placed: Vec<(f64, f64, Vec<String>)> = Vec::new();
    for point in points {
        let (at, up) = (x.at(point.usd), y.at(point.ms));
        let near =
            placed.iter_mut().find(|(left, top, _)| (left - at).abs() < NUMBER && (top - up).abs() < LINE);
        match near {
            Some((_, _, numbers)) => numbers.push(point.number.to_string()),
            None => placed.push((at, up, vec![point.number.to_string()])),
        }
    }
    html! {
        @for (at, up, numbers) in &placed {
            @let is_right = at + NUMBER > WIDTH - RIGHT;
            text.strong x=(fixed(at + if is_right { -12.0 } else { 12.0 })) y=(fixed(up - 6.0)) text-anchor=(if is_right { "end" } else { "start" }) {
                (numbers.join(", "))
            }
        }
    }
}
