//! Lambda's concurrency: what the account has, what others use of it, and what the plan's mapping will take.

use std::time::Duration;

use aws_sdk_cloudwatch::types::{Metric, MetricDataQuery, MetricStat};
use aws_smithy_types::DateTime;

use super::super::error::failed;
use super::super::{StackError, Standing};
use super::finding::Finding;
use super::{StreamNow, Unanswered, bounded};
use crate::plan::{Plan, StreamMode};
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;
use crate::platform::limits;

const CHECK: &str = "concurrency";
/// How far back to look for what is in use.
const LOOK_BACK: Duration = Duration::from_secs(60 * 60);
const PERIOD_S: i64 = 60;
/// Executions that must stay unreserved in an account. Lambda developer guide, "Configuring reserved concurrency".
const UNRESERVED_MIN: u32 = 100;
/// Above this share of what is free, other functions of the account may feel the test.
const TIGHT_SHARE: f64 = 0.8;

/// Concurrent executions of the account and region.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quota {
    pub limit: u32,
    /// Not reserved by any function.
    pub unreserved: u32,
    /// The most of the last hour; why not known otherwise.
    pub in_use: Result<u32, Unanswered>,
}

pub(super) async fn quota(clients: &Clients, clock: Clock) -> Result<Quota, Unanswered> {
    let (settings, in_use) = tokio::join!(bounded(settings(clients)), bounded(in_use(clients, clock)));
    let (limit, unreserved) = settings?;
    Ok(Quota { limit, unreserved, in_use })
}

async fn settings(clients: &Clients) -> Result<(u32, u32), StackError> {
    let answer = clients.lambda.get_account_settings().send().await;
    let answer = answer.map_err(|error| failed("Lambda", "ask for the account's concurrency", error))?;
    let limit = answer.account_limit();
    let count = |given: i32| u32::try_from(given).unwrap_or(0);
    let total = limit.map_or(0, |limit| count(limit.concurrent_executions()));
    let unreserved = limit.and_then(|limit| limit.unreserved_concurrent_executions());
    Ok((total, unreserved.map_or(total, count)))
}

/// The maximum of the account-wide AWS/Lambda ConcurrentExecutions: the metric without dimensions. Lambda developer
/// guide, "Types of metrics for Lambda functions". No datapoint: nothing ran.
async fn in_use(clients: &Clients, clock: Clock) -> Result<u32, StackError> {
    let now_s = clock.now_ms().div_euclid(1_000);
    let until_s = (now_s.div_euclid(PERIOD_S) + 1) * PERIOD_S;
    let from_s = until_s - PERIOD_S - LOOK_BACK.as_secs() as i64;
    let metric = Metric::builder().namespace("AWS/Lambda").metric_name("ConcurrentExecutions").build();
    let stat = MetricStat::builder().metric(metric).period(PERIOD_S as i32).stat("Maximum").build();
    let query = MetricDataQuery::builder().id("in_use").metric_stat(stat).return_data(true).build();
    let call = clients.cloudwatch.get_metric_data().metric_data_queries(query);
    let call = call.start_time(DateTime::from_secs(from_s)).end_time(DateTime::from_secs(until_s));
    let answer = call.send().await;
    let answer = answer.map_err(|error| failed("CloudWatch", "ask for the concurrency in use", error))?;
    let values = answer.metric_data_results().iter().flat_map(|result| result.values());
    Ok(values.copied().fold(0.0, f64::max) as u32)
}

/// Concurrency against what the mapping will take: one execution a shard and lane at most.
pub(super) fn judge(
    quota: &Quota,
    plan: Option<&Plan>,
    stream: Option<StreamNow>,
    standing: Option<&Standing>,
) -> Finding {
    let Quota { limit, unreserved, .. } = *quota;
    let told = match &quota.in_use {
        Ok(in_use) => format!(
            "{limit} in all, {unreserved} of them unreserved, {in_use} in use at most in the last hour"
        ),
        Err(unanswered) => format!(
            "{limit} in all, {unreserved} of them unreserved; could not check how many are in use: {}",
            unanswered.why
        ),
    };
    let (Some(plan), Some(stream)) = (plan, stream) else {
        return without_plan(quota, told);
    };
    let shards = match stream.mode {
        StreamMode::Provisioned => stream.shards,
        StreamMode::OnDemand => limits::ON_DEMAND_SHARDS,
    };
    let lanes =
        standing.map_or(plan.environment.function.parallelization, |standing| standing.parallelization);
    let wanted = shards.saturating_mul(lanes.max(1));
    let needed = format!("{wanted} ({shards} shard(s) x parallelization {lanes})");
    match plan.environment.function.reserved_concurrency {
        Some(reserved) => of_reserved(quota, told, reserved, wanted, stream.stands),
        None => of_unreserved(quota, told, wanted),
    }
    .needed(needed)
}

fn without_plan(quota: &Quota, told: String) -> Finding {
    match &quota.in_use {
        Ok(_) => Finding::ok(CHECK, told),
        Err(unanswered) => Finding::warning(CHECK, told, unanswered.hint.clone()),
    }
}

fn of_reserved(quota: &Quota, told: String, reserved: u32, wanted: u32, stands: bool) -> Finding {
    let told = format!("{told}; the plan reserves {reserved}");
    // What stands has its reservation already.
    if !stands && quota.unreserved < reserved.saturating_add(UNRESERVED_MIN) {
        let most = quota.unreserved.saturating_sub(UNRESERVED_MIN);
        let hint = format!(
            "{UNRESERVED_MIN} must stay unreserved: at most {most} can be reserved; ask for a higher quota in Service Quotas"
        );
        return Finding::stop(CHECK, told, hint);
    }
    if reserved < wanted {
        let hint = "batches will be throttled: raise function.reserved_concurrency, unless that is what the plan tests";
        return Finding::warning(CHECK, told, hint).of_plan();
    }
    Finding::ok(CHECK, told)
}

fn of_unreserved(quota: &Quota, told: String, wanted: u32) -> Finding {
    const RAISE: &str =
        "ask for a higher quota in Service Quotas, or plan fewer shards or a lower parallelization";
    if wanted > quota.unreserved {
        return Finding::stop(CHECK, told, RAISE);
    }
    let in_use = match &quota.in_use {
        Ok(in_use) => *in_use,
        Err(unanswered) => return Finding::warning(CHECK, told, unanswered.hint.clone()),
    };
    // What runs in reserved concurrency takes nothing from the rest; counting it errs on the safe side.
    let free = quota.unreserved.saturating_sub(in_use);
    if wanted > free {
        let hint = format!(
            "only {free} are free, so that the test and the account's other functions would throttle each other; {RAISE}"
        );
        return Finding::stop(CHECK, told, hint);
    }
    if f64::from(wanted) > TIGHT_SHARE * f64::from(free) {
        let hint = "little is left for the account's other functions: set function.reserved_concurrency to bound the test";
        return Finding::warning(CHECK, told, hint);
    }
    Finding::ok(CHECK, told)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn judged(unreserved: u32, in_use: u32, lanes: u32, reserved: Option<u32>) -> Finding {
        let mut plan = crate::plan::parse(include_str!("../../../plans/quickstart.yaml")).unwrap();
        plan.environment.stream.shards = 10;
        plan.environment.function.parallelization = lanes;
        plan.environment.function.reserved_concurrency = reserved;
        let quota = Quota { limit: 1_000, unreserved, in_use: Ok(in_use) };
        judge(&quota, Some(&plan), Some(StreamNow::of(&plan, None)), None)
    }

    #[test]
    fn what_is_in_use_counts_against_the_plans_shards_and_lanes() {
        assert_eq!(judged(1_000, 0, 10, None).level, Level::Ok);
        assert_eq!(judged(1_000, 0, 10, None).needed.unwrap(), "100 (10 shard(s) x parallelization 10)");
        assert_eq!(judged(90, 0, 10, None).level, Level::Stop);
        let stop = judged(1_000, 950, 10, None);
        assert_eq!(stop.level, Level::Stop);
        assert!(stop.hint.unwrap().contains("only 50 are free"));
        assert_eq!(judged(1_000, 890, 10, None).level, Level::Warning);
    }

    #[test]
    fn a_reservation_leaves_a_hundred_and_serves_every_lane() {
        assert_eq!(judged(1_000, 0, 1, Some(900)).level, Level::Ok);
        assert_eq!(judged(1_000, 0, 1, Some(901)).level, Level::Stop);
        assert_eq!(judged(1_000, 0, 2, Some(19)).level, Level::Warning);
    }

    #[test]
    fn what_is_in_use_and_not_known_is_a_warning() {
        let why = Unanswered { why: "no".into(), hint: "ask".into(), by_credentials: false };
        let quota = Quota { limit: 1_000, unreserved: 1_000, in_use: Err(why) };
        assert_eq!(judge(&quota, None, None, None).level, Level::Warning);
    }
}
