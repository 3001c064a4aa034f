//! Virtual users: a test whose stages say how many users there are, each of whom sends a record, waits for its
//! answer, and thinks. A closed loop: how many records that makes a second depends on the answers.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema as schema};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::model::{Criterion, Metric, Stage, Test};
use super::resolve::{Place, Resolver};
use super::typed::DurationText;
use super::units;

/// Shorter, and a target that answers at once would be sent records without end.
const THINK_MIN: Duration = Duration::from_millis(1);
const THINK_MAX: Duration = Duration::from_secs(3_600);
const THINK_EXPECTED: &str = "a duration such as 500ms, or {min: 200ms, max: 2s}";

/// The users of a test. Its stages' rates are then the most that they can send: users / mean think time.
#[derive(Clone, Debug, PartialEq)]
pub struct Users {
    /// Between the answer to a record and the next one: uniform in between, by the seed.
    pub think_min: Duration,
    pub think_max: Duration,
    pub seed: u64,
    /// How many there are at the start and at the end of each stage, in the stages' order.
    pub counts: Vec<(u32, u32)>,
}

impl Users {
    /// The most users at any time.
    pub fn peak(&self) -> u32 {
        self.counts.iter().map(|(from, to)| *from.max(to)).max().unwrap_or(0)
    }

    pub fn mean_think(&self) -> Duration {
        (self.think_min + self.think_max) / 2
    }

    /// The most records that can be sent in a stage: every user begins at once and is always answered at once.
    pub fn records_max(&self, stage: usize, duration: Duration) -> u64 {
        let (from, to) = self.counts.get(stage).copied().unwrap_or_default();
        let each = duration.as_micros() / self.think_min.as_micros().max(1) + 1;
        u64::try_from(u128::from(from.max(to)) * each).unwrap_or(u64::MAX)
    }
}

impl Test {
    /// `1250 records`, or `10 virtual users`, for whom `records` is the most that they can send.
    pub fn load_text(&self, records: u64) -> String {
        match &self.users {
            None => format!("{records} records"),
            Some(users) => format!(
                "up to {} virtual users; how many records depends on latency, at most {records}",
                users.peak()
            ),
        }
    }
}

/// Virtual users: the stages' targets are then numbers of users, not rates.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Users")]
pub(super) struct UsersDoc {
    /// From the answer to a record to the user's next one.
    #[schemars(required)]
    pub think_time: Option<ThinkTimeDoc>,
    /// Of think times between min and max. Default 1.
    #[schemars(range(min = 0))]
    pub seed: Option<i64>,
}

/// A duration, or `{min: ..., max: ...}`.
pub(super) enum ThinkTimeDoc {
    Always(DurationText),
    Between { min: Option<DurationText>, max: Option<DurationText> },
}

impl<'de> Deserialize<'de> for ThinkTimeDoc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ThinkTimeDoc, D::Error> {
        struct Think;
        impl<'de> Visitor<'de> for Think {
            type Value = ThinkTimeDoc;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(THINK_EXPECTED)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ThinkTimeDoc, E> {
                Ok(ThinkTimeDoc::Always(DurationText(text.to_owned())))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ThinkTimeDoc, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Between {
                    min: Option<DurationText>,
                    max: Option<DurationText>,
                }
                let Between { min, max } = Between::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(ThinkTimeDoc::Between { min, max })
            }
        }
        deserializer.deserialize_any(Think)
    }
}

impl JsonSchema for ThinkTimeDoc {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ThinkTime".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let duration = generator.subschema_for::<DurationText>();
        schema!({ "description": "Always the same, or uniform between min and max.", "anyOf": [
            duration,
            { "type": "object", "properties": { "min": duration, "max": duration },
              "required": ["min", "max"], "additionalProperties": false },
        ]})
    }
}

impl Resolver<'_> {
    /// `users:` of a test whose stages were read as if their targets were rates: they become the most that the
    /// users can send.
    pub fn users(
        &mut self,
        document: UsersDoc,
        stages: &mut [Stage],
        criteria: &[Criterion],
        max_in_flight: u32,
        test_at: &Place<'_>,
    ) -> Users {
        let at = test_at.key("users");
        let (think_min, think_max) = self.think_time(document.think_time, &at.key("think_time"));
        let seed = self.whole(document.seed, &at.key("seed"), 0..=i64::MAX as u64, 1);
        let mut users = Users { think_min, think_max, seed, counts: Vec::new() };
        let think_s = users.mean_think().as_secs_f64();
        for (index, stage) in stages.iter_mut().enumerate() {
            let stage_at = test_at.key("stages").index(index);
            self.user_stage(stage, max_in_flight, &stage_at);
            users.counts.push((stage.from_rps as u32, stage.target_rps as u32));
            stage.from_rps /= think_s;
            stage.target_rps /= think_s;
        }
        for (index, criterion) in criteria.iter().enumerate() {
            if matches!(
                criterion.metric,
                Metric::ThroughputRatio | Metric::DriftThroughput | Metric::GeneratorLag
            ) {
                let expected = "no criterion on it: with users a record is due when it is sent, and there is \
                                no target rate";
                let at = test_at.key("criteria").index(index);
                self.wrong(&at, format!("`{}`", criterion.metric.name()), expected);
            }
        }
        users
    }

    fn user_stage(&mut self, stage: &Stage, max_in_flight: u32, at: &Place<'_>) {
        let count = stage.target_rps;
        if count.fract() != 0.0 || count > f64::from(max_in_flight) {
            let expected = format!("a whole number of users from 0 to {max_in_flight} (max_in_flight)");
            self.unexpected(&at.key("target"), expected);
        }
        if stage.poison > 0 {
            let expected = "no poison with users: which records there will be depends on the answers";
            self.unexpected(&at.key("poison"), expected);
        }
    }

    fn think_time(&mut self, document: Option<ThinkTimeDoc>, at: &Place<'_>) -> (Duration, Duration) {
        let range = THINK_MIN..=THINK_MAX;
        let (min, max) = match document {
            None => {
                self.missing(at, THINK_EXPECTED);
                return (THINK_MIN, THINK_MIN);
            }
            Some(ThinkTimeDoc::Always(text)) => {
                let always = self.duration(Some(&text), at, range, THINK_MIN);
                return (always, always);
            }
            Some(ThinkTimeDoc::Between { min, max }) => (min, max),
        };
        for (key, bound) in [("min", &min), ("max", &max)] {
            if bound.is_none() {
                self.missing(&at.key(key), units::DURATION_EXPECTED);
            }
        }
        let max = self.duration(max.as_ref(), &at.key("max"), range.clone(), THINK_MAX);
        let min = self.duration(min.as_ref(), &at.key("min"), range, THINK_MIN);
        if min > max {
            let expected = format!("at most max, {}", units::show_duration(max));
            self.unexpected(&at.key("min"), expected);
        }
        (min.min(max), max)
    }
}
