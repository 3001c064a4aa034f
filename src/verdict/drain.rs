//! How long it took until nothing was behind any more: after the load, and after each action.

use super::measure::Scope;

/// Seconds: the longest of each test's drain after its load and of each action's catching up, which counts from the
/// moment at which its revert was asked for.
///
/// # Errors
/// Why it is not known: a test never drained, or an action was not carried out or never caught up.
pub(super) fn time_s(scope: &Scope<'_>) -> Result<f64, String> {
    let mut longest_s: f64 = 0.0;
    for test in scope.tests {
        let drain_s = test.drain_s.ok_or("not every acked record was seen within the drain time")?;
        longest_s = longest_s.max(drain_s);
        for action in &test.actions {
            let catch_up_s = action.catch_up_s().ok_or_else(|| {
                let why = [&action.refused, &action.not_caught_up].into_iter().flatten().next();
                let why = why.map_or("the load had ended before its time", String::as_str);
                format!("action '{}': {why}", action.text)
            })?;
            longest_s = longest_s.max(catch_up_s);
        }
    }
    if scope.tests.is_empty() { Err("no test was run".to_owned()) } else { Ok(longest_s) }
}
