//! The plan as typed: what the YAML may look like. Every field is optional here, so that all that is missing
//! is reported at once, by `resolve`; the schema says what is required. The doc comments are the schema's
//! descriptions.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema as schema};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::payload::PayloadDoc;
use super::typed_environment::{AccountDoc, AlarmsDoc, FunctionDoc, StreamDoc};
use super::typed_shapes::{ArrivalsDoc, KeysDoc, RatesDoc};
use super::units;

/// The JSON Schema of a plan, as `schemas/plan-v1.schema.json` holds it.
pub fn json_schema() -> serde_json::Value {
    let mut schema = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let mut value = schema.root_schema_for::<PlanDoc>().to_value();
    value["title"] = "streamgauge plan v1".into();
    value
}

/// A load test plan: phases of tests, the pipeline they run against, and what they must show.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Plan")]
pub(super) struct PlanDoc {
    /// Always `streamgauge/plan/v1`.
    #[schemars(required, extend("const" = super::SCHEMA))]
    pub schema: Option<String>,
    /// The plan's name.
    #[schemars(required, length(min = 1))]
    pub name: Option<String>,
    /// The pipeline that is stood up.
    pub environment: Option<EnvironmentDoc>,
    /// What tests use unless they say otherwise.
    pub defaults: Option<DefaultsDoc>,
    /// Phases, in order.
    #[schemars(required, length(min = 1))]
    pub phases: Option<Vec<PhaseDoc>>,
    /// Criteria on the whole run.
    pub criteria: Option<Vec<String>>,
    /// What the run may cost, USD.
    pub budget: Option<BudgetDoc>,
    /// What to do when a red flag is raised.
    pub flags: Option<FlagsDoc>,
    /// How long to wait, at most, for the pipeline to drain after a test. Default 2m.
    pub drain: Option<DurationText>,
    pub rehearsal: Option<super::rehearsal::RehearsalDoc>,
    /// Tags of everything that is stood up.
    pub tags: Option<BTreeMap<String, String>>,
    /// The peak that production expects, records/s.
    pub expected_peak: Option<Rate>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Environment")]
pub(super) struct EnvironmentDoc {
    /// A pipeline that stands already, instead of one that is made.
    pub existing: Option<super::resolve_existing::ExistingDoc>,
    /// File with the existing pipeline's outputs: `terraform output -json`, or CDK's `cdk-outputs.json`.
    pub from_outputs: Option<String>,
    pub stream: Option<StreamDoc>,
    pub function: Option<FunctionDoc>,
    pub alarms: Option<AlarmsDoc>,
    pub account: Option<AccountDoc>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "PutMode")]
pub(super) enum PutModeDoc {
    Record,
    Batch,
}

/// What tests use unless they say otherwise.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Defaults")]
pub(super) struct DefaultsDoc {
    /// Default medium.
    pub payload: Option<PayloadDoc>,
    /// One PutRecord a record (the default), or PutRecords with all records that are due.
    pub put: Option<PutModeDoc>,
    pub keys: Option<KeysDoc>,
    /// Default even.
    pub arrivals: Option<ArrivalsDoc>,
    /// Records in flight, at most. Default 10000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: Option<i64>,
    /// Attempts for each record in all. Default 5.
    #[schemars(range(min = 1, max = 100))]
    pub put_attempts: Option<i64>,
    /// Default 10s.
    pub attempt_timeout: Option<DurationText>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Phase")]
pub(super) struct PhaseDoc {
    #[schemars(required, length(min = 1))]
    pub name: Option<String>,
    /// Default 1.
    #[schemars(range(min = 1, max = 52))]
    pub week: Option<i64>,
    #[schemars(required, length(min = 1))]
    pub tests: Option<Vec<TestDoc>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Test")]
pub(super) struct TestDoc {
    /// Unique in the plan; letters, digits, `.`, `_` and `-`.
    #[schemars(required, regex(pattern = r"^[A-Za-z0-9._-]{1,64}$"))]
    pub id: Option<String>,
    #[schemars(required, length(min = 1))]
    pub name: Option<String>,
    pub payload: Option<PayloadDoc>,
    pub put: Option<PutModeDoc>,
    pub keys: Option<KeysDoc>,
    pub arrivals: Option<ArrivalsDoc>,
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: Option<i64>,
    #[schemars(range(min = 1, max = 100))]
    pub put_attempts: Option<i64>,
    pub attempt_timeout: Option<DurationText>,
    pub users: Option<super::users::UsersDoc>,
    /// It is meant to go beyond what the pipeline carries: the plan's own criteria leave it out. Default false.
    pub beyond_capacity: Option<bool>,
    /// Stages as in k6: each moves linearly from the previous target (0 at first) to its own. Required unless
    /// there is `rates`.
    #[schemars(length(min = 1))]
    pub stages: Option<Vec<StageDoc>>,
    /// A series of rates to replay, instead of `stages`.
    pub rates: Option<RatesDoc>,
    /// Beside `rates`: what is changed in the pipeline meanwhile, each `at` from the start of the series.
    pub actions: Option<Vec<super::typed_action::ActionDoc>>,
    /// For example `put_latency.p95 < 100ms`.
    pub criteria: Option<Vec<String>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Stage")]
pub(super) struct StageDoc {
    #[schemars(required)]
    pub duration: Option<DurationText>,
    /// Records a second at the stage's end; with `users`, how many there are then.
    #[schemars(required)]
    pub target: Option<Rate>,
    /// Records a second at the stage's beginning. Default: the previous stage's target, 0 for the first.
    pub from: Option<Rate>,
    /// Records of the stage, evenly spread, that the function fails on however often they come. Default 0.
    #[schemars(range(min = 0))]
    pub poison: Option<i64>,
    /// What is changed in the pipeline while the stage runs, and reverted.
    pub actions: Option<Vec<super::typed_action::ActionDoc>>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "FlagAction")]
pub(super) enum FlagActionDoc {
    Note,
    Stop,
}

/// Red flags; each is only noted unless it says `stop`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Flags")]
pub(super) struct FlagsDoc {
    pub iterator_age_growing: Option<FlagActionDoc>,
    pub lambda_throttles: Option<FlagActionDoc>,
    pub write_throughput_exceeded: Option<FlagActionDoc>,
    pub read_throughput_exceeded: Option<FlagActionDoc>,
    pub error_rate: Option<FlagActionDoc>,
    pub lambda_duration: Option<FlagActionDoc>,
    pub dlq_filling: Option<FlagActionDoc>,
    pub memory: Option<FlagActionDoc>,
}

/// Defines a leaf that is read from text alone.
macro_rules! text_leaf {
    ($name:ident, $expected:expr, $schema_name:literal, $schema:expr) => {
        #[derive(Clone)]
        pub(super) struct $name(pub String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        Ok($name(text.to_owned()))
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $schema_name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

text_leaf!(
    DurationText,
    units::DURATION_EXPECTED,
    "Duration",
    schema!({ "type": "string", "minLength": 2, "pattern": units::DURATION_PATTERN,
        "description": "Such as 500ms, 30s, 5m, 24h or 2m30s." })
);

/// A plain number.
#[derive(Clone, Copy)]
pub(super) struct Rate(pub f64);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Rate;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("records a second as a plain number, such as 50")
            }
            fn visit_i64<E: de::Error>(self, whole: i64) -> Result<Rate, E> {
                Ok(Rate(whole as f64))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Rate, E> {
                Ok(Rate(number))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema!({ "type": "number", "minimum": 0, "maximum": super::resolve::RATE_MAX,
            "description": "Records a second." })
    }
}

/// `5`, `"5.00"` or `{max_usd: 5}`; as text, so that no digit is lost.
pub(super) struct BudgetDoc(pub String);

const BUDGET_EXPECTED: &str = "an amount in USD such as 5 or 2.50, or {max_usd: 5}";

struct Amount;

impl<'de> Visitor<'de> for Amount {
    type Value = BudgetDoc;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BUDGET_EXPECTED)
    }
    fn visit_i64<E: de::Error>(self, whole: i64) -> Result<BudgetDoc, E> {
        Ok(BudgetDoc(whole.to_string()))
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<BudgetDoc, E> {
        Ok(BudgetDoc(number.to_string()))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<BudgetDoc, E> {
        Ok(BudgetDoc(text.to_owned()))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BudgetDoc, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Budget {
            max_usd: Option<BudgetDoc>,
        }
        let Budget { max_usd } = Budget::deserialize(de::value::MapAccessDeserializer::new(map))?;
        max_usd.ok_or_else(|| de::Error::custom(BUDGET_EXPECTED))
    }
}

impl<'de> Deserialize<'de> for BudgetDoc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BudgetDoc, D::Error> {
        deserializer.deserialize_any(Amount)
    }
}

impl JsonSchema for BudgetDoc {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Budget".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let amount = serde_json::json!({ "anyOf": [
            { "type": "number", "exclusiveMinimum": 0 },
            { "type": "string", "pattern": "^[0-9]+([.][0-9]+)?$" },
        ]});
        schema!({ "description": "USD.", "anyOf": [ amount.clone(),
            { "type": "object", "properties": { "max_usd": amount }, "required": ["max_usd"],
              "additionalProperties": false },
        ]})
    }
}
