//! What stands of the environment: as it should, stuck, or left over.

use std::time::Duration;

use super::super::status::{EnvStatus, StackStatus};
use super::super::{StackError, Standing, standing, status};
use super::finding::Finding;
use super::{Part, bounded, bounded_by};
use crate::plan::{Plan, StreamMode};
use crate::platform::clients::Clients;

const CHECK: &str = "stacks";
/// Longer than throttling is waited out, so that it is told as such.
const STACKS_BOUND: Duration = Duration::from_secs(120);

/// The stacks, and the environment where it stands complete.
pub(super) async fn look(clients: &Clients, env: &str) -> (Vec<Finding>, Option<Standing>) {
    let stacks = match bounded_by(STACKS_BOUND, status(clients, env)).await {
        Ok(stacks) => stacks,
        // Nothing works without CloudFormation.
        Err(unanswered) => return (vec![unanswered.stop(CHECK)], None),
    };
    let findings = judge(&stacks);
    if findings.iter().any(|finding| finding.hint.is_some()) {
        return (findings, None);
    }
    match bounded(stands(clients, env)).await {
        Ok(standing) => (findings, standing),
        Err(unanswered) => (vec![unanswered.stop(CHECK)], None),
    }
}

async fn stands(clients: &Clients, env: &str) -> Result<Option<Standing>, StackError> {
    standing(clients, env).await
}

/// One finding, or one for each stack that is not as it should be.
fn judge(stacks: &EnvStatus) -> Vec<Finding> {
    let env = &stacks.env;
    if stacks.stacks.is_empty() {
        return vec![Finding::ok(CHECK, format!("nothing stands of '{env}'"))];
    }
    let wrong: Vec<Finding> = stacks.stacks.iter().filter_map(|stack| stuck(stack, env)).collect();
    if !wrong.is_empty() {
        return wrong;
    }
    let pipeline = Part::Pipeline.name_after_prefix(env);
    if !stacks.stacks.iter().any(|stack| stack.name.ends_with(&pipeline)) {
        let names: Vec<&str> = stacks.stacks.iter().map(|stack| stack.name.as_str()).collect();
        let hint = format!("an earlier run left it: streamgauge down --env {env}; up goes on with it");
        return vec![Finding::warning(
            CHECK,
            format!("left over without a pipeline: {}", names.join(", ")),
            hint,
        )];
    }
    vec![Finding::ok(
        CHECK,
        format!("'{env}' stands ({} stacks): run uses it, test would refuse", stacks.stacks.len()),
    )]
}

/// What is wrong with a stack, by its status. CloudFormation user guide, "Stack status codes".
fn stuck(stack: &StackStatus, env: &str) -> Option<Finding> {
    let why = stack.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let found = format!("{} is {}{why}", stack.name, stack.status);
    match stack.status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" => None,
        "REVIEW_IN_PROGRESS" => {
            let hint = format!("a plan that nobody confirmed is left over: streamgauge down --env {env}");
            Some(Finding::warning(CHECK, found, hint))
        }
        "UPDATE_ROLLBACK_FAILED" => {
            let hint = "continue the rollback in the CloudFormation console, skipping what cannot be mended; \
                        or streamgauge down";
            Some(Finding::stop(CHECK, found, hint))
        }
        status if status.ends_with("_IN_PROGRESS") => {
            let hint = "another up or down is at work on it: wait for its end, then ask again";
            Some(Finding::stop(CHECK, found, hint))
        }
        _ => Some(Finding::stop(CHECK, found, format!("remove it first: streamgauge down --env {env}"))),
    }
}

/// Where what stands is not what the plan asks for: `run` would measure what stands.
pub(super) fn differences(plan: &Plan, standing: &Standing) -> Option<Finding> {
    let (stream, function) = (&plan.environment.stream, &plan.environment.function);
    let mode = match stream.mode {
        StreamMode::Provisioned => "provisioned",
        StreamMode::OnDemand => "on-demand",
    };
    let mut differ = Vec::new();
    let mut compare = |what: &str, asked: &dyn std::fmt::Display, stands: &dyn std::fmt::Display| {
        let (asked, stands) = (asked.to_string(), stands.to_string());
        if asked != stands {
            differ.push(format!("{what} {stands}, not {asked}"));
        }
    };
    compare("stream mode", &mode, &standing.stream_mode);
    if stream.mode == StreamMode::Provisioned {
        compare("shards", &stream.shards, &standing.shards);
    }
    compare("max_record_kib", &stream.max_record_kib, &standing.max_record_kib);
    compare("memory_mb", &function.memory_mb, &standing.memory_mb);
    compare("timeout_s", &function.timeout_s, &standing.timeout_s);
    compare("batch_size", &function.batch_size, &standing.batch_size);
    compare("batch_window_s", &function.batch_window_s, &standing.batch_window_s);
    compare("parallelization", &function.parallelization, &standing.parallelization);
    compare("work_ms_per_batch", &function.work_ms_per_batch, &standing.work_ms_per_batch);
    if differ.is_empty() {
        return None;
    }
    let hint = "run measures what stands; to have the plan's environment: streamgauge down, then up PLAN";
    Some(Finding::warning("environment", format!("what stands differs: {}", differ.join("; ")), hint))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use crate::stack::leftovers::Leftovers;

    fn stack(part: Part, status: &str) -> StackStatus {
        StackStatus {
            name: part.stack_name(crate::plan::NAME_PREFIX, "dev"),
            status: status.to_owned(),
            reason: None,
            created_us: 0,
            resources: Vec::new(),
        }
    }

    fn levels(stacks: Vec<StackStatus>) -> Vec<Level> {
        judge(&EnvStatus { env: "dev".into(), stacks, ends_us: None, leftovers: Leftovers::default() })
            .iter()
            .map(|finding| finding.level)
            .collect()
    }

    #[test]
    fn each_state_of_a_stack_has_its_way_out() {
        let with = |status| vec![stack(Part::Artifacts, "CREATE_COMPLETE"), stack(Part::Pipeline, status)];
        assert_eq!(levels(Vec::new()), [Level::Ok]);
        assert_eq!(levels(with("UPDATE_COMPLETE")), [Level::Ok]);
        assert_eq!(levels(vec![stack(Part::Artifacts, "CREATE_COMPLETE")]), [Level::Warning]);
        assert_eq!(levels(with("REVIEW_IN_PROGRESS")), [Level::Warning]);
        for status in ["CREATE_IN_PROGRESS", "DELETE_FAILED", "ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"] {
            assert_eq!(levels(with(status)), [Level::Stop], "{status}");
        }
    }
}
