//! What an outage of the consumer shows: how old records became, how fast the backlog went, what other parallelizations
//! would have made of it, and how long an outage the stream's retention allows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::model::Evidence;
use crate::evidence::recovery::Recovery;
use crate::verdict::recovery::{doublings, sooner};

use super::text::{count, number, rate, rounded};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoveryReport {
    /// Seconds from the outage's start until its revert was asked for.
    pub off_s: f64,
    /// How long the record had waited in the stream that waited longest, seconds, of all batches from the outage's start on.
    pub oldest_record_s: f64,
    /// What was left of the retention then, seconds; negative where records expired.
    pub retention_margin_s: f64,
    /// Seconds from asking for the revert until the first batch.
    pub resumed_s: f64,
    /// Records/s, from the first batch until all was caught up. This and all that rests on it is null where it was not
    /// caught up, or within 3 s.
    pub processed_rps: Option<f64>,
    /// Records/s acked meanwhile.
    pub arrived_rps: Option<f64>,
    /// Part of the time that the lanes (one batch of a shard at a time) were at work.
    pub lanes_busy_percent: Option<f64>,
    /// Computed: for how long the consumer may be off before records begin to expire, seconds, with arrivals such as the
    /// test's.
    pub longest_outage_s: Option<f64>,
    /// Computed: what other parallelizations would have made of it; none where the lanes were not what it waited for.
    pub sooner: Vec<SoonerReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SoonerReport {
    pub parallelization: u32,
    /// As `catch_up_s`.
    pub catch_up_s: f64,
}

pub fn report(recovery: &Recovery, evidence: &Evidence, payload_bytes: usize) -> RecoveryReport {
    let retention_s = f64::from(evidence.environment.retention_hours) * 3_600.0;
    let shown = |value: f64| rounded(value).unwrap_or(0.0);
    let drained = recovery.drained.as_ref();
    let environment = &evidence.environment;
    let sooner = sooner(recovery, environment, payload_bytes, &doublings(environment));
    let sooner = sooner
        .iter()
        .map(|one| SoonerReport { parallelization: one.parallelization, catch_up_s: shown(one.catch_up_s) });
    RecoveryReport {
        off_s: shown(recovery.off_s),
        oldest_record_s: shown(recovery.oldest_ms / 1e3),
        retention_margin_s: shown(recovery.margin_s(retention_s)),
        resumed_s: shown(recovery.resumed_s),
        processed_rps: drained.and_then(|drained| rounded(drained.processed_rps)),
        arrived_rps: drained.and_then(|drained| rounded(drained.arrived_rps)),
        lanes_busy_percent: drained.and_then(|drained| rounded(drained.lanes_busy * 100.0)),
        longest_outage_s: recovery.longest_off_s(retention_s).and_then(rounded),
        sooner: sooner.collect(),
    }
}

/// Sentences for those who read.
pub fn sentences(recovery: &RecoveryReport) -> String {
    let mut told = format!(
        "The oldest record waited {}: {}.",
        lasting(recovery.oldest_record_s),
        match recovery.retention_margin_s {
            left if left > 0.0 => format!("{} were left until it would have expired", lasting(left)),
            _ => "records expired before the function was handed them".to_owned(),
        }
    );
    let rates = recovery.processed_rps.zip(recovery.arrived_rps).zip(recovery.lanes_busy_percent);
    if let Some(((processed, arrived), busy)) = rates {
        told += &format!(
            " The function took {} records/s of the backlog while {} arrived, its lanes busy {} % of the time.",
            rate_shown(processed),
            rate_shown(arrived),
            count(busy.round() as u64)
        );
    }
    let others: Vec<String> = recovery.sooner.iter().map(sooner_text).collect();
    if !others.is_empty() {
        told += &format!(" Computed from that: caught up in {}.", others.join(", "));
    }
    if let Some(longest) = recovery.longest_outage_s {
        told += &format!(
            " With arrivals such as these the consumer may be off for {} before records begin to expire.",
            // A limit is not rounded up.
            lasting((longest / 60.0).floor() * 60.0)
        );
    }
    told
}

fn sooner_text(one: &SoonerReport) -> String {
    format!("{} with parallelization {}", lasting(one.catch_up_s), one.parallelization)
}

fn rate_shown(rps: f64) -> String {
    rate((rps * 10.0).round() / 10.0)
}

/// `41.2 s`, `1 h 37 min`.
fn lasting(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        _ if seconds < 120.0 => format!("{} s", number(seconds)),
        0..60 => format!("{minutes} min"),
        _ if minutes.is_multiple_of(60) => format!("{} h", minutes / 60),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        let said = [0.0, 41.24, 119.0, 150.0, 3_599.0, 7_200.0, 5_834.0, 86_395.0].map(lasting);
        assert_eq!(said, ["0 s", "41.2 s", "119 s", "3 min", "1 h", "2 h", "1 h 37 min", "24 h"]);
    }

    #[test]
    fn what_was_measured_is_told_and_what_was_not_is_left_out() {
        let short = RecoveryReport {
            off_s: 20.0,
            oldest_record_s: 21.0,
            retention_margin_s: 86_379.0,
            resumed_s: 1.0,
            processed_rps: None,
            arrived_rps: None,
            lanes_busy_percent: None,
            longest_outage_s: None,
            sooner: Vec::new(),
        };
        let told = "The oldest record waited 21 s: 24 h were left until it would have expired.";
        assert_eq!(sentences(&short), told);
        let long = RecoveryReport {
            processed_rps: Some(24.66),
            arrived_rps: Some(10.0),
            lanes_busy_percent: Some(99.6),
            longest_outage_s: Some(86_397.0),
            sooner: vec![SoonerReport { parallelization: 2, catch_up_s: 2_150.0 }],
            ..short
        };
        let rest = " The function took 24.7 records/s of the backlog while 10 arrived, its lanes busy 100 % of the time. \
                    Computed from that: caught up in 36 min with parallelization 2. With arrivals such as these the \
                    consumer may be off for 23 h 59 min before records begin to expire.";
        assert_eq!(sentences(&long), format!("{told}{rest}"));
        let late = RecoveryReport { retention_margin_s: -3.0, ..long };
        assert!(sentences(&late).contains("records expired"), "{}", sentences(&late));
    }
}
