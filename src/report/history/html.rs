//! The history as one self-contained page: a chart and a table for each level.

use maud::{Markup, html};

use crate::report::compare::words;
use crate::report::html::page;
use crate::report::svg::lines::{Line, LineChart, Mark, XAxis, YAxis};
use crate::report::text::or_none;

use super::model::{History, Place, Series};

/// The page.
pub fn html(history: &History) -> String {
    let title = html! { (history.plan) ": history of " (history.figure) };
    page(
        &title,
        "",
        &html! {
            header {
                h1 { "History: " (history.plan) }
                p.meta {
                    (history.figure) " of the finished runs on " (history.target) " in the environment "
                    code { (history.environment) } "."
                    @if let Some(baseline) = &history.baseline { " The baseline is run " code { (baseline) } "." }
                }
            }
            @for series in &history.series { (one(history, series)) }
            @if !history.notes.is_empty() {
                h2 { "Notes" }
                ul { @for note in &history.notes { li { (note) } } }
            }
            footer { "A letter in a chart marks a run whose plan or configuration is not that of the run before it." }
        },
    )
}

fn one(history: &History, series: &Series) -> Markup {
    let level = series.level.as_deref().unwrap_or("the whole test");
    let title = format!("{} / {level}", series.test);
    let letters = letters(series);
    html! {
        h2 { (title) }
        div.charts { (chart(history, series, &letters)) }
        div.scroll {
            table {
                thead {
                    tr {
                        th.word { "run" } th.word { "when" } th.word { "version" }
                        th { (history.figure) } th { "change" } th.word { "what was otherwise than in the run before" }
                    }
                }
                tbody {
                    @for (place, letter) in series.runs.iter().zip(&letters) {
                        tr {
                            td.name { code { (place.run) } @if place.is_baseline { " (baseline)" } }
                            td.name { (place.started_at) }
                            td.name { (place.tool_version) }
                            td { (words::value(place.value, &history.unit)) }
                            td { (or_none(place.percent, |percent| format!("{} %", words::signed(percent)))) }
                            td.wide {
                                @if let Some(letter) = letter { strong { (letter) } " " (place.changed.join("; ")) }
                                @if let Some(reason) = &place.reason { (reason) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A letter for each run whose configuration changed: A to Z, then two of them.
fn letters(series: &Series) -> Vec<Option<String>> {
    let letter = |number: usize| char::from(b'A' + (number % 26) as u8);
    let mut next = 0;
    let named = |place: &Place| {
        (!place.changed.is_empty()).then(|| {
            let front = (next >= 26).then(|| letter(next / 26 - 1));
            let name = front.into_iter().chain([letter(next)]).collect();
            next += 1;
            name
        })
    };
    series.runs.iter().map(named).collect()
}

fn chart(history: &History, series: &Series, letters: &[Option<String>]) -> Markup {
    let values = series.runs.iter().enumerate();
    let points = values.filter_map(|(index, place)| Some((index as f64, place.value?))).collect();
    let unit = if history.unit.is_empty() { "count" } else { &history.unit };
    let marks = series.runs.iter().zip(letters).enumerate().filter_map(|(index, (place, letter))| {
        let key = letter.clone()?;
        Some(Mark { key, text: place.changed.join("; "), at: index as f64, foot: false })
    });
    let baseline = series.runs.iter().find(|place| place.is_baseline).and_then(|place| place.value);
    let names = series.runs.iter().map(|place| when(&place.started_at)).collect();
    LineChart {
        title: &history.figure,
        unit,
        x: XAxis::Names { of: "run", names },
        y: YAxis::Linear,
        lines: vec![Line {
            name: history.figure.clone(),
            class: "s1",
            points,
            gap: Some(1.5),
            dots: true,
            ..Line::default()
        }],
        bars: None,
        bands: Vec::new(),
        marks: marks.collect(),
        limit: baseline.map(|value| (value, "baseline".to_owned())),
    }
    .draw()
}

/// `11-21 12:50`: a year is in the table.
fn when(started_at: &str) -> String {
    started_at.chars().skip(5).take(11).collect::<String>().replace('T', " ")
}
