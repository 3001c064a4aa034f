//! How long an environment has to stand for what is planned, and the dead man's switch that must not fire before.

use std::time::Duration;

use crate::plan::Plan;
use crate::platform::clients::Clients;
use crate::platform::clock::{Clock, WallUs};
use crate::stack::ttl;

use super::SessionError;
use super::progress::Progress;

/// The load of the selected tests (indexes into `plan.tests()`), and the bound on draining after each.
pub fn planned(plan: &Plan, selected: &[usize]) -> Duration {
    let tests = plan.tests().enumerate().filter(|(index, _)| selected.contains(index));
    tests.map(|(_, test)| test.duration() + plan.drain).sum()
}

/// Moves the environment's switch, if it has one, to the end of what is planned and two hours more. Returns when the
/// environment ends.
///
/// # Errors
/// When there is a switch and it cannot be moved: the environment could go in the middle of the run.
pub async fn extend(
    clients: &Clients,
    clock: Clock,
    env: &str,
    planned: Duration,
    progress: &dyn Progress,
) -> Result<Option<WallUs>, SessionError> {
    let ends_us = clock.now_us() + ttl::spare(planned).as_micros() as WallUs;
    ttl::extend(clients, clock, env, ends_us, &|line| progress.step_live(line))
        .await
        .map_err(SessionError::NotExtended)
}
