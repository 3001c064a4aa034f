//! A heat map as SVG: a number in each cell, its colour only repeats it; void cells are hatched, untested ones blank.

use maud::{Markup, html};

use crate::report::svg::{WIDTH, cut, figure, fixed};
use crate::report::text::number;

const LEFT: f64 = 150.0;
const TOP: f64 = 34.0;
const ROW: f64 = 54.0;
/// Opacity of the lowest and of the highest value: text stays readable on both.
const FAINT: f64 = 0.06;
const STRONG: f64 = 0.5;

/// One cell that was tested.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Cell {
    /// What the colour goes by; `None`: tested, and it has no such figure.
    pub value: Option<f64>,
    pub shown: String,
    /// It says nothing about the pipeline.
    pub void: bool,
    /// Shown when hovered.
    pub title: String,
}

/// Plain data of a heat map: `cells[row][column]`, `None` where nothing was tested.
pub(in crate::report) struct HeatMap {
    pub title: String,
    pub unit: &'static str,
    /// The name of each row, and what stands under it.
    pub rows: Vec<(String, String)>,
    pub columns: Vec<String>,
    pub cells: Vec<Vec<Option<Cell>>>,
    /// High values are good ones: the colour is for the low ones then.
    pub high_is_good: bool,
}

/// The map; nothing without a cell.
pub(super) fn map(map: &HeatMap) -> Markup {
    let values: Vec<f64> = map.cells.iter().flatten().flatten().filter_map(|cell| cell.value).collect();
    let (Some(low), Some(high)) =
        (values.iter().copied().reduce(f64::min), values.iter().copied().reduce(f64::max))
    else {
        return html! {};
    };
    let width = (WIDTH - LEFT) / map.columns.len().max(1) as f64;
    let height = TOP + ROW * map.rows.len() as f64 + 2.0;
    let drawn = html! {
        @for (column, name) in map.columns.iter().enumerate() {
            text x=(fixed(LEFT + width * (column as f64 + 0.5))) y=(fixed(TOP - 12.0)) text-anchor="middle" { (cut(name, width)) }
        }
        @for (row, (name, under)) in map.rows.iter().enumerate() {
            @let y = TOP + ROW * row as f64;
            text.strong x=(fixed(LEFT - 10.0)) y=(fixed(y + 22.0)) text-anchor="end" { (cut(name, LEFT - 10.0)) }
            text x=(fixed(LEFT - 10.0)) y=(fixed(y + 44.0)) text-anchor="end" { (cut(under, LEFT - 10.0)) }
            @for (column, cell) in map.cells[row].iter().enumerate() {
                @if let Some(cell) = cell {
                    (one(cell, (LEFT + width * column as f64, y), width, share(cell.value, low, high, map.high_is_good)))
                }
            }
        }
    };
    let spoken = format!("{}, {}: {} to {}", map.title, map.unit, number(low), number(high));
    figure(&map.title, &format!("{}; columns: records/s", map.unit), &html! {}, height, &spoken, &drawn)
}

/// Where a value stands between the best (0) and the worst (1).
fn share(value: Option<f64>, low: f64, high: f64, high_is_good: bool) -> Option<f64> {
    let along = if high > low { (value? - low) / (high - low) } else { value.map(|_| 0.0)? };
    Some(if high_is_good && high > low { 1.0 - along } else { along })
}

fn one(cell: &Cell, (x, y): (f64, f64), width: f64, share: Option<f64>) -> Markup {
    let (width, height) = (width - 3.0, ROW - 3.0);
    // A void cell has no colour: its number is not the pipeline's.
    let opacity = share.filter(|_| !cell.void).map_or(0.0, |share| FAINT + (STRONG - FAINT) * share);
    html! {
        g {
            title { (cell.title) }
            rect.heat-cell x=(fixed(x)) y=(fixed(y)) width=(fixed(width)) height=(fixed(height)) {}
            rect.heat x=(fixed(x)) y=(fixed(y)) width=(fixed(width)) height=(fixed(height)) fill-opacity=(format!("{opacity:.2}")) {}
            @if cell.void { path.heat-void d=(hatching(x, y, width, height)) {} }
            text.strong x=(fixed(x + width / 2.0)) y=(fixed(y + height / 2.0 + 5.0)) text-anchor="middle" { (cell.shown) }
        }
    }
}

/// Lines at 45 degrees inside the cell: drawn, because a pattern's name would have to be unique in the page.
fn hatching(x: f64, y: f64, width: f64, height: f64) -> String {
    let mut path = String::new();
    let mut from = 10.0;
    while from < width + height {
        let (x0, y0) = if from <= width { (x + from, y) } else { (x + width, y + from - width) };
        let (x1, y1) = if from <= height { (x, y + from) } else { (x + from - height, y + height) };
        path.push_str(&format!("M{} {}L{} {}", fixed(x0), fixed(y0), fixed(x1), fixed(y1)));
        from += 10.0;
    }
    path
}
