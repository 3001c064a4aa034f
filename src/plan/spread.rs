//! A duration that varies, as a plan writes it: `8ms`, `{median: 8ms, p99: 40ms}`, or the quantiles of a measurement.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema as schema};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::resolve::{Place, Resolver};
use crate::platform::spread::{Quantiles, Spread};

const SPREAD_EXPECTED: &str =
    "a duration such as 8ms, 1.5s or 100us, {median: 8ms, p99: 40ms}, or ten quantiles from min to max";
const FINE_EXPECTED: &str = "a duration such as 8ms, 1.5s or 100us";
const FINE_PATTERN: &str = r"^[0-9]+(\.[0-9]+)?(us|ms|s)$";

/// A duration, `{median: ..., p99: ...}`, or the quantiles of a measurement.
pub(super) enum SpreadDoc {
    Always(String),
    Varies(Box<Varies>),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Varies {
    median: Option<String>,
    min: Option<String>,
    p10: Option<String>,
    p25: Option<String>,
    p50: Option<String>,
    p75: Option<String>,
    p90: Option<String>,
    p95: Option<String>,
    p99: Option<String>,
    p999: Option<String>,
    max: Option<String>,
}

impl Varies {
    /// In the order of [`Quantiles::NAMES`].
    fn quantiles(&self) -> [Option<&str>; Quantiles::COUNT] {
        [
            &self.min, &self.p10, &self.p25, &self.p50, &self.p75, &self.p90, &self.p95, &self.p99,
            &self.p999, &self.max,
        ]
        .map(|quantile| quantile.as_deref())
    }

    /// It says more than a median and a p99.
    fn is_measured(&self) -> bool {
        let named = Quantiles::NAMES.iter().zip(self.quantiles());
        named.into_iter().any(|(name, given)| *name != "p99" && given.is_some())
    }
}

impl<'de> Deserialize<'de> for SpreadDoc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SpreadDoc, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = SpreadDoc;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(SPREAD_EXPECTED)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<SpreadDoc, E> {
                Ok(SpreadDoc::Always(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SpreadDoc, A::Error> {
                let varies = Varies::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(SpreadDoc::Varies(Box::new(varies)))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl JsonSchema for SpreadDoc {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Spread".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let fine = serde_json::json!({ "type": "string", "pattern": FINE_PATTERN });
        let quantiles: serde_json::Map<_, _> =
            Quantiles::NAMES.iter().map(|name| ((*name).to_owned(), fine.clone())).collect();
        schema!({
            "description": "Always the same, log-normal with this median and 99th percentile, or as measured.",
            "anyOf": [
                fine,
                { "type": "object", "properties": { "median": fine, "p99": fine },
                  "required": ["median", "p99"], "additionalProperties": false },
                { "type": "object", "properties": quantiles,
                  "required": Quantiles::NAMES, "additionalProperties": false },
            ],
        })
    }
}

/// `100us`, `1.5ms`, `2s`: finer than what the rest of a plan needs.
fn fine_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let us_each = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    // `f64` reads more than digits and a point.
    let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let us = number.parse::<f64>().ok().filter(|_| plain)? * us_each;
    (us <= 1e12).then(|| Duration::from_micros(us.round() as u64))
}

/// A duration as [`fine_duration`] reads it, exact to the microsecond.
pub(super) fn shown(duration: Duration) -> String {
    match duration.as_micros() {
        us if us.is_multiple_of(1_000_000) => format!("{}s", us / 1_000_000),
        us if us >= 1_000 => format!("{}ms", us as f64 / 1e3),
        us => format!("{us}us"),
    }
}

/// A spread as a plan writes it, on one line.
pub(super) fn yaml(spread: Spread) -> String {
    match spread {
        Spread::LogNormal { median, p99 } if p99 <= median => shown(median),
        Spread::LogNormal { median, p99 } => format!("{{median: {}, p99: {}}}", shown(median), shown(p99)),
        Spread::Measured(quantiles) => {
            let named = Quantiles::NAMES.iter().zip(quantiles.durations());
            let named: Vec<String> =
                named.map(|(name, duration)| format!("{name}: {}", shown(duration))).collect();
            format!("{{{}}}", named.join(", "))
        }
    }
}

impl Resolver<'_> {
    pub(super) fn spread(
        &mut self,
        document: Option<SpreadDoc>,
        at: &Place<'_>,
        max: Duration,
        default: Spread,
    ) -> Spread {
        match document {
            None => default,
            Some(SpreadDoc::Always(text)) => self.fine(Some(&text), at, max).map_or(default, Spread::fixed),
            Some(SpreadDoc::Varies(varies)) if varies.is_measured() => {
                self.measured(&varies, at, max).unwrap_or(default)
            }
            Some(SpreadDoc::Varies(varies)) => {
                let median = self.fine(varies.median.as_deref(), &at.key("median"), max);
                let p99 = self.fine(varies.p99.as_deref(), &at.key("p99"), max);
                let Some((median, p99)) = median.zip(p99) else { return default };
                if p99 < median || median.is_zero() && !p99.is_zero() {
                    let expected = "a median above 0 and a p99 that is not below it";
                    self.wrong(at, format!("median {}, p99 {}", shown(median), shown(p99)), expected);
                }
                Spread::LogNormal { median, p99 }
            }
        }
    }

    fn measured(&mut self, varies: &Varies, at: &Place<'_>, max: Duration) -> Option<Spread> {
        if varies.median.is_some() {
            self.wrong(&at.key("median"), "a median beside quantiles", "p50, which is the same");
        }
        let read: Vec<Option<Duration>> = Quantiles::NAMES
            .iter()
            .zip(varies.quantiles())
            .map(|(name, text)| self.fine(text, &at.key(name), max))
            .collect();
        let read: Vec<Duration> = read.into_iter().collect::<Option<_>>()?;
        let quantiles = Quantiles::new(read.try_into().ok()?);
        if quantiles.is_none() {
            self.wrong(
                at,
                "a quantile that is below the one before it",
                "quantiles that rise from min to max",
            );
        }
        quantiles.map(Spread::Measured)
    }

    fn fine(&mut self, text: Option<&str>, at: &Place<'_>, max: Duration) -> Option<Duration> {
        let Some(text) = text else {
            self.missing(at, FINE_EXPECTED);
            return None;
        };
        match fine_duration(text) {
            Some(duration) if duration <= max => return Some(duration),
            Some(_) => self.unexpected(at, format!("at most {}", shown(max))),
            None => self.unexpected(at, FINE_EXPECTED),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(us in 0u64..1_000_000_000) {
            let duration = Duration::from_micros(us);
            prop_assert_eq!(fine_duration(&shown(duration)), Some(duration));
        }
    }
}
