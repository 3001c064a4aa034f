//! The figures that two runs are compared by, and that a history shows.

use super::kept::{KeptLatency, KeptLevel, KeptTest};

/// What a larger value of a figure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Worse {
    Higher,
    Lower,
    /// A change is no regression, whichever way it goes.
    Neither,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timed {
    Put,
    Service,
    EndToEnd,
}

/// What the figure's interval is resampled from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Noise {
    /// A percentile, 0 to 1, of the interval histograms.
    Percentile(Timed, f64),
    /// Acked records a second.
    Rate,
    /// Acked over acked and failed, percent.
    Success,
    /// Refusals over the level.
    Throttles,
    /// A count over the whole level: to or from zero is a change, all else is not known.
    Count,
    /// None, and why.
    Unknown(&'static str),
}

/// A figure of a level.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// As a criterion writes it where it has a name for it.
    pub key: &'static str,
    /// `ms`, `%`, `/s`, `USD`, `s`; empty for counts.
    pub unit: &'static str,
    pub worse: Worse,
    of: Of,
    pub(super) noise: Noise,
}

#[derive(Clone, Copy, Debug)]
enum Of {
    Level(fn(&KeptLevel) -> Option<f64>),
    Test(fn(&KeptTest) -> Option<f64>),
}

const ONE_VALUE: &str = "one value a run says nothing of its noise";
const MAXIMUM: &str = "a maximum hangs on one record, and has no interval";

type Percentile = (&'static str, fn(&KeptLevel) -> Option<f64>, Timed, f64);

/// The percentiles of one latency, as named and as found.
macro_rules! percentiles {
    ($name:literal, $field:ident, $timed:expr) => {
        [
            (concat!($name, ".p50"), |level: &KeptLevel| at(level.$field, |found| found.p50), $timed, 0.5),
            (concat!($name, ".p95"), |level: &KeptLevel| at(level.$field, |found| found.p95), $timed, 0.95),
            (concat!($name, ".p99"), |level: &KeptLevel| at(level.$field, |found| found.p99), $timed, 0.99),
        ]
    };
}

const PUT: [Percentile; 3] = percentiles!("put_latency", put_latency_ms, Timed::Put);
const SERVICE: [Percentile; 3] = percentiles!("service_time", service_time_ms, Timed::Service);
const END_TO_END: [Percentile; 3] = percentiles!("e2e_latency", e2e_latency_ms, Timed::EndToEnd);

fn at(latency: Option<KeptLatency>, of: fn(KeptLatency) -> f64) -> Option<f64> {
    latency.filter(|latency| latency.count > 0).map(of)
}

const fn latency((key, of, timed, quantile): Percentile) -> Figure {
    let noise = Noise::Percentile(timed, quantile);
    Figure { key, unit: "ms", worse: Worse::Higher, of: Of::Level(of), noise }
}

const fn level(
    key: &'static str,
    unit: &'static str,
    worse: Worse,
    noise: Noise,
    of: fn(&KeptLevel) -> Option<f64>,
) -> Figure {
    Figure { key, unit, worse, of: Of::Level(of), noise }
}

/// Every figure of a level, in the order in which they are shown.
pub const FIGURES: [Figure; 17] = [
    latency(PUT[0]),
    latency(PUT[1]),
    latency(PUT[2]),
    latency(SERVICE[0]),
    latency(SERVICE[1]),
    latency(SERVICE[2]),
    latency(END_TO_END[0]),
    latency(END_TO_END[1]),
    latency(END_TO_END[2]),
    level("achieved_rate", "/s", Worse::Lower, Noise::Rate, |level| level.achieved_rps),
    level("success_rate", "%", Worse::Lower, Noise::Success, |level| level.success_percent),
    level("throttles", "", Worse::Higher, Noise::Throttles, |level| {
        level.started_at.as_ref().and(level.throttled).map(|throttled| throttled as f64)
    }),
    level("iterator_age.max", "ms", Worse::Higher, Noise::Unknown(MAXIMUM), |level| {
        level.iterator_age_ms_max
    }),
    level("records_per_invocation", "", Worse::Neither, Noise::Unknown(ONE_VALUE), |level| {
        level.records_per_invocation
    }),
    level("cost_per_million", "USD", Worse::Higher, Noise::Unknown(ONE_VALUE), KeptLevel::cost_usd),
    level("lost", "", Worse::Higher, Noise::Count, |level| {
        level.delivery.and_then(|delivery| delivery.lost).map(|lost| lost as f64)
    }),
    level("duplicates", "", Worse::Higher, Noise::Count, |level| {
        level.delivery.map(|delivery| (delivery.duplicated.producer + delivery.duplicated.redelivery) as f64)
    }),
];

/// The figure of a whole test.
pub const DRAIN: Figure = Figure {
    key: "drain_time",
    unit: "s",
    worse: Worse::Higher,
    of: Of::Test(KeptTest::drain_time_s),
    noise: Noise::Unknown(ONE_VALUE),
};

impl Figure {
    /// Every figure, that of a test last.
    pub fn all() -> impl Iterator<Item = Figure> {
        FIGURES.into_iter().chain([DRAIN])
    }

    pub fn from_key(key: &str) -> Option<Figure> {
        Figure::all().find(|figure| figure.key == key)
    }

    /// It belongs to the test, whichever level is asked for.
    pub fn is_of_test(&self) -> bool {
        matches!(self.of, Of::Test(_))
    }

    /// `None`: it was not measured.
    pub fn value(&self, test: &KeptTest, level: &KeptLevel) -> Option<f64> {
        match self.of {
            Of::Level(of) => of(level),
            Of::Test(of) => of(test),
        }
    }

    /// As a whole test has it; `None` for a figure of levels.
    pub fn value_of_test(&self, test: &KeptTest) -> Option<f64> {
        match self.of {
            Of::Level(_) => None,
            Of::Test(of) => of(test),
        }
    }
}
