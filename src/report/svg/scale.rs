//! Scales: which values an axis spans, where its ticks are, and how they read.

use crate::report::text::{number, span};

/// Maps values to coordinates, and knows where its ticks are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    log: bool,
    from: f64,
    to: f64,
    /// Coordinates of `from` and `to`: the second is the smaller one on an axis that points upwards.
    at: (f64, f64),
    pub ticks: Vec<f64>,
}

impl Scale {
    /// From zero to the first tick at or above `largest`, in at most `ticks_max` steps of 1, 2 or 5 times a power of ten.
    pub(crate) fn linear(largest: f64, ticks_max: u32, at: (f64, f64)) -> Scale {
        // Where all is zero, an axis up to one says so.
        let largest = if largest > 0.0 { largest } else { 1.0 };
        let step = nice_step(largest / f64::from(ticks_max));
        let steps = (largest / step - 1e-9).ceil().max(1.0);
        let ticks = (0..=steps as u32).map(|tick| step * f64::from(tick)).collect();
        Scale { log: false, from: 0.0, to: step * steps, at, ticks }
    }

    /// From the power of ten at or below `smallest` to the one at or above `largest`, with ticks at 2 and 5, too, where
    /// there are few powers. Both values are above zero.
    pub(crate) fn log(smallest: f64, largest: f64, at: (f64, f64)) -> Scale {
        let low = smallest.max(1e-3).log10().floor() as i32;
        let high = (largest.max(1e-3).log10().ceil() as i32).max(low + 1);
        let within: &[f64] = if high - low <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let below = (low..high).flat_map(|power| within.iter().map(move |times| times * 10f64.powi(power)));
        let ticks = below.chain([10f64.powi(high)]).collect();
        Scale { log: true, from: 10f64.powi(low), to: 10f64.powi(high), at, ticks }
    }

    /// Seconds from 0 to `to_s`, ticks where people count time.
    pub(crate) fn time(to_s: f64, at: (f64, f64)) -> Scale {
        let to_s = to_s.max(1.0);
        let step = time_step(to_s);
        let ticks = (0..=(to_s / step).floor() as u32).map(|tick| step * f64::from(tick)).collect();
        Scale { log: false, from: 0.0, to: to_s, at, ticks }
    }

    /// From `from` to `to` with the ticks given, linear.
    pub(crate) fn plain(from: f64, to: f64, ticks: Vec<f64>, at: (f64, f64)) -> Scale {
        Scale { log: false, from, to: if to > from { to } else { from + 1.0 }, at, ticks }
    }

    /// Values beyond the ends are drawn at the ends.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let along = if self.log {
            (value.max(self.from).log10() - self.from.log10()) / (self.to.log10() - self.from.log10())
        } else {
            (value - self.from) / (self.to - self.from)
        };
        self.at.0 + (self.at.1 - self.at.0) * along.clamp(0.0, 1.0)
    }

    pub(crate) fn ends(&self) -> (f64, f64) {
        self.at
    }
}

/// The next of 1, 2, 5 times a power of ten.
pub(crate) fn nice_step(at_least: f64) -> f64 {
    let power = 10f64.powf(at_least.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|times| times * power)
        .find(|step| *step >= at_least * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

const HOUR_S: f64 = 3_600.0;

/// Steps that people count time in, at most six of them.
fn time_step(duration_s: f64) -> f64 {
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0]
        .into_iter()
        .chain([1.0, 2.0, 4.0, 6.0, 12.0].map(|hours| hours * HOUR_S))
        .find(|step| duration_s / step <= 6.0)
        .unwrap_or_else(|| (duration_s / 6.0 / 24.0 / HOUR_S).ceil() * 24.0 * HOUR_S)
}

/// `4:30`; whole hours where the ticks are so far apart.
pub(crate) fn time_tick(at_s: f64, ticks: &[f64]) -> String {
    let by_hours = ticks.get(1).is_some_and(|step| *step >= HOUR_S);
    if by_hours && at_s > 0.0 { format!("{} h", at_s / HOUR_S) } else { span(at_s) }
}

/// A value short enough to stand at an axis: `0.25`, `2,000`, `25k`, `1.5M`.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 1e9 => format!("{}G", number(value / 1e9)),
        large if large >= 1e6 => format!("{}M", number(value / 1e6)),
        large if large >= 1e4 => format!("{}k", number(value / 1e3)),
        _ => number(value),
    }
}
