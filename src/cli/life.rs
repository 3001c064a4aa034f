//! `--ttl`: how long an environment may stand without anybody.

use std::time::Duration;

use crate::plan::{DURATION_EXPECTED, Plan, duration};
use crate::platform::clients::Clients;
use crate::platform::clock::{Clock, WallUs};
use crate::session::lifetime::planned;
use crate::stack::ttl::{self, Guarded};
use crate::stack::{StackError, UpRequest};

use super::args::{Global, TargetArg};
use super::exit::CliError;

/// EventBridge Scheduler is precise to the minute, and standing up takes some.
const TTL_LEAST: Duration = Duration::from_secs(5 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

/// `--ttl` at its word. Without it nothing locally, where nothing costs, and on AWS what the plan needs.
pub fn life(global: &Global, ttl: Option<&str>, plan: Option<&Plan>) -> Result<Option<Duration>, CliError> {
    let all: Vec<usize> = (0..plan.map_or(0, |plan| plan.tests().count())).collect();
    match (ttl, global.target) {
        (Some("off"), _) | (None, TargetArg::Local) => Ok(None),
        (None, TargetArg::Aws) => {
            Ok(Some(ttl::life(plan.map_or(Duration::ZERO, |plan| planned(plan, &all)))))
        }
        (Some(text), _) => match duration(text) {
            Some(asked) if (TTL_LEAST..=YEAR).contains(&asked) => Ok(Some(asked)),
            _ => Err(CliError::input(format!(
                "--ttl: found '{text}', expected off or {DURATION_EXPECTED}, from 5m to a year"
            ))),
        },
    }
}

/// Sets the dead man's switch before anything else is made, so that what it guards is never without it.
pub async fn guard(
    clients: &Clients,
    clock: Clock,
    request: &UpRequest,
    life: Option<Duration>,
    progress: &dyn Fn(&str),
) -> Result<(), CliError> {
    let Some(life) = life else {
        // What one that fired left behind would otherwise be taken for part of the new environment.
        return Ok(ttl::remove_fired(clients, clock, &request.env, progress).await.map(drop)?);
    };
    let ends_us = clock.now_us() + life.as_micros() as WallUs;
    let guarded = Guarded { env: &request.env, account: &request.environment.account, tags: &request.tags };
    let set = ttl::ensure(clients, clock, guarded, ends_us, progress).await;
    set.map(drop).map_err(|error: StackError| {
        let hint = format!("{}; --ttl off goes without a dead man's switch", error.hint());
        CliError::environment(format!("the dead man's switch cannot be set: {error}")).hint(hint)
    })
}
