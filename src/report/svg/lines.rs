//! Values as lines over time, over runs or over percentiles. Hovering a column shows its numbers.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::marks::{bands, marks};
use super::scale::{Scale, short, time_tick};
use super::{Key, LETTER, WIDTH, figure, fixed, legend};
use crate::report::text::{number, span};

pub(crate) const HEIGHT: f64 = 250.0;
pub(super) const LEFT: f64 = 68.0;
pub(super) const RIGHT: f64 = 14.0;
pub(super) const TOP: f64 = 22.0;
pub(super) const BOTTOM: f64 = 32.0;
/// Columns that show numbers when hovered, at most: each takes 150 bytes or so.
const HOVER_COLUMNS: usize = 60;

/// A chart of lines; nothing is drawn where no line has a point.
pub(crate) struct LineChart<'a> {
    pub title: &'a str,
    /// Unit of the values: `ms`.
    pub unit: &'a str,
    pub x: XAxis,
    pub y: YAxis,
    pub lines: Vec<Line>,
    /// Counts that stand on the axis, in the unit of the values.
    pub bars: Option<Line>,
    pub bands: Vec<Band>,
    pub marks: Vec<Mark>,
    /// A value that is not to be crossed, and what it is.
    pub limit: Option<(f64, String)>,
}

/// What is counted to the right.
pub enum XAxis {
    /// Seconds of something, such as `the test`, up to this many.
    Time { to_s: f64, of: &'static str },
    /// Things in a row, such as runs: a point's x is the index of its name, from 0.
    Names { of: &'static str, names: Vec<String> },
    /// Powers of ten of 1 / (1 - p): p 0 is 0, p 90 % is 1, p 99 % is 2. Up to this many.
    Percentiles { decades: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum YAxis {
    /// From zero.
    Linear,
    /// Logarithmic where the values span more than this factor of ten, else from zero.
    LogIfWide,
}

/// One line: (x, value), ascending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub name: String,
    /// One of [`super::LINE_CLASSES`].
    pub class: &'static str,
    pub points: Vec<(f64, f64)>,
    /// Points further apart than this are not joined.
    pub gap: Option<f64>,
    /// (low, high) for each point, drawn as whiskers; empty without.
    pub whiskers: Vec<(f64, f64)>,
    /// A dot on each point.
    pub dots: bool,
}

/// A stretch of the axis that is shaded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Band {
    pub name: String,
    /// `band`, `void-band` or `action-band`; empty: named, not shaded.
    pub class: &'static str,
    pub from: f64,
    pub to: f64,
    /// Its name stands over it, where there is room.
    pub labelled: bool,
}

/// A moment, or the start of a stretch, with a letter or number that a list outside the chart explains.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    pub key: String,
    /// Shown when hovered.
    pub text: String,
    pub at: f64,
    /// At the foot instead of at the head, and without a line of its own.
    pub foot: bool,
}

/// Values wider apart than this want a logarithmic axis.
const WIDE: f64 = 20.0;

impl LineChart<'_> {
    pub(crate) fn draw(&self) -> Markup {
        let values: Vec<f64> = self.all().flat_map(Line::extent).filter(|value| value.is_finite()).collect();
        let Some(largest) = values.iter().copied().reduce(f64::max) else { return html! {} };
        let largest = self.limit.as_ref().map_or(largest, |(limit, _)| largest.max(*limit));
        let smallest = values.into_iter().filter(|value| *value > 0.0).reduce(f64::min).unwrap_or(largest);
        let up = (HEIGHT - BOTTOM, TOP);
        let is_log = self.y == YAxis::LogIfWide && largest > smallest * WIDE;
        let y = if is_log { Scale::log(smallest, largest, up) } else { Scale::linear(largest, 5, up) };
        let x = self.x.scale();
        let logarithmic = if is_log { ", logarithmic" } else { "" };
        let caption = format!("{}{logarithmic}; {}", self.unit, self.x.caption());
        let drawn = html! {
            (bands(&self.bands, &x))
            (value_axis(&y))
            (self.x.axis(&x))
            @if let Some(bars) = &self.bars { (uprights(bars, &x, &y)) }
            @for line in &self.lines { (one_line(line, &x, &y)) }
            @if let Some((limit, name)) = &self.limit {
                line.limit x1=(fixed(LEFT)) x2=(fixed(WIDTH - RIGHT)) y1=(fixed(y.at(*limit))) y2=(fixed(y.at(*limit))) {
                    title { (name) }
                }
            }
            (self.hover(&x))
            (marks(&self.marks, &x))
        };
        let keys: Vec<Key<'_>> = self.keys();
        figure(self.title, &caption, &legend(&keys), HEIGHT, &self.spoken(), &drawn)
    }

    fn all(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().chain(&self.bars)
    }

    fn keys(&self) -> Vec<Key<'_>> {
        let drawn = |line: &&Line| !line.points.is_empty();
        let lines = self.lines.iter().filter(drawn);
        let bars = self.bars.iter().filter(drawn);
        let mut keys: Vec<Key<'_>> =
            lines.map(|line| Key::Line { class: line.class, name: &line.name }).collect();
        keys.extend(bars.map(|bars| Key::Fill { class: bars.class, name: &bars.name }));
        keys.extend(self.limit.iter().map(|(_, name)| Key::Line { class: "limit", name }));
        keys
    }

    /// What is seen, in words: the range of each line and where it peaks.
    fn spoken(&self) -> String {
        let mut text = format!("{}, {}.", self.title, self.unit);
        for line in self.all() {
            let Some(peak) = line.points.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a }) else {
                continue;
            };
            let low = line.points.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
            write!(text, " {}: {} to {}, ", line.name, number(low), number(peak.1)).expect(TO_STRING);
            write!(text, "the most at {}.", self.x.name(peak.0)).expect(TO_STRING);
        }
        text
    }

    /// Columns over the picture, each with the numbers of its points.
    fn hover(&self, x: &Scale) -> Markup {
        let mut places: Vec<f64> =
            self.all().flat_map(|line| line.points.iter().map(|(at, _)| *at)).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let each = places.len().div_ceil(HOVER_COLUMNS).max(1);
        let columns: Vec<(f64, f64)> = places
            .chunks(each)
            .map(|column| (column[0], *column.last().expect("a chunk is not empty")))
            .collect();
        // A column reaches halfway to its neighbours, but not far into a silence.
        let silence = self.all().filter_map(|line| line.gap).reduce(f64::max).unwrap_or(f64::INFINITY);
        let reach = |from: f64, to: f64| ((to - from) / 2.0).min(silence);
        let edges = |index: usize| {
            let (from, to) = columns[index];
            let before = index.checked_sub(1).map_or(f64::INFINITY, |before| reach(columns[before].1, from));
            let after = columns.get(index + 1).map_or(f64::INFINITY, |after| reach(to, after.0));
            (x.at(from - before.min(silence)), x.at(to + after.min(silence)))
        };
        html! {
            g.hover {
                @for (index, column) in columns.iter().enumerate() {
                    @let (from, to) = edges(index);
                    rect x=(fixed(from)) y=(fixed(TOP)) width=(fixed((to - from).max(1.0))) height=(fixed(HEIGHT - TOP - BOTTOM)) {
                        title { (self.readout(*column)) }
                    }
                }
            }
        }
    }

    /// The largest value of each line in a column, since a spike must not hide between two columns.
    fn readout(&self, (from, to): (f64, f64)) -> String {
        let mut text = self.x.name(from);
        if to > from {
            write!(text, " to {}, at most", self.x.name(to)).expect(TO_STRING);
        }
        for band in self.bands.iter().filter(|band| band.from <= to && band.to > from) {
            write!(text, "\n{}", band.name).expect(TO_STRING);
        }
        for line in self.all() {
            let inside = line.points.iter().enumerate().filter(|(_, (at, _))| *at >= from && *at <= to);
            let Some((index, (_, value))) = inside.reduce(|a, b| if b.1.1 > a.1.1 { b } else { a }) else {
                continue;
            };
            write!(text, "\n{}: {} {}", line.name, number(*value), self.unit).expect(TO_STRING);
            if let Some((low, high)) = line.whiskers.get(index) {
                write!(text, " ({} to {})", number(*low), number(*high)).expect(TO_STRING);
            }
        }
        text
    }
}

const TO_STRING: &str = "writing to a string cannot fail";

impl Line {
    fn extent(&self) -> impl Iterator<Item = f64> {
        let whiskers = self.whiskers.iter().flat_map(|(low, high)| [*low, *high]);
        self.points.iter().map(|(_, value)| *value).chain(whiskers)
    }
}

impl XAxis {
    fn scale(&self) -> Scale {
        let at = (LEFT, WIDTH - RIGHT);
        match self {
            XAxis::Time { to_s, .. } => Scale::time(*to_s, at),
            XAxis::Names { names, .. } => {
                let last = names.len().saturating_sub(1);
                let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(1) as f64;
                let fit = ((at.1 - at.0) / ((longest + 1.5) * LETTER)).max(2.0) as usize;
                // The last one is named in any case, and those that stand a whole step before it.
                let step = names.len().div_ceil(fit).max(1);
                let ticks = (0..=last).rev().step_by(step).map(|index| index as f64).collect();
                // Half a place at either end, so that a single point stands in the middle.
                Scale::plain(-0.5, last as f64 + 0.5, ticks, at)
            }
            XAxis::Percentiles { decades } => {
                // More than seven of so many digits would touch on a phone.
                let step = decades.div_ceil(6).max(1) as usize;
                let ticks = (0..=*decades).step_by(step).map(f64::from).collect();
                Scale::plain(0.0, f64::from((*decades).max(1)), ticks, at)
            }
        }
    }

    fn caption(&self) -> String {
        match self {
            XAxis::Time { to_s, of } => {
                let unit = if *to_s > 6.0 * 1_800.0 { "hours" } else { "min:s" };
                format!("{unit} of {of}")
            }
            XAxis::Names { of, .. } => format!("by {of}"),
            XAxis::Percentiles { .. } => "by percentile, %".to_owned(),
        }
    }

    fn name(&self, at: f64) -> String {
        match self {
            XAxis::Time { .. } => span(at),
            XAxis::Names { names, .. } => names.get(at.round() as usize).cloned().unwrap_or_default(),
            XAxis::Percentiles { .. } => format!("p{}", percentile(at)),
        }
    }

    fn axis(&self, x: &Scale) -> Markup {
        let shown = |at: f64| match self {
            XAxis::Time { .. } => time_tick(at, &x.ticks),
            XAxis::Names { .. } => self.name(at),
            XAxis::Percentiles { .. } => percentile(at),
        };
        let (from, to) = x.ends();
        html! {
            @for at in &x.ticks {
                @let (label, place) = (shown(*at), x.at(*at));
                @let half = label.chars().count() as f64 * LETTER / 2.0;
                // What would stick out, or come below the labels of the other axis, is aligned with its tick instead.
                @let anchor = if place + half > to + RIGHT { "end" } else if place - half < from { "start" } else { "middle" };
                line.grid x1=(fixed(place)) x2=(fixed(place)) y1=(fixed(HEIGHT - BOTTOM)) y2=(fixed(HEIGHT - BOTTOM + 4.0)) {}
                text x=(fixed(place)) y=(fixed(HEIGHT - 10.0)) text-anchor=(anchor) { (label) }
            }
        }
    }
}

/// The percentile at powers of ten of 1 / (1 - p): as many digits as tell it from its neighbours.
pub(crate) fn percentile(decades: f64) -> String {
    let percent = 100.0 * (1.0 - 10f64.powf(-decades));
    let places = (decades.ceil() as usize).saturating_sub(1).max(usize::from(decades.fract() != 0.0));
    let text = format!("{percent:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn value_axis(y: &Scale) -> Markup {
    html! {
        @for value in &y.ticks {
            @let at = fixed(y.at(*value));
            line.grid x1=(fixed(LEFT)) x2=(fixed(WIDTH - RIGHT)) y1=(at) y2=(at) {}
            text x=(fixed(LEFT - 7.0)) y=(fixed(y.at(*value) + 5.0)) text-anchor="end" { (short(*value)) }
        }
    }
}

fn one_line(line: &Line, x: &Scale, y: &Scale) -> Markup {
    html! {
        @if !line.points.is_empty() {
            path class=(format!("line {}", line.class)) d=(path(line, x, y)) {}
        }
        @for ((at, _), (low, high)) in line.points.iter().zip(&line.whiskers) {
            line class=(format!("whisker {}", line.class)) x1=(fixed(x.at(*at))) x2=(fixed(x.at(*at))) y1=(fixed(y.at(*low))) y2=(fixed(y.at(*high))) {}
        }
        @if line.dots {
            @for (at, value) in &line.points {
                circle class=(format!("dot {}", line.class)) cx=(fixed(x.at(*at))) cy=(fixed(y.at(*value))) r="4" {}
            }
        }
    }
}

/// A path that breaks where points are missing, and is a short dash where one stands alone.
fn path(line: &Line, x: &Scale, y: &Scale) -> String {
    let joined = |from: f64, to: f64| line.gap.is_none_or(|gap| to - from <= gap);
    let mut out = String::new();
    for (index, (at, value)) in line.points.iter().enumerate() {
        let before = index.checked_sub(1).is_some_and(|before| joined(line.points[before].0, *at));
        let after = line.points.get(index + 1).is_some_and(|(next, _)| joined(*at, *next));
        let pen = if before { 'L' } else { 'M' };
        write!(out, "{pen}{} {}", fixed(x.at(*at)), fixed(y.at(*value))).expect(TO_STRING);
        if !before && !after && !line.dots {
            out.push_str("h2");
        }
    }
    out
}

/// Upright bars from the axis, one path for all.
fn uprights(bars: &Line, x: &Scale, y: &Scale) -> Markup {
    let mut d = String::new();
    for (at, value) in bars.points.iter().filter(|(_, value)| *value > 0.0) {
        let foot = y.at(0.0);
        let height = (foot - y.at(*value)).max(1.0);
        write!(d, "M{} {}v-{}h4v{}z", fixed(x.at(*at) - 2.0), fixed(foot), fixed(height), fixed(height))
            .expect(TO_STRING);
    }
    html! { @if !d.is_empty() { path class=(bars.class) d=(d) {} } }
}
