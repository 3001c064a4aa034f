//! What a rehearsal assumes of the function and the network, in place of a measurement.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::resolve::{Place, Resolver};
use super::spread::{SpreadDoc, yaml};
use crate::platform::limits;
use crate::platform::spread::Spread;

const SEED_DEFAULT: u64 = 1;
/// An answer that takes longer is no answer: the longest `attempt_timeout`.
const PUT_LATENCY_MAX: Duration = Duration::from_secs(60);
/// Lambda developer guide, "Lambda execution environment": INIT has 10 s.
pub const COLD_START_MAX: Duration = Duration::from_secs(10);
/// Polls are a second apart: later than that is another rate.
const POLL_LATE_MAX: Duration = Duration::from_secs(1);
/// Lambda quotas: a function's timeout is 900 s at most.
const WORK_MAX: Duration = Duration::from_secs(900);
/// Twenty times what a shard allows: more tells nothing.
const OTHER_READS_PER_S_MAX: u32 = 100;
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
    /// GetRecords calls a second and shard by consumers beside the function.
    pub other_reads_per_s: u32,
    /// INIT.
    pub cold_start: Spread,
    /// Of an invocation, whatever its batch.
    pub per_batch: Spread,
    /// Of each record of a batch, one after the other.
    pub per_record: Spread,
    /// Of an invocation beside the function's own work: handing it the batch, sending the receipt, taking its answer.
    pub overhead: Spread,
    /// Share of invocations that fail as a whole, 0 to 1.
    pub failure_rate: f64,
    /// More than the function has: it is killed in each invocation.
    pub memory_used_mb: u32,
    /// How much later than it is due a poll of the stream begins.
    pub poll_late: Spread,
    /// Share of the function's durations that is work of the CPU, 0 to 1: it depends on the memory.
    pub cpu_share: f64,
    /// The function's memory that its durations are of.
    pub at_memory_mb: u32,
}

impl Default for Rehearsal {
    fn default() -> Rehearsal {
        let us = |median, p99| Spread::LogNormal {
            median: Duration::from_micros(median),
            p99: Duration::from_micros(p99),
        };
        Rehearsal {
            seed: SEED_DEFAULT,
            put_latency: us(10_000, 40_000),
            other_reads_per_s: 0,
            cold_start: us(150_000, 400_000),
            per_batch: us(10_000, 40_000),
            per_record: us(100, 300),
            overhead: Spread::NONE,
            failure_rate: 0.0,
            memory_used_mb: 64,
            poll_late: Spread::NONE,
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
        Rehearsal {
            cold_start: self.cold_start.scaled(factor),
            per_batch: self.per_batch.scaled(factor),
            per_record: self.per_record.scaled(factor),
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
    /// How much later than a second after the last one a poll of the stream begins, at most 1s. Default 0ms.
    pub poll_late: Option<SpreadDoc>,
    /// GetRecords calls a second and shard by other consumers of the stream. Default 0.
    #[schemars(range(min = 0, max = 100))]
    pub other_reads_per_s: Option<i64>,
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
    /// Of an invocation beside the function's own work: handing it the batch, sending the receipt, taking the answer.
    /// Default 0ms.
    pub overhead: Option<SpreadDoc>,
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

impl Rehearsal {
    /// The section as a plan holds it; read back, it is the same.
    pub fn to_yaml(&self) -> String {
        let rows = [
            ("cold_start", yaml(self.cold_start)),
            ("per_batch", yaml(self.per_batch)),
            ("per_record", yaml(self.per_record)),
            ("overhead", yaml(self.overhead)),
            ("failure_percent", (self.failure_rate * 100.0).to_string()),
            ("memory_used_mb", self.memory_used_mb.to_string()),
            ("cpu_percent", (self.cpu_share * 100.0).to_string()),
            ("at_memory_mb", self.at_memory_mb.to_string()),
        ];
        let function: String = rows.iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
        let (seed, other_reads_per_s) = (self.seed, self.other_reads_per_s);
        let (put_latency, poll_late) = (yaml(self.put_latency), yaml(self.poll_late));
        format!(
            "rehearsal:\n  seed: {seed}\n  put_latency: {put_latency}\n  poll_late: {poll_late}\n  \
             other_reads_per_s: {other_reads_per_s}\n  function:\n{function}"
        )
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
        let Some(RehearsalDoc { seed, put_latency, poll_late, other_reads_per_s, function }) = document
        else {
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
            poll_late: self.spread(poll_late, &at.key("poll_late"), POLL_LATE_MAX, defaults.poll_late),
            other_reads_per_s: self.whole(
                other_reads_per_s,
                &at.key("other_reads_per_s"),
                0..=OTHER_READS_PER_S_MAX,
                defaults.other_reads_per_s,
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
            overhead: self.spread(
                function.overhead,
                &in_function.key("overhead"),
                WORK_MAX,
                defaults.overhead,
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{NoFiles, Plan, parse_with};
    use crate::platform::spread::Quantiles;

    const HEAD: &str = "schema: streamgauge/plan/v1
name: p
environment: {function: {memory_mb: 256}}
phases: [{name: One, tests: [{id: a, name: A, stages: [{duration: 1s, target: 5}]}]}]
";

    fn read(section: &str) -> Result<Plan, String> {
        parse_with(&format!("{HEAD}rehearsal: {section}\n"), &NoFiles).map_err(|errors| errors.to_string())
    }

    fn ms(median: f64, p99: f64) -> Spread {
        Spread::LogNormal {
            median: Duration::from_secs_f64(median / 1e3),
            p99: Duration::from_secs_f64(p99 / 1e3),
        }
    }

    #[test]
    fn what_is_given_is_read_and_the_rest_assumed() {
        let text = "{seed: 7, put_latency: {median: 8ms, p99: 1.5s}, function: {per_record: 250us, failure_percent: 0.5}, other_reads_per_s: 20}";
        let read = read(text).expect("a plan").rehearsal;
        let expected = Rehearsal {
            seed: 7,
            put_latency: ms(8.0, 1_500.0),
            other_reads_per_s: 20,
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
    fn the_section_is_read_back_as_it_was_written() {
        let measured = std::array::from_fn(|index| Duration::from_micros(999 + 1_001 * index as u64));
        let measured = Spread::Measured(Quantiles::new(measured).expect("rising"));
        let model = Rehearsal {
            seed: 7,
            put_latency: measured,
            overhead: Spread::fixed(Duration::from_micros(1_234)),
            poll_late: Spread::fixed(Duration::from_micros(1_300)),
            failure_rate: 0.001,
            ..Rehearsal::default()
        };
        for model in [model, Rehearsal::default()] {
            let plan = parse_with(&format!("{HEAD}{}", model.to_yaml()), &NoFiles).expect("a plan");
            assert_eq!(plan.rehearsal, model);
        }
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
            ("{put_latency: {min: 1ms, max: 2ms}}", "rehearsal.put_latency.p10"),
            (
                "{put_latency: {min: 9ms, p10: 2ms, p25: 2ms, p50: 2ms, p75: 2ms, p90: 2ms, p95: 2ms, p99: 2ms, p999: 2ms, max: 9ms}}",
                "quantiles that rise from min to max",
            ),
            ("{put_latency: {median: 1ms, p50: 1ms}}", "a median beside quantiles"),
            ("{function: {overhead: -1ms}}", "rehearsal.function.overhead: found"),
            ("{function: {cold_start: 11s}}", "rehearsal.function.cold_start: found"),
            ("{function: {per_batch: 901s}}", "at most 900s"),
            ("{function: {failure_percent: 101}}", "0 to 100 percent"),
            ("{other_reads_per_s: -1}", "rehearsal.other_reads_per_s: found"),
            ("{other_reads_per_s: 101}", "0 to 100"),
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
