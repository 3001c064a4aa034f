//! What a rehearsal assumes of the function and the network, in place of a measurement.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema as schema};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::resolve::{Place, Resolver};
use crate::platform::limits;
use crate::platform::spread::Spread;

const SEED_DEFAULT: u64 = 1;
const SPREAD_EXPECTED: &str = "a duration such as 8ms, 1.5s or 100us, or {median: 8ms, p99: 40ms}";
const FINE_PATTERN: &str = r"^[0-9]+(\.[0-9]+)?(us|ms|s)$";
/// An answer that takes longer is no answer: the longest `attempt_timeout`.
const PUT_LATENCY_MAX: Duration = Duration::from_secs(60);
/// Lambda developer guide, "Lambda execution environment": INIT has 10 s.
const COLD_START_MAX: Duration = Duration::from_secs(10);
/// Lambda quotas: a function's timeout is 900 s at most.
const WORK_MAX: Duration = Duration::from_secs(900);
/// Of a function whose plan does not say.
const MEMORY_DEFAULT_MB: u32 = 512;

/// The section `rehearsal:`. The defaults are assumptions for a small function without a sink and a generator in the
/// stream's region; nobody measured them on AWS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rehearsal {
    /// Of everything that is drawn.
    pub seed: u64,
    /// From sending a put until its answer.
    pub put_latency: Spread,
    /// INIT.
    pub cold_start: Spread,
    /// Of an invocation, whatever its batch.
    pub per_batch: Spread,
    /// Of each record of a batch, one after the other.
    pub per_record: Spread,
    /// Share of invocations that fail as a whole, 0 to 1.
    pub failure_rate: f64,
    pub memory_used_mb: u32,
    /// Share of the function's durations that is work of the CPU, 0 to 1: it depends on the memory.
    pub cpu_share: f64,
    /// The function's memory that its durations are of.
    pub at_memory_mb: u32,
}

impl Default for Rehearsal {
    fn default() -> Rehearsal {
        let us =
            |median, p99| Spread { median: Duration::from_micros(median), p99: Duration::from_micros(p99) };
        Rehearsal {
            seed: SEED_DEFAULT,
            put_latency: us(10_000, 40_000),
            cold_start: us(150_000, 400_000),
            per_batch: us(10_000, 40_000),
            per_record: us(100, 300),
            failure_rate: 0.0,
            memory_used_mb: 64,
            cpu_share: 1.0,
            at_memory_mb: MEMORY_DEFAULT_MB,
        }
    }
}

impl Rehearsal {
    /// The same function with other memory: the CPU's share of its durations goes with the CPU that it has, in proportion
    /// to memory until it has one whole vCPU, since it works on one batch with one thread.
    pub fn with_memory(&self, memory_mb: u32) -> Rehearsal {
        let factor = self.time_factor(memory_mb);
        let scaled = |spread: Spread| Spread {
            median: spread.median.mul_f64(factor),
            p99: spread.p99.mul_f64(factor),
        };
        Rehearsal {
            cold_start: scaled(self.cold_start),
            per_batch: scaled(self.per_batch),
            per_record: scaled(self.per_record),
            at_memory_mb: memory_mb,
            ..*self
        }
    }

    /// How many times as long the function takes with this memory.
    fn time_factor(&self, memory_mb: u32) -> f64 {
        let cpu = |memory_mb: u32| f64::from(memory_mb.min(limits::FUNCTION_ONE_VCPU_MB));
        1.0 - self.cpu_share + self.cpu_share * cpu(self.at_memory_mb) / cpu(memory_mb.max(1))
    }
}

/// What `rehearse` assumes of the function and the network.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rehearsal")]
pub(super) struct RehearsalDoc {
    /// Two rehearsals with the same seed give the same report. Default 1.
    #[schemars(range(min = 0))]
    pub seed: Option<i64>,
    /// From sending a put until its answer. Default {median: 10ms, p99: 40ms}.
    pub put_latency: Option<SpreadDoc>,
    pub function: Option<ModelledFunctionDoc>,
}

/// How the function behaves.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ModelledFunction")]
pub(super) struct ModelledFunctionDoc {
    /// INIT of a cold start, at most 10s. Default {median: 150ms, p99: 400ms}.
    pub cold_start: Option<SpreadDoc>,
    /// Of an invocation, whatever its batch. Default {median: 10ms, p99: 40ms}.
    pub per_batch: Option<SpreadDoc>,
    /// Of each record of a batch, one after the other. Default {median: 100us, p99: 300us}.
    pub per_record: Option<SpreadDoc>,
    /// Invocations that fail as a whole, percent. Default 0.
    #[schemars(range(min = 0, max = 100))]
    pub failure_percent: Option<f64>,
    /// With more than the function has, every invocation is killed. Default 64.
    #[schemars(range(min = 1, max = 10_240))]
    pub memory_used_mb: Option<i64>,
    /// Part of the durations above that is work of the CPU, percent: it takes longer with less memory. Default 100.
    #[schemars(range(min = 0, max = 100))]
    pub cpu_percent: Option<f64>,
    /// The function's memory that the durations above are of. Default: what it has.
    #[schemars(range(min = 128, max = 10_240))]
    pub at_memory_mb: Option<i64>,
}

/// A duration, or `{median: ..., p99: ...}`.
pub(super) enum SpreadDoc {
    Always(String),
    Varies { median: Option<String>, p99: Option<String> },
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
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Varies {
                    median: Option<String>,
                    p99: Option<String>,
                }
                let Varies { median, p99 } = Varies::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(SpreadDoc::Varies { median, p99 })
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
        schema!({ "description": "Always the same, or log-normal with this median and 99th percentile.", "anyOf": [
            fine,
            { "type": "object", "properties": { "median": fine, "p99": fine },
              "required": ["median", "p99"], "additionalProperties": false },
        ]})
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

fn shown(duration: Duration) -> String {
    match duration.as_micros() {
        us if us.is_multiple_of(1_000_000) => format!("{}s", us / 1_000_000),
        us if us.is_multiple_of(1_000) => format!("{}ms", us / 1_000),
        us => format!("{us}us"),
    }
}

impl Resolver<'_> {
    /// `memory_mb`: what the function has.
    pub(super) fn rehearsal(
        &mut self,
        document: Option<RehearsalDoc>,
        memory_mb: u32,
        root: &Place<'_>,
    ) -> Rehearsal {
        let defaults = Rehearsal::default();
        let Some(RehearsalDoc { seed, put_latency, function }) = document else {
            return Rehearsal { at_memory_mb: memory_mb, ..defaults };
        };
        let (at, function) = (root.key("rehearsal"), function.unwrap_or_default());
        let in_function = at.key("function");
        let failure_percent =
            self.percent(function.failure_percent, &in_function.key("failure_percent"), 0.0);
        let cpu_percent = self.percent(function.cpu_percent, &in_function.key("cpu_percent"), 100.0);
        Rehearsal {
            seed: self.whole(seed, &at.key("seed"), 0..=i64::MAX as u64, defaults.seed),
            put_latency: self.spread(
                put_latency,
                &at.key("put_latency"),
                PUT_LATENCY_MAX,
                defaults.put_latency,
            ),
            cold_start: self.spread(
                function.cold_start,
                &in_function.key("cold_start"),
                COLD_START_MAX,
                defaults.cold_start,
            ),
            per_batch: self.spread(
                function.per_batch,
                &in_function.key("per_batch"),
                WORK_MAX,
                defaults.per_batch,
            ),
            per_record: self.spread(
                function.per_record,
                &in_function.key("per_record"),
                WORK_MAX,
                defaults.per_record,
            ),
            failure_rate: failure_percent / 100.0,
            memory_used_mb: self.whole(
                function.memory_used_mb,
                &in_function.key("memory_used_mb"),
                1..=*limits::FUNCTION_MEMORY_MB.end(),
                defaults.memory_used_mb,
            ),
            cpu_share: cpu_percent / 100.0,
            at_memory_mb: self.whole(
                function.at_memory_mb,
                &in_function.key("at_memory_mb"),
                limits::FUNCTION_MEMORY_MB,
                memory_mb,
            ),
        }
    }

    fn spread(
        &mut self,
        document: Option<SpreadDoc>,
        at: &Place<'_>,
        max: Duration,
        default: Spread,
    ) -> Spread {
        match document {
            None => default,
            Some(SpreadDoc::Always(text)) => {
                Spread::fixed(self.fine(Some(&text), at, max).unwrap_or(default.median))
            }
            Some(SpreadDoc::Varies { median, p99 }) => {
                let median = self.fine(median.as_deref(), &at.key("median"), max);
                let p99 = self.fine(p99.as_deref(), &at.key("p99"), max);
                let Some((median, p99)) = median.zip(p99) else { return default };
                if p99 < median || median.is_zero() && !p99.is_zero() {
                    let expected = "a median above 0 and a p99 that is not below it";
                    self.wrong(at, format!("median {}, p99 {}", shown(median), shown(p99)), expected);
                }
                Spread { median, p99 }
            }
        }
    }

    fn fine(&mut self, text: Option<&str>, at: &Place<'_>, max: Duration) -> Option<Duration> {
        const EXPECTED: &str = "a duration such as 8ms, 1.5s or 100us";
        let Some(text) = text else {
            self.missing(at, EXPECTED);
            return None;
        };
        match fine_duration(text) {
            Some(duration) if duration <= max => return Some(duration),
            Some(_) => self.unexpected(at, format!("at most {}", shown(max))),
            None => self.unexpected(at, EXPECTED),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{NoFiles, Plan, parse_with};

    const HEAD: &str = "schema: streamgauge/plan/v1
name: p
environment: {function: {memory_mb: 256}}
phases: [{name: One, tests: [{id: a, name: A, stages: [{duration: 1s, target: 5}]}]}]
";

    fn read(section: &str) -> Result<Plan, String> {
        parse_with(&format!("{HEAD}rehearsal: {section}\n"), &NoFiles).map_err(|errors| errors.to_string())
    }

    fn ms(median: f64, p99: f64) -> Spread {
        Spread { median: Duration::from_secs_f64(median / 1e3), p99: Duration::from_secs_f64(p99 / 1e3) }
    }

    #[test]
    fn what_is_given_is_read_and_the_rest_assumed() {
        let text = "{seed: 7, put_latency: {median: 8ms, p99: 1.5s}, function: {per_record: 250us, failure_percent: 0.5}}";
        let read = read(text).expect("a plan").rehearsal;
        let expected = Rehearsal {
            seed: 7,
            put_latency: ms(8.0, 1_500.0),
            per_record: ms(0.25, 0.25),
            failure_rate: 0.005,
            at_memory_mb: 256,
            ..Rehearsal::default()
        };
        assert_eq!(read, expected);
        let assumed = Rehearsal { at_memory_mb: 256, ..Rehearsal::default() };
        assert_eq!(parse_with(HEAD, &NoFiles).expect("a plan").rehearsal, assumed);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (section, error) in [
            ("{put_latency: -5ms}", "rehearsal.put_latency: found"),
            ("{put_latency: 2m}", "expected a duration such as 8ms"),
            ("{put_latency: 61s}", "expected at most 60s"),
            ("{put_latency: {median: 8ms}}", "rehearsal.put_latency.p99"),
            ("{put_latency: {median: 8ms, p99: 7ms}}", "median 8ms, p99 7ms"),
            ("{put_latency: {median: 0ms, p99: 7ms}}", "a median above 0"),
            ("{function: {cold_start: 11s}}", "rehearsal.function.cold_start: found"),
            ("{function: {per_batch: 901s}}", "at most 900s"),
            ("{function: {failure_percent: 101}}", "0 to 100 percent"),
            ("{function: {memory_used_mb: 10241}}", "1 to 10240"),
            ("{function: {cpu_percent: -1}}", "0 to 100 percent"),
            ("{function: {at_memory_mb: 64}}", "128 to 10240"),
            ("{speed: 2}", "unknown key"),
        ] {
            let errors = read(section).expect_err(section);
            assert!(errors.contains(error), "{section}: {errors}");
        }
    }

    #[test]
    fn the_cpu_of_a_function_goes_with_its_memory_up_to_one_vcpu() {
        let model = Rehearsal {
            per_batch: ms(100.0, 200.0),
            cpu_share: 0.5,
            at_memory_mb: 512,
            ..Rehearsal::default()
        };
        // Half of it waits for something else: that half stays.
        assert_eq!(model.with_memory(256).per_batch, ms(150.0, 300.0));
        assert_eq!(model.with_memory(1_024).per_batch, ms(75.0, 150.0));
        assert_eq!(model.with_memory(512), model);
        let one_vcpu = model.with_memory(limits::FUNCTION_ONE_VCPU_MB);
        assert_eq!(model.with_memory(10_240).per_batch, one_vcpu.per_batch);
        let waits = Rehearsal { cpu_share: 0.0, ..model };
        assert_eq!(waits.with_memory(128).cold_start, model.cold_start);
    }
}
