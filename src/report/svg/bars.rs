//! A row for each level, service or week, with bars from a common zero.

use maud::{Markup, html};

use super::scale::Scale;
use super::{Key, LETTER, WIDTH, cut, figure, fixed, legend};

const LEFT: f64 = 8.0;
const RIGHT: f64 = 24.0;
const ROW: f64 = 44.0;
const AXIS: f64 = 30.0;

/// Part of a bar.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub name: String,
    /// `f1` to `f4` and `f0`: each has a colour and, but for the first, a pattern of its own.
    pub class: &'static str,
    pub value: f64,
    /// With its unit, shown when hovered.
    pub shown: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub label: String,
    /// Stands at the right of the label: the sum, for example.
    pub value: String,
    pub segments: Vec<Segment>,
    /// Single values on the same axis.
    pub points: Vec<Dot>,
    /// A thin line from one value to another.
    pub range: Option<(f64, f64)>,
}

impl Row {
    pub(crate) fn named(label: &str) -> Row {
        Row { label: label.to_owned(), ..Row::default() }
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let sum = self.segments.iter().map(|segment| segment.value).sum::<f64>();
        let range = self.range.into_iter().flat_map(|(from, to)| [from, to]);
        self.points.iter().map(|dot| dot.value).chain(range).chain((sum > 0.0).then_some(sum))
    }
}

/// A value with a shape of its own.
#[derive(Clone, Debug)]
pub(crate) struct Dot {
    pub name: &'static str,
    pub shape: Shape,
    pub value: f64,
    pub shown: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Circle,
    Square,
    Triangle,
}

/// Rows drawn at most: what is beyond is said to be left out.
const ROWS_MAX: usize = 40;

/// Stacked bars and single values on one axis.
pub(crate) struct BarChart<'a> {
    pub title: &'a str,
    /// The unit, and what is measured.
    pub caption: &'a str,
    /// Writes a value at the axis.
    pub tick: &'a dyn Fn(f64) -> String,
    /// For single values alone: bars have no length on it.
    pub log: bool,
    pub rows: &'a [Row],
}

impl BarChart<'_> {
    /// Nothing without rows, or where all is zero.
    pub(crate) fn draw(&self) -> Markup {
        let rows = &self.rows[..self.rows.len().min(ROWS_MAX)];
        let values = || rows.iter().flat_map(Row::values).filter(|value| *value > 0.0);
        let (Some(smallest), Some(largest)) = (values().reduce(f64::min), values().reduce(f64::max)) else {
            return html! {};
        };
        let ends = (LEFT, WIDTH - RIGHT);
        let x = if self.log { Scale::log(smallest, largest, ends) } else { Scale::linear(largest, 4, ends) };
        let height = ROW * rows.len() as f64 + AXIS;
        let drawn = html! {
            (axis(&x, height, self.tick))
            @for (index, row) in rows.iter().enumerate() { (one_row(row, ROW * index as f64, &x)) }
        };
        let left_out = match self.rows.len() - rows.len() {
            0 => String::new(),
            more => format!("; {more} more are in the table"),
        };
        let caption = format!("{}{left_out}", self.caption);
        figure(self.title, &caption, &keys(rows), height, &spoken(self.title, &caption, rows), &drawn)
    }
}

fn one_row(row: &Row, y: f64, x: &Scale) -> Markup {
    let room = WIDTH - LEFT - RIGHT - (row.value.chars().count() + 1) as f64 * LETTER;
    html! {
        text.strong x=(fixed(LEFT)) y=(fixed(y + 17.0)) { (cut(&row.label, room)) }
        @if !row.value.is_empty() {
            text x=(fixed(WIDTH - RIGHT)) y=(fixed(y + 17.0)) text-anchor="end" { (row.value) }
        }
        (stack(row, y + 23.0, x))
        @if let Some((from, to)) = row.range {
            line.line.s1 x1=(fixed(x.at(from))) x2=(fixed(x.at(to))) y1=(fixed(y + 30.5)) y2=(fixed(y + 30.5)) {}
        }
        @for point in &row.points { (dot(point, x.at(point.value), y + 30.5)) }
    }
}

fn axis(x: &Scale, height: f64, tick: &dyn Fn(f64) -> String) -> Markup {
    let last = x.ticks.len().saturating_sub(1);
    html! {
        @for (index, value) in x.ticks.iter().enumerate() {
            @let at = x.at(*value);
            line.grid x1=(fixed(at)) x2=(fixed(at)) y1="0" y2=(fixed(height - AXIS)) {}
            @let anchor = if index == 0 { "start" } else if index == last { "end" } else { "middle" };
            text x=(fixed(at)) y=(fixed(height - 10.0)) text-anchor=(anchor) { (tick(*value)) }
        }
    }
}

fn stack(row: &Row, y: f64, x: &Scale) -> Markup {
    let starts = row.segments.iter().scan(0.0, |end, segment| {
        let start = *end;
        *end += segment.value;
        Some(start)
    });
    html! {
        @for (segment, from) in row.segments.iter().zip(starts) {
            @let start = x.at(from);
            rect class=(segment.class) x=(fixed(start)) y=(fixed(y)) width=(format!("{:.2}", x.at(from + segment.value) - start)) height="15" {
                title { (segment.name) ": " (segment.shown) }
            }
        }
    }
}

fn dot(dot: &Dot, x: f64, y: f64) -> Markup {
    html! { g.dots { title { (dot.name) ": " (dot.shown) } (shape(dot.shape, x, y)) } }
}

fn shape(shape: Shape, x: f64, y: f64) -> Markup {
    html! {
        @match shape {
            Shape::Circle => circle.f1 cx=(fixed(x)) cy=(fixed(y)) r="5" {},
            Shape::Square => rect.b2 x=(fixed(x - 5.0)) y=(fixed(y - 5.0)) width="10" height="10" {},
            Shape::Triangle => path.b4 d=(format!("M{} {}l6 10h-12z", fixed(x), fixed(y - 6.0))) {},
        }
    }
}

fn shape_key(of: Shape, name: &str) -> Markup {
    html! {
        span { svg viewBox="0 0 36 12" aria-hidden="true" { g.dots { (shape(of, 18.0, 6.0)) } } " " (name) }
    }
}

fn keys(rows: &[Row]) -> Markup {
    let mut fills: Vec<(&str, &str)> = Vec::new();
    for segment in rows.iter().flat_map(|row| &row.segments) {
        if !fills.iter().any(|(name, _)| *name == segment.name) {
            fills.push((&segment.name, segment.class));
        }
    }
    let mut dots: Vec<(&str, Shape)> = Vec::new();
    for dot in rows.iter().flat_map(|row| &row.points) {
        if !dots.iter().any(|(name, _)| *name == dot.name) {
            dots.push((dot.name, dot.shape));
        }
    }
    let one_kind = fills.iter().all(|(_, class)| *class == fills[0].1);
    let fills: Vec<Key<'_>> = fills.into_iter().map(|(name, class)| Key::Fill { class, name }).collect();
    html! {
        // Bars of one kind are named by the title.
        @if fills.len() > 1 && !one_kind { (legend(&fills)) }
        @if !dots.is_empty() { div.legend { @for (name, of) in dots { (shape_key(of, name)) } } }
    }
}

fn spoken(title: &str, caption: &str, rows: &[Row]) -> String {
    let row = |row: &Row| {
        let parts = row.segments.iter().map(|segment| format!("{} {}", segment.name, segment.shown));
        let dots = row.points.iter().map(|dot| format!("{} {}", dot.name, dot.shown));
        format!(" {}: {}.", row.label, parts.chain(dots).collect::<Vec<_>>().join(", "))
    };
    // A reader's ear does not hold more.
    let first: String = rows.iter().take(8).map(row).collect();
    let more = if rows.len() > 8 { format!(" And {} more.", rows.len() - 8) } else { String::new() };
    format!("{title}, {caption}.{first}{more}")
}
