//! Put latency by percentile, as HdrHistogram's own plots have it: to the right each power of ten leaves a tenth of
//! the records.

use maud::{Markup, html};

use crate::evidence::drawn::Quantile;
use crate::report::charts::{Spectra, Spectrum};
use crate::report::svg::LINE_CLASSES;
use crate::report::svg::lines::{Line, LineChart, XAxis, YAxis};

pub(super) fn chart(spectra: &Spectra) -> Markup {
    let level = |(spectrum, class): (&Spectrum, &&'static str)| line(&spectrum.level, class, spectrum);
    let mut lines: Vec<Line> = spectra.put.iter().zip(&LINE_CLASSES).map(level).collect();
    if let Some(service) = &spectra.service {
        lines.push(line(&format!("service time of {}", service.level), "s0", service));
    }
    let furthest = lines.iter().flat_map(|line| &line.points).map(|(at, _)| *at).fold(0.0, f64::max);
    let chart = LineChart {
        title: "Put latency by percentile",
        unit: "ms from the due time",
        x: XAxis::Percentiles { decades: furthest.ceil() as u32 },
        y: YAxis::LogIfWide,
        lines,
        bars: None,
        bands: Vec::new(),
        marks: Vec::new(),
        limit: None,
    };
    chart.draw()
}

/// Which levels the chart leaves out; nothing where it has all.
pub(super) fn left_out(spectra: &Spectra) -> Markup {
    html! {
        @if !spectra.left_out.is_empty() {
            p.meta {
                "The percentiles are those of the highest rates. Left out: " (spectra.left_out.join(", ")) "."
            }
        }
    }
}

fn line(name: &str, class: &'static str, spectrum: &Spectrum) -> Line {
    let at = |point: &Quantile| (-(1.0 - point.quantile).log10(), point.ms);
    Line { name: name.to_owned(), class, points: spectrum.points.iter().map(at).collect(), ..Line::default() }
}
