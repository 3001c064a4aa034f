//! Charts as inline SVG, from plain data: no script, nothing loaded. Every chart is a `<figure>` whose caption holds
//! the title and the units; [`lines`] draws values over an axis, [`bars`] a row for each thing.
//!
//! Coordinates are in units of a picture [`WIDTH`] wide, which fills its column: on a phone a unit is about half a
//! pixel, and the style sheet makes the letters larger there. What is drawn leaves room for the larger ones.

pub(crate) mod bars;
pub mod lines;
mod marks;
pub(crate) mod scale;
#[cfg(test)]
mod tests;

use maud::{Markup, html};

pub(crate) const WIDTH: f64 = 640.0;
/// Of one letter of the larger size, on average and generously.
const LETTER: f64 = 11.5;

/// Ways to draw a line. Each has a colour and a dash of its own, so that neither is needed to tell them apart.
pub(crate) const LINE_CLASSES: [&str; 6] = ["s1", "s4", "s3", "s2", "s5", "s0"];
/// The patterns that fill the bars of the classes `f2`, `f3`, `f4` and `f0`, beside `f1` which is plain: once in every page that has bars, before the first of them.
pub(crate) fn patterns() -> Markup {
    html! {
        svg.patterns width="0" height="0" aria-hidden="true" {
            defs {
                (pattern("p2", "b2", 8, "M-2 10L10 -2M-2 2L2 -2M6 10L10 6"))
                (pattern("p3", "b3", 7, "M3.5 0V7"))
                (pattern("p4", "b4", 8, "M4 2.2V5.8M2.2 4H5.8"))
                (pattern("p0", "b0", 7, "M0 3.5H7"))
            }
        }
    }
}

fn pattern(id: &str, class: &str, size: u32, stroke: &str) -> Markup {
    html! {
        pattern id=(id) width=(size) height=(size) patternUnits="userSpaceOnUse" {
            rect class=(class) width=(size) height=(size) {}
            path.hatch d=(stroke) {}
        }
    }
}

/// One entry of a legend: what a line or a bar stands for.
pub(crate) enum Key<'a> {
    Line { class: &'a str, name: &'a str },
    Fill { class: &'a str, name: &'a str },
}

pub(crate) fn legend(keys: &[Key<'_>]) -> Markup {
    html! {
        div.legend {
            @for key in keys {
                span {
                    svg viewBox="0 0 36 12" aria-hidden="true" {
                        @match key {
                            Key::Line { class, .. } => line class=(format!("line {class}")) x1="0" y1="6" x2="36" y2="6" {},
                            Key::Fill { class, .. } => rect class=(class) x="4" y="1" width="28" height="10" {},
                        }
                    }
                    " "
                    @match key { Key::Line { name, .. } | Key::Fill { name, .. } => (name) }
                }
            }
        }
    }
}

/// A figure around a picture `height` high; `spoken` says what is seen to those who do not see it.
pub(crate) fn figure(
    title: &str,
    caption: &str,
    keys: &Markup,
    height: f64,
    spoken: &str,
    drawn: &Markup,
) -> Markup {
    html! {
        figure {
            figcaption { (title) " " span { "(" (caption) ")" } }
            (keys)
            svg viewBox=(format!("0 0 {WIDTH} {}", fixed(height))) role="img" aria-label=(spoken) { (drawn) }
        }
    }
}

/// A coordinate: one decimal is finer than a screen.
pub(crate) fn fixed(coordinate: f64) -> String {
    let text = format!("{coordinate:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Cut to what fits into a width.
pub(crate) fn cut(text: &str, width: f64) -> String {
    let fits = (width / LETTER) as usize;
    if text.chars().count() <= fits {
        return text.to_owned();
    }
    text.chars().take(fits.saturating_sub(1)).collect::<String>() + "\u{2026}"
}
