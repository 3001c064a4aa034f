//! A figure over the tests of a period and their levels: a dot a level, a line through those of a test.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::report::text::number;

use super::plot::{fixed, nice_step};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 34.0;
/// A test's id is written only where there is this much room for each of its characters.
const CHARACTER: f64 = 11.0;

/// One level.
pub(super) struct Dot {
    pub value: Option<f64>,
    pub void: bool,
    /// Shown when hovered.
    pub title: String,
}

/// The levels of one test.
pub(super) struct Group {
    pub id: String,
    pub dots: Vec<Dot>,
}

/// The value axis: from which value, to which, in which steps.
struct Axis {
    from: f64,
    to: f64,
    step: f64,
}

impl Axis {
    /// From zero on, or around the values where they are close together far from it (success).
    fn over(low: f64, high: f64, from_zero: bool) -> Axis {
        // Figures that hardly differ must not look as if they did.
        let spread = if from_zero { high } else { (high - low).max(1.0) };
        let step = nice_step((spread / 4.0).max(1e-6));
        let from = if from_zero { 0.0 } else { ((low / step).floor() - 1.0) * step };
        let to = ((high / step).ceil() * step).max(from + step);
        Axis { from: from.max(0.0), to, step }
    }
    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - self.from) / (self.to - self.from)
    }
}

/// The chart; nothing where no level has a value. `from_zero` is for figures whose size matters, not their distance
/// from a full score.
pub(super) fn chart(title: &str, unit: &str, groups: &[Group], from_zero: bool) -> Markup {
    let values = || groups.iter().flat_map(|group| &group.dots).filter_map(|dot| dot.value);
    let (Some(low), Some(high)) = (values().reduce(f64::min), values().reduce(f64::max)) else {
        return html! {};
    };
    let axis = Axis::over(low, high, from_zero);
    let slots: usize = groups.iter().map(|group| group.dots.len()).sum();
    let slot = (WIDTH - LEFT - RIGHT) / slots.max(1) as f64;
    let starts = groups.iter().scan(0, |end, group| {
        let start = *end;
        *end += group.dots.len();
        Some(LEFT + slot * start as f64)
    });
    let ticks = ((axis.to - axis.from) / axis.step).round() as u32;
    html! {
        figure {
            figcaption { (title) " " span { "(" (unit) ", by test and level)" } }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("{title}, {unit}")) {
                @for (index, (group, x)) in groups.iter().zip(starts.clone()).enumerate() {
                    @let width = slot * group.dots.len() as f64;
                    @if index % 2 == 0 {
                        rect.band x=(fixed(x)) y=(fixed(TOP)) width=(fixed(width)) height=(fixed(HEIGHT - TOP - BOTTOM)) {}
                    }
                    @if width >= CHARACTER * group.id.chars().count() as f64 {
                        text x=(fixed(x + width / 2.0)) y=(fixed(HEIGHT - 11.0)) text-anchor="middle" { (group.id) }
                    }
                }
                @for tick in 0..=ticks {
                    @let value = axis.from + axis.step * f64::from(tick);
                    @let y = axis.y(value);
                    line.grid x1=(fixed(LEFT)) x2=(fixed(WIDTH - RIGHT)) y1=(fixed(y)) y2=(fixed(y)) {}
                    text x=(fixed(LEFT - 7.0)) y=(fixed(y + 5.0)) text-anchor="end" { (number(value)) }
                }
                @for (group, x) in groups.iter().zip(starts) { (dots(group, x, slot, &axis)) }
            }
        }
    }
}

fn dots(group: &Group, x: f64, slot: f64, axis: &Axis) -> Markup {
    let placed = || {
        let dots = group.dots.iter().enumerate();
        dots.filter_map(|(index, dot)| Some((dot, x + slot * (index as f64 + 0.5), axis.y(dot.value?))))
    };
    let mut path = String::new();
    for (index, (_, x, y)) in placed().enumerate() {
        let pen = if index == 0 { 'M' } else { 'L' };
        write!(path, "{pen}{} {}", fixed(x), fixed(y)).expect("writing to a string cannot fail");
    }
    html! {
        path.line.s1 d=(path) {}
        @for (dot, x, y) in placed() {
            circle.f1[!dot.void].void-dot[dot.void] cx=(fixed(x)) cy=(fixed(y)) r="5" { title { (dot.title) } }
        }
    }
}
