//! A backlog that takes longer to go than it took to come: the consumer, back after an outage, has little to spare beyond
//! what arrives.

use crate::cost::PriceBook;
use crate::evidence::actions::ActionEvidence;
use crate::evidence::model::{Evidence, TestEvidence};
use crate::evidence::recovery::{Drained, Recovery};
use crate::plan::Metric;

use super::super::recovery::{LANES_BUSY, sooner};
use super::super::{Verdict, Verdicts};
use super::{Change, EvidenceItem, Finding, Limit, kinesis, shown};

/// The first outage after which catching up took longer than the plan allows, or longer than the outage.
pub(super) fn slow(evidence: &Evidence, book: &PriceBook, verdicts: &Verdicts) -> Option<Finding> {
    evidence.tests.iter().zip(&verdicts.tests).find_map(|(test, verdict)| {
        let planned = evidence.plan.tests().nth(test.plan_index)?;
        let failed = planned.criteria.iter().zip(&verdict.criteria).find(|(criterion, judged)| {
            criterion.metric == Metric::DrainTime && judged.verdict == Verdict::Fail
        });
        let allowed_s = failed.map(|(criterion, _)| criterion.threshold);
        test.actions.iter().find_map(|action| of_action(evidence, book, test, action, allowed_s))
    })
}

fn of_action(
    evidence: &Evidence,
    book: &PriceBook,
    test: &TestEvidence,
    action: &ActionEvidence,
    allowed_s: Option<f64>,
) -> Option<Finding> {
    let recovery = action.recovery.as_ref()?;
    let (catch_up_s, drained) = action.catch_up_s().zip(recovery.drained)?;
    let allowed_s = allowed_s.unwrap_or(recovery.off_s);
    if catch_up_s <= allowed_s {
        return None;
    }
    let change = enough(evidence, test, recovery, allowed_s);
    let item = |metric: &str, value, unit| EvidenceItem {
        metric: metric.to_owned(),
        at_us: action.reverting_us,
        value,
        unit,
        level: None,
    };
    Some(Finding {
        limit: Limit::Recovery,
        // What can be carried steadily is another question.
        from_rps: None,
        at_us: action.reverting_us,
        evidence: vec![
            item("time to catch up", catch_up_s, "s"),
            item("outage", recovery.off_s, "s"),
            item("processed while catching up", drained.processed_rps, "records/s"),
            item("arrived while catching up", drained.arrived_rps, "records/s"),
            item("lanes busy", drained.lanes_busy * 100.0, "%"),
        ],
        change,
        monthly_cost_of_change: change.and_then(|change| kinesis::monthly_cost(change, book)),
        explanation: explanation(test, action, recovery, &drained, catch_up_s),
    })
}

/// The least parallelization that would have been in time.
fn enough(evidence: &Evidence, test: &TestEvidence, recovery: &Recovery, allowed_s: f64) -> Option<Change> {
    let from = evidence.environment.parallelization.max(1);
    let in_time = |to: &u32| {
        let as_if = sooner(recovery, &evidence.environment, test.payload.bytes, &[*to]);
        as_if.iter().any(|one| one.catch_up_s <= allowed_s)
    };
    let most = *crate::platform::limits::MAPPING_PARALLELIZATION.end();
    (from + 1..=most).find(in_time).map(|to| Change::Parallelization { from, to })
}

fn explanation(
    test: &TestEvidence,
    action: &ActionEvidence,
    recovery: &Recovery,
    drained: &Drained,
    catch_up_s: f64,
) -> String {
    let told = format!(
        "After {} ({} s) test {} took {} s to catch up: the function took {} records/s of the backlog while {} arrived.",
        action.text,
        shown(recovery.off_s),
        test.id,
        shown(catch_up_s),
        shown(drained.processed_rps),
        shown(drained.arrived_rps)
    );
    let busy = drained.lanes_busy * 100.0;
    if drained.lanes_busy >= LANES_BUSY {
        format!("{told} Its lanes were busy {busy:.0} % of the time: more of them move it.")
    } else {
        format!("{told} Its lanes were busy {busy:.0} % of the time: it waited for polls or reads.")
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::evidence;
    use super::super::super::judge;
    use super::*;
    use crate::cost::price;

    /// An outage of 100 s whose backlog of 5,000 records took `catch_up_s` to go, 10 a second arriving.
    fn found(catch_up_s: i64, lanes_busy: f64) -> Option<Finding> {
        let mut evidence = evidence();
        let started_us = evidence.tests[0].started_us.expect("started");
        let reverting_us = started_us + 100_000_000;
        let lasted_s = catch_up_s as f64 - 5.0;
        let processed_rps = 10.0 + 5_000.0 / lasted_s;
        let drained = Drained { lasted_s, processed_rps, arrived_rps: 10.0, lanes_busy, surge_s: 0.0 };
        evidence.tests[0].actions = vec![ActionEvidence {
            text: "mapping disabled for 100s".into(),
            started_us: Some(started_us),
            reverting_us: Some(reverting_us),
            caught_up_us: Some(reverting_us + catch_up_s * 1_000_000),
            recovery: Some(Recovery {
                off_s: 100.0,
                oldest_ms: 105e3,
                resumed_s: 5.0,
                drained: Some(drained),
            }),
            ..ActionEvidence::default()
        }];
        let book = PriceBook::builtin();
        let verdicts = judge(&evidence, &price(&evidence.usage, &book));
        slow(&evidence, &book, &verdicts)
    }

    #[test]
    fn a_backlog_that_goes_more_slowly_than_it_came_asks_for_as_many_lanes_as_it_takes() {
        assert_eq!(found(99, 1.0), None, "sooner than the outage was long");
        let finding = found(505, 1.0).expect("a finding");
        // 20 a second, of which 10 are left for 5,000 records; 95 s need 62.6 a second, and so 4 lanes.
        assert_eq!(finding.change, Some(Change::Parallelization { from: 1, to: 4 }));
        assert_eq!(finding.monthly_cost_of_change, Some(rust_decimal::Decimal::ZERO));
        assert!(finding.explanation.contains("took 505 s to catch up"), "{}", finding.explanation);
        let idle = found(505, 0.4).expect("a finding");
        assert_eq!(idle.change, None, "more lanes would be as idle");
        assert!(idle.explanation.contains("waited for polls or reads"), "{}", idle.explanation);
    }
}
