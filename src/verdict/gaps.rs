//! Damaged evidence: what a criterion rests on must be whole, or it can be judged by nobody.

use crate::evidence::gaps::Source;
use crate::plan::{Metric, Stat};

use super::measure::{Doubt, Observation, Scope};

/// Lets no observation pass that rests on a file which is missing or not whole.
pub(super) fn doubt(
    metric: Metric,
    stat: Option<Stat>,
    scope: &Scope<'_>,
    mut observations: Vec<Observation>,
) -> Vec<Observation> {
    let gaps = &scope.evidence.gaps;
    let Some(reason) = sources(metric, stat).into_iter().find_map(|source| gaps.reason(source)) else {
        return observations;
    };
    // What a part of a file shows of a largest value or of refusals, the whole of it can only exceed.
    let only_grows = stat == Some(Stat::Max) || metric == Metric::Throttles;
    for observation in &mut observations {
        // Of two doubts the stricter one stays.
        let stays = observation.doubt.as_ref().is_some_and(|doubt| !doubt.only_grows || only_grows);
        if !stays {
            observation.doubt = Some(Doubt { reason: reason.to_owned(), only_grows });
        }
    }
    observations
}

/// The files that a metric rests on, the most telling first.
fn sources(metric: Metric, stat: Option<Stat>) -> Vec<Source> {
    use Metric as M;
    let own: &[Source] = match metric {
        M::SuccessRate | M::FirstTryRate | M::ErrorRate | M::Throttles => &[],
        M::PutLatency | M::ServiceTime | M::GeneratorLag | M::DriftPutLatency => &[],
        M::ReadThrottles | M::LambdaThrottles | M::LambdaErrors | M::DlqDepth => &[Source::Metrics],
        M::ThroughputRatio if stat != Some(Stat::Min) => &[],
        M::ThroughputRatio | M::DriftThroughput | M::RecoveryPutLatency => &[Source::Series],
        M::DriftGeneratorMemory => &[],
        M::RecoveryE2eLatency => &[Source::Receipts, Source::Series],
        M::MemoryUsed => &[Source::Receipts, Source::Environment],
        M::IteratorAge => &[Source::Receipts, Source::Metrics],
        M::CostPerMillion => &[Source::Receipts, Source::Environment, Source::Prices, Source::Metrics],
        M::CloudwatchCostRatio => &[Source::Environment, Source::Prices, Source::Metrics],
        M::E2eLatency | M::StreamWait | M::FunctionDuration | M::SinkLatency | M::ColdStartRate => {
            &[Source::Receipts]
        }
        M::Lost | M::Unconfirmed | M::Duplicates | M::OutOfOrder | M::DeadLettered => &[Source::Receipts],
        M::DrainTime | M::DriftE2eLatency | M::DriftMemoryUsed | M::ScalingTime => &[Source::Receipts],
    };
    // The log says which levels ran, the generator's file what they were, and the interval log whether the generator
    // was their limit: which the accounting and the cost do not mind.
    let counted = matches!(
        metric,
        M::Lost | M::Unconfirmed | M::Duplicates | M::OutOfOrder | M::DeadLettered | M::CostPerMillion
    ) || metric == M::CloudwatchCostRatio;
    let all = [Source::Events, Source::Sends].into_iter().chain((!counted).then_some(Source::Intervals));
    own.iter().copied().chain(all).collect()
}
