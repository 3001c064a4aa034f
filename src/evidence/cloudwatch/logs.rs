//! The function's log: REPORT lines summed, bytes counted.

use super::report_line;
use crate::evidence::pulled::ReportLines;
use crate::platform::refusals::plain;

/// What CloudWatch Logs adds to each event when it bills. Logs API reference, PutLogEvents.
const EVENT_OVERHEAD_BYTES: u64 = 26;
/// Pages at most, of up to 1 MB or 10,000 events each: two gigabytes of log. A longer log is not read to its
/// end, and half a sum is no sum.
const PAGES_MAX: usize = 2_000;

/// Reads the whole log of the window, because every line is billed, not only the reports.
///
/// # Errors
/// In words: the log cannot be read, or is too long.
pub async fn read(
    client: &aws_sdk_cloudwatchlogs::Client,
    log_group: &str,
    from_ms: i64,
    to_ms: i64,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<ReportLines, String> {
    let mut lines = ReportLines::default();
    let mut token: Option<String> = None;
    for page in 1..=PAGES_MAX {
        let answer = client
            .filter_log_events()
            .log_group_name(log_group)
            .start_time(from_ms)
            .end_time(to_ms)
            .set_next_token(token.take())
            .send()
            .await
            .map_err(|error| plain(&error))?;
        for event in answer.events() {
            add(&mut lines, event.message().unwrap_or(""));
        }
        token = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        if token.is_none() {
            return Ok(lines);
        }
        if page % 50 == 0 {
            progress(&format!("reading the function's log: {} invocations so far", lines.invocations));
        }
    }
    Err(format!("the log has more than {PAGES_MAX} pages"))
}

fn add(lines: &mut ReportLines, message: &str) {
    lines.log_bytes += message.len() as u64 + EVENT_OVERHEAD_BYTES;
    let Some(report) = report_line::parse(message) else { return };
    lines.invocations += 1;
    lines.billed_ms += report.billed_ms;
    lines.init_ms += report.init_ms.or(report.restore_ms).unwrap_or(0.0);
    lines.cold_starts += u64::from(report.is_cold_start());
    lines.memory_size_mb = lines.memory_size_mb.max(report.memory_size_mb);
    lines.max_memory_used_mb = lines.max_memory_used_mb.max(report.max_memory_used_mb);
}
