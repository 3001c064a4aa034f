//! A schedule's wait and its call, with the retries that its policy allows.

use std::sync::Weak;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::Shared;
use super::schedule::Due;

/// Between two attempts. AWS says "exponential backoff" and no figure; this is ours.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(10 * 60);

/// Starts the task that waits for `at_us` and then does what the schedule of that name says. A time that has
/// passed is due at once.
pub fn wait(shared: Weak<Shared>, name: String, at_us: i64) -> AbortHandle {
    let task = async move {
        let Some(clock) = shared.upgrade().map(|shared| shared.context.clock) else { return };
        tokio::time::sleep_until(clock.instant_of(at_us)).await;
        let Some(due) = due(&shared, &name) else { return };
        call(&shared, &name, &due).await;
        if let (true, Some(shared)) = (due.is_removed_after, shared.upgrade()) {
            shared.schedules().remove(&name);
        }
    };
    tokio::spawn(task).abort_handle()
}

fn due(shared: &Weak<Shared>, name: &str) -> Option<Due> {
    Some(shared.upgrade()?.schedules().get(name)?.due())
}

async fn call(shared: &Weak<Shared>, name: &str, due: &Due) {
    let mut pause = RETRY_FIRST;
    let mut waited = Duration::ZERO;
    for attempt in 0..=due.retries_max {
        let target = shared.upgrade().and_then(|shared| shared.cloudformation.get()?.upgrade());
        // Without an endpoint there is nothing left to delete.
        let Some(cloudformation) = target else { return };
        let Err(error) = cloudformation.call("DeleteStack", due.input.clone()).await else { return };
        drop(cloudformation);
        tracing::warn!("schedule {name}, attempt {}: {error}", attempt + 1);
        waited += pause;
        if waited > due.retry_for {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_LONGEST);
    }
}
