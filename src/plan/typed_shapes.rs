//! The load's shape as typed: keys, arrivals, a series of rates.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema as schema};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::typed::DurationText;

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "KeyDistribution")]
pub(super) enum KeyDistributionDoc {
    /// Each key alike.
    Uniform,
    /// The share of the n-th key is proportional to 1 / n^exponent.
    Zipf,
    /// The first key has `hot_share` of the records, the others share the rest alike.
    Hot,
    /// Keys take turns, and with them the shards that are open when the test starts.
    RoundRobin,
}

/// Partition keys.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Keys")]
pub(super) struct KeysDoc {
    /// Distinct keys. Default 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: Option<i64>,
    /// Default 1.
    #[schemars(range(min = 0))]
    pub seed: Option<i64>,
    /// Default uniform.
    pub distribution: Option<KeyDistributionDoc>,
    /// With zipf. Default 1.
    #[schemars(range(min = 0, max = 10))]
    pub exponent: Option<f64>,
    /// With hot: the part of the records that the first key has, such as 50%. Default 50%.
    #[schemars(regex(pattern = r"^[0-9]+([.][0-9]+)?%$"))]
    pub hot_share: Option<String>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ArrivalProcess")]
pub(super) enum ArrivalProcessDoc {
    Even,
    Poisson,
}

/// `poisson`, or `{process: poisson, seed: 7}`.
#[derive(Clone, Copy)]
pub(super) struct ArrivalsDoc {
    pub process: ArrivalProcessDoc,
    pub seed: Option<i64>,
}

const ARRIVALS_EXPECTED: &str = "even, poisson, or {process: poisson, seed: 7}";

impl<'de> Deserialize<'de> for ArrivalsDoc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ArrivalsDoc, D::Error> {
        struct Arrivals;
        impl<'de> Visitor<'de> for Arrivals {
            type Value = ArrivalsDoc;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ARRIVALS_EXPECTED)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ArrivalsDoc, E> {
                let process = match text {
                    "even" => ArrivalProcessDoc::Even,
                    "poisson" => ArrivalProcessDoc::Poisson,
                    _ => return Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                };
                Ok(ArrivalsDoc { process, seed: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ArrivalsDoc, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Whole {
                    process: Option<ArrivalProcessDoc>,
                    seed: Option<i64>,
                }
                let Whole { process, seed } = Whole::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let process = process.ok_or_else(|| de::Error::custom(ARRIVALS_EXPECTED))?;
                Ok(ArrivalsDoc { process, seed })
            }
        }
        deserializer.deserialize_any(Arrivals)
    }
}

impl JsonSchema for ArrivalsDoc {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Arrivals".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let process = serde_json::json!({ "type": "string", "enum": ["even", "poisson"] });
        schema!({ "description": "How records are spread over a level: evenly, or at random as a Poisson process.",
            "anyOf": [
                process.clone(),
                { "type": "object", "required": ["process"], "additionalProperties": false,
                  "properties": { "process": process,
                    "seed": { "description": "Default 1.", "type": "integer", "minimum": 0 } } },
        ]})
    }
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Gaps")]
pub(super) enum GapsDoc {
    /// A row that is missing is an error.
    Refuse,
    /// The row before a gap holds through it.
    Hold,
}

/// A series of rates to replay.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rates")]
pub(super) struct RatesDoc {
    /// A CSV file, its path relative to the plan: a header `time_s,rate`, then a row a change of the rate.
    #[schemars(required)]
    pub file: Option<String>,
    /// All rates are multiplied with it. Default 1.
    #[schemars(range(min = 0))]
    pub scale: Option<f64>,
    /// How long the last row's rate holds. Default: as long as the one before it.
    pub last_row: Option<DurationText>,
    /// What a missing row means in a series that is otherwise regular. Default refuse.
    pub gaps: Option<GapsDoc>,
}
