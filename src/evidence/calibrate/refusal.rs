//! What a rehearsal cannot be calibrated on, with the reason and what to do.

use crate::evidence::gaps::Source;
use crate::evidence::model::{Evidence, RunEnd};
use crate::plan::{PutMode, Test};

/// Of a 99th percentile at least five values must lie beyond it, as in a comparison: it is that of a handful otherwise.
pub(super) const PUTS_MIN: u64 = 500;
/// Fewer say nothing of how an invocation varies. From 500 on their p99 is as well known as that of the puts.
pub(super) const INVOCATIONS_MIN: u64 = 50;
/// Shorter, and the load has seen no more than a moment of the network and the function.
const LOAD_MIN_S: f64 = 20.0;
/// A put of so many times the bytes, or so few, takes another time.
const PAYLOAD_FACTOR_MAX: f64 = 10.0;
/// Nothing that is taken from the run can be had without them.
const NEEDED: [Source; 5] =
    [Source::Events, Source::Sends, Source::Receipts, Source::Intervals, Source::Environment];

/// Why not, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: String,
    pub hint: String,
}

pub(super) fn refuse<T>(reason: impl Into<String>, hint: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { reason: reason.into(), hint: hint.into() })
}

const WHOLE: &str = "calibrate on a run that came to its end and whose files are whole";

/// What can be told before anything is measured: the run is a real one, whole, without planted faults.
pub(super) fn check_run(evidence: &Evidence) -> Result<(), Refusal> {
    let run = &evidence.run;
    if run.rehearsal {
        return refuse(
            "it is a rehearsal: its figures were assumed, not measured",
            "calibrate on a run of `streamgauge test` or `run`",
        );
    }
    match &run.end {
        RunEnd::Completed => {}
        RunEnd::Killed => return refuse("it was killed", WHOLE),
        RunEnd::Stopped(why) => return refuse(format!("it did not come to its end: {why}"), WHOLE),
    }
    if let Some(reason) = NEEDED.iter().find_map(|source| evidence.gaps.reason(*source)) {
        return refuse(format!("its files are not whole: {reason}"), WHOLE);
    }
    if !run.faults.is_empty() {
        let faults = run.faults.join(", ");
        return refuse(
            format!("faults were planted in it ({faults}), and would be taken for the pipeline's own"),
            "calibrate on a run without --fault, and plant them in the rehearsal",
        );
    }
    if !evidence.delivery.measured || evidence.receipts == 0 {
        return refuse(
            "it has no receipts: how long its function took is not known",
            "calibrate on a run whose function sends receipts (docs/receipts.md)",
        );
    }
    Ok(())
}

/// The run loaded its pipeline in the way that `tests`, those to rehearse, do.
pub(super) fn check_shape(evidence: &Evidence, tests: &[&Test]) -> Result<(), Refusal> {
    let measured: Vec<&Test> =
        evidence.tests.iter().filter_map(|test| evidence.plan.tests().nth(test.plan_index)).collect();
    let word = |put: PutMode| match put {
        PutMode::Record => "put: record",
        PutMode::Batch => "put: batch",
    };
    for test in tests {
        if !measured.iter().any(|known| known.put == test.put) {
            return refuse(
                format!(
                    "it has no test with {}, as test {} of the plan: a PutRecord and a PutRecords take different times",
                    word(test.put),
                    test.id
                ),
                format!("make a short run with {}, and calibrate on that", word(test.put)),
            );
        }
        let bytes = test.payload.bytes as f64;
        let alike = |known: &&Test| {
            let of = known.payload.bytes.max(1) as f64;
            known.put == test.put && (of / PAYLOAD_FACTOR_MAX..=of * PAYLOAD_FACTOR_MAX).contains(&bytes)
        };
        if !measured.iter().any(alike) {
            let sizes: Vec<String> = measured.iter().map(|known| known.payload.size_text()).collect();
            return refuse(
                format!(
                    "its records had {}, those of test {} have {}: more than {PAYLOAD_FACTOR_MAX} times apart",
                    sizes.join("; "),
                    test.id,
                    test.payload.size_text()
                ),
                "make a short run with records of about that size, and calibrate on that",
            );
        }
    }
    Ok(())
}

/// What was measured is enough. `void`: why the first of the levels that say nothing is void.
pub(super) fn check_enough(
    load_s: f64,
    puts: u64,
    invocations: u64,
    void: Option<&str>,
) -> Result<(), Refusal> {
    if load_s == 0.0 {
        let why = void.unwrap_or("none of them was finished");
        return refuse(
            format!("none of its levels says anything of the pipeline: {why}"),
            "calibrate on a run whose generator was not the limit",
        );
    }
    let longer = "make a longer run, or one at a higher rate, and calibrate on that";
    if load_s < LOAD_MIN_S {
        return refuse(
            format!("it has {load_s:.0} s of load that counts; at least {LOAD_MIN_S} s are needed"),
            longer,
        );
    }
    if puts < PUTS_MIN {
        return refuse(
            format!("it has {puts} answered records; to know a p99, {PUTS_MIN} are needed"),
            longer,
        );
    }
    if invocations < INVOCATIONS_MIN {
        return refuse(
            format!("it has {invocations} invocations of a warm function; {INVOCATIONS_MIN} are needed"),
            longer,
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_little_says_how_much_is_needed() {
        let reason = |load_s, puts, invocations, void| {
            check_enough(load_s, puts, invocations, void).expect_err("refused").reason
        };
        assert!(check_enough(20.0, 500, 50, None).is_ok());
        // A void level beside others that say something is no obstacle.
        assert!(check_enough(20.0, 500, 50, Some("lag")).is_ok());
        assert_eq!(reason(0.0, 0, 50, Some("lag")), "none of its levels says anything of the pipeline: lag");
        assert_eq!(reason(19.0, 500, 50, None), "it has 19 s of load that counts; at least 20 s are needed");
        assert_eq!(reason(20.0, 499, 50, None), "it has 499 answered records; to know a p99, 500 are needed");
        assert!(reason(20.0, 500, 49, None).starts_with("it has 49 invocations of a warm function; 50"));
    }
}
