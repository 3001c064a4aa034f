//! A figure over the tests of a period and their levels: a dot a level, a line through those of a test.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::report::svg::scale::{Scale, nice_step};
use crate::report::svg::{WIDTH, figure, fixed};
use crate::report::text::number;

const HEIGHT: f64 = 230.0;
const LEFT: f64 = 68.0;
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

/// From zero on, or around the values where they are close together far from it (success).
fn axis(low: f64, high: f64, from_zero: bool) -> Scale {
    let at = (HEIGHT - BOTTOM, TOP);
    if from_zero {
        return Scale::linear(high, 4, at);
    }
    // Figures that hardly differ must not look as if they did.
    let step = nice_step((high - low).max(1.0) / 4.0);
    let from = (((low / step).floor() - 1.0) * step).max(0.0);
    let steps = ((high - from) / step).ceil().max(1.0);
    let ticks = (0..=steps as u32).map(|tick| from + step * f64::from(tick)).collect();
    Scale::plain(from, from + step * steps, ticks, at)
}

/// The chart; nothing where no level has a value. `from_zero` is for figures whose size matters, not their distance
/// from a full score.
pub(super) fn chart(title: &str, unit: &str, groups: &[Group], from_zero: bool) -> Markup {
    let values = || groups.iter().flat_map(|group| &group.dots).filter_map(|dot| dot.value);
    let (Some(low), Some(high)) = (values().reduce(f64::min), values().reduce(f64::max)) else {
        return html! {};
    };
    let axis = axis(low, high, from_zero);
    let slots: usize = groups.iter().map(|group| group.dots.len()).sum();
    let slot = (WIDTH - LEFT - RIGHT) / slots.max(1) as f64;
    let starts = groups.iter().scan(0, |end, group| {
        let start = *end;
        *end += group.dots.len();
        Some(LEFT + slot * start as f64)
    });
    let drawn = html! {
        @for (index, (group, x)) in groups.iter().zip(starts.clone()).enumerate() {
            @let width = slot * group.dots.len() as f64;
            @if index % 2 == 0 {
                rect.band x=(fixed(x)) y=(fixed(TOP)) width=(fixed(width)) height=(fixed(HEIGHT - TOP - BOTTOM)) {}
            }
            @if width >= CHARACTER * group.id.chars().count() as f64 {
                text x=(fixed(x + width / 2.0)) y=(fixed(HEIGHT - 11.0)) text-anchor="middle" { (group.id) }
            }
        }
        @for tick in &axis.ticks {
            @let y = axis.at(*tick);
            line.grid x1=(fixed(LEFT)) x2=(fixed(WIDTH - RIGHT)) y1=(fixed(y)) y2=(fixed(y)) {}
            text x=(fixed(LEFT - 7.0)) y=(fixed(y + 5.0)) text-anchor="end" { (number(*tick)) }
        }
        @for (group, x) in groups.iter().zip(starts) { (dots(group, x, slot, &axis)) }
    };
    let spoken = format!("{title}, {unit}: {} to {}", number(low), number(high));
    figure(title, &format!("{unit}, by test and level"), &html! {}, HEIGHT, &spoken, &drawn)
}

fn dots(group: &Group, x: f64, slot: f64, axis: &Scale) -> Markup {
    let placed = || {
        let dots = group.dots.iter().enumerate();
        dots.filter_map(|(index, dot)| Some((dot, x + slot * (index as f64 + 0.5), axis.at(dot.value?))))
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
