//! Waiting out the throttling of the control plane.

use std::time::Duration;

use super::StackError;

/// Calls beyond the SDK's own attempts; with the pauses between them about a minute.
const ATTEMPTS: u32 = 7;
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LONGEST: Duration = Duration::from_secs(16);

/// Asks again while AWS says that it is asked too often. Pauses double, and each is cut by up to a half:
/// several environments that were throttled together do not come back together. `about` (a stack's name)
/// seeds that cut, so that virtual time repeats itself.
///
/// # Errors
/// The last refusal when all attempts were throttled; any other error at once.
pub(super) async fn patiently<T, F>(about: &str, mut ask: impl FnMut() -> F) -> Result<T, StackError>
where
    F: Future<Output = Result<T, StackError>>,
{
    let seed = about.bytes().fold(0u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut pause = PAUSE_FIRST;
    for _ in 1..ATTEMPTS {
        match ask().await {
            Err(error) if is_throttled(&error) => {}
            answered => return answered,
        }
        tokio::time::sleep(pause.mul_f64(1.0 - random.f64() / 2.0)).await;
        pause = (pause * 2).min(PAUSE_LONGEST);
    }
    ask().await
}

/// Codes that CloudFormation and its neighbours throttle with. API references, "Common errors".
pub(super) fn is_throttled(error: &StackError) -> bool {
    let StackError::Api { code, .. } = error else { return false };
    code.starts_with("Throttl") || code == "RequestLimitExceeded" || code == "TooManyRequestsException"
}
