//! What is marked in a chart besides its lines: shaded stretches, and moments with a letter.

use maud::{Markup, html};

use super::lines::{BOTTOM, Band, HEIGHT, LEFT, Mark, RIGHT, TOP};
use super::scale::Scale;
use super::{WIDTH, cut, fixed};

/// A band's name is written over it only where it is this wide.
const LABEL_WIDTH: f64 = 76.0;
/// Width of a mark's box, and of one for several marks.
const ONE: f64 = 24.0;
const SEVERAL: f64 = 56.0;
const BOX_HEIGHT: f64 = 22.0;

pub(super) fn bands(bands: &[Band], x: &Scale) -> Markup {
    html! {
        @for band in bands {
            @let (from, to) = (x.at(band.from), x.at(band.to));
            @if !band.class.is_empty() {
                rect class=(band.class) x=(fixed(from)) y=(fixed(TOP)) width=(fixed((to - from).max(1.0))) height=(fixed(HEIGHT - TOP - BOTTOM)) {}
            }
            @if band.labelled && to - from >= LABEL_WIDTH {
                text.level x=(fixed((from + to) / 2.0)) y=(fixed(TOP - 7.0)) text-anchor="middle" {
                    (cut(&band.name, to - from))
                }
            }
        }
    }
}

/// Marks so close that their boxes would overlap share one.
struct Cluster<'a> {
    marks: Vec<&'a Mark>,
    at: f64,
}

impl Cluster<'_> {
    fn label(&self) -> String {
        match self.marks.as_slice() {
            [one] => one.key.clone(),
            [first, .., last] => format!("{}\u{2013}{}", first.key, last.key),
            [] => String::new(),
        }
    }

    fn width(&self) -> f64 {
        if self.marks.len() == 1 { ONE } else { SEVERAL }
    }

    fn text(&self) -> String {
        let lines: Vec<String> =
            self.marks.iter().map(|mark| format!("{} {}", mark.key, mark.text)).collect();
        lines.join("\n")
    }
}

fn clusters<'a>(marks: &[&'a Mark], x: &Scale) -> Vec<Cluster<'a>> {
    let mut clusters: Vec<Cluster<'a>> = Vec::new();
    for mark in marks {
        let at = x.at(mark.at);
        match clusters.last_mut() {
            // The widest box of the cluster and of what follows must fit beside one another.
            Some(last) if at - last.at < SEVERAL => last.marks.push(mark),
            _ => clusters.push(Cluster { marks: vec![mark], at }),
        }
    }
    clusters
}

pub(super) fn marks(marks: &[Mark], x: &Scale) -> Markup {
    let mut ordered: Vec<&Mark> = marks.iter().collect();
    ordered.sort_by(|left, right| left.at.total_cmp(&right.at));
    let (foot, head): (Vec<&Mark>, Vec<&Mark>) = ordered.into_iter().partition(|mark| mark.foot);
    html! {
        @for mark in &head {
            line.mark x1=(fixed(x.at(mark.at))) x2=(fixed(x.at(mark.at))) y1=(fixed(TOP)) y2=(fixed(HEIGHT - BOTTOM)) {}
        }
        @for cluster in clusters(&head, x) { (boxed(&cluster, "mark", TOP)) }
        @for cluster in clusters(&foot, x) { (boxed(&cluster, "mark act", HEIGHT - BOTTOM - BOX_HEIGHT)) }
    }
}

fn boxed(cluster: &Cluster<'_>, class: &str, y: f64) -> Markup {
    let width = cluster.width();
    let left = (cluster.at - ONE / 2.0).clamp(LEFT, WIDTH - RIGHT - width);
    html! {
        g class=(class) {
            title { (cluster.text()) }
            rect x=(fixed(left)) y=(fixed(y)) width=(fixed(width)) height=(fixed(BOX_HEIGHT)) rx="3" {}
            text x=(fixed(left + width / 2.0)) y=(fixed(y + 16.5)) text-anchor="middle" { (cluster.label()) }
        }
    }
}
