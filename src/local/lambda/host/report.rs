//! The lines that Lambda itself writes to a function's log. The REPORT line is read for billing, cold
//! starts and memory, so it is printed exactly as Lambda prints it, tabs and trailing tab included.

use std::time::Duration;

/// Why an invocation did not end well, as the end of the REPORT line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    Timeout,
    /// With the error type, for example `Runtime.ExitError`.
    Error(String),
}

/// The numbers of one REPORT line.
#[derive(Clone, Debug, PartialEq)]
pub struct Report<'a> {
    pub request_id: &'a str,
    pub duration: Duration,
    pub init: Option<Duration>,
    pub memory_size_mb: u32,
    /// `None` where the system does not tell; the line then leaves the member out.
    pub memory_used_mb: Option<u32>,
    pub status: Status,
}

impl Report<'_> {
    /// Whole milliseconds, rounded up, at least 1; INIT is billed since 2025-08-01 (AWS compute blog,
    /// "AWS Lambda standardizes billing for INIT phase").
    pub fn billed_ms(&self) -> u64 {
        let billed = self.duration + self.init.unwrap_or_default();
        (billed.as_nanos().div_ceil(1_000_000) as u64).max(1)
    }

    pub fn line(&self) -> String {
        let mut line = format!(
            "REPORT RequestId: {}\tDuration: {} ms\tBilled Duration: {} ms\tMemory Size: {} MB\t",
            self.request_id,
            millis(self.duration),
            self.billed_ms(),
            self.memory_size_mb,
        );
        if let Some(used) = self.memory_used_mb {
            line.push_str(&format!("Max Memory Used: {used} MB\t"));
        }
        if let Some(init) = self.init {
            line.push_str(&format!("Init Duration: {} ms\t", millis(init)));
        }
        match &self.status {
            Status::Ok => {}
            Status::Timeout => line.push_str("Status: timeout"),
            Status::Error(error_type) => {
                line.push_str(&format!("Status: error\tError Type: {error_type}"));
            }
        }
        line
    }
}

pub fn start_line(request_id: &str) -> String {
    format!("START RequestId: {request_id} Version: $LATEST")
}

pub fn end_line(request_id: &str) -> String {
    format!("END RequestId: {request_id}")
}

/// What Lambda writes when INIT did not succeed. `phase` is `init`, or `invoke` when INIT was a part of it.
pub fn init_report_line(init: Duration, phase: &str, status: &Status) -> String {
    let status = match status {
        Status::Ok => String::new(),
        Status::Timeout => "\tStatus: timeout".to_owned(),
        Status::Error(error_type) => format!("\tStatus: error\tError Type: {error_type}"),
    };
    format!("INIT_REPORT Init Duration: {} ms\tPhase: {phase}{status}", millis(init))
}

/// `2026-11-21T01:32:40.123Z <id> Task timed out after 3.00 seconds`.
pub fn timeout_line(now_ms: i64, request_id: &str, timeout: Duration) -> String {
    let at = super::super::iso_ms(now_ms);
    format!("{at} {request_id} Task timed out after {:.2} seconds", timeout.as_secs_f64())
}

/// `{"errorType": .., "errorMessage": ..}`, as the caller gets it.
pub fn error_document(error_type: &str, message: &str) -> bytes::Bytes {
    serde_json::json!({"errorType": error_type, "errorMessage": message}).to_string().into()
}

/// What the caller gets when the function ran out of time.
pub fn timeout_document(request_id: &str, timeout: Duration) -> bytes::Bytes {
    let seconds = timeout.as_secs_f64();
    let message = format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds");
    error_document("Sandbox.Timedout", &message)
}

/// Two decimals, as Lambda prints milliseconds.
fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_report_line_bills_init_too() {
        let report = Report {
            request_id: "8f507cfc-example",
            duration: Duration::from_micros(3_210),
            init: Some(Duration::from_micros(45_670)),
            memory_size_mb: 512,
            memory_used_mb: Some(33),
            status: Status::Ok,
        };
        assert_eq!(
            report.line(),
            "REPORT RequestId: 8f507cfc-example\tDuration: 3.21 ms\tBilled Duration: 49 ms\t\
             Memory Size: 512 MB\tMax Memory Used: 33 MB\tInit Duration: 45.67 ms\t"
        );
    }

    #[test]
    fn a_warm_report_rounds_up_and_says_what_went_wrong() {
        let mut report = Report {
            request_id: "r",
            duration: Duration::from_millis(3_000),
            init: None,
            memory_size_mb: 128,
            memory_used_mb: None,
            status: Status::Timeout,
        };
        assert_eq!(
            report.line(),
            "REPORT RequestId: r\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\tStatus: timeout"
        );
        report.duration = Duration::ZERO;
        assert_eq!(report.billed_ms(), 1);
        report.status = Status::Error("Runtime.ExitError".to_owned());
        assert!(report.line().ends_with("\tStatus: error\tError Type: Runtime.ExitError"));
    }
}
