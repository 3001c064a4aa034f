//! Lambda's REPORT lines: what was billed, cold starts, memory. Format: Lambda developer guide, "Understanding
//! Lambda log format", and lines as printed since INIT is billed.

use crate::evidence::pulled::ReportLines;

/// CloudWatch Logs bills each event's message plus this many bytes (CloudWatch pricing, "Archive" and
/// PutLogEvents API reference: "26 bytes for each log event").
const EVENT_OVERHEAD_BYTES: u64 = 26;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReportLine {
    pub duration_ms: f64,
    pub billed_ms: u64,
    pub memory_size_mb: u32,
    pub max_memory_used_mb: u32,
    pub init_ms: Option<f64>,
}

/// `REPORT RequestId: ...<tab>Duration: 3.21 ms<tab>Billed Duration: 4 ms<tab>...`; `None` for any other line.
pub fn parse(message: &str) -> Option<ReportLine> {
    let rest = message.trim_start().strip_prefix("REPORT RequestId:")?;
    let mut line = ReportLine::default();
    let mut billed = false;
    for field in rest.split('\t') {
        let Some((name, value)) = field.split_once(':') else { continue };
        let number: Option<f64> =
            value.split_whitespace().next().and_then(|number| number.parse().ok()).filter(|n: &f64| n.is_finite() && *n >= 0.0);
        let Some(number) = number else { continue };
        match name.trim() {
            "Duration" => line.duration_ms = number,
            "Billed Duration" => (line.billed_ms, billed) = (number as u64, true),
            "Memory Size" => line.memory_size_mb = number as u32,
            "Max Memory Used" => line.max_memory_used_mb = number as u32,
            "Init Duration" => line.init_ms = Some(number),
            _ => {}
        }
    }
    billed.then_some(line)
}

/// Adds one log event to the sums.
pub fn add(sums: &mut ReportLines, message: &str) {
    sums.log_bytes += message.len() as u64 + EVENT_OVERHEAD_BYTES;
    let Some(line) = parse(message) else { return };
    sums.invocations += 1;
    sums.billed_ms = sums.billed_ms.saturating_add(line.billed_ms);
    if let Some(init_ms) = line.init_ms {
        sums.init_ms += init_ms;
        sums.cold_starts += 1;
    }
    sums.memory_size_mb = sums.memory_size_mb.max(line.memory_size_mb);
    sums.max_memory_used_mb = sums.max_memory_used_mb.max(line.max_memory_used_mb);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_lines_that_lambda_documents() {
        // Lambda developer guide, "View CloudWatch Logs for Lambda functions".
        let documented = "REPORT RequestId: 79b4f56e-95b1-4643-9700-2807f4e68189\tDuration: 189.21 ms\tBilled Duration: 190 ms\tMemory Size: 128 MB\tMax Memory Used: 73 MB";
        let line = parse(documented).unwrap();
        assert_eq!((line.billed_ms, line.memory_size_mb, line.max_memory_used_mb, line.init_ms), (190, 128, 73, None));
        let cold = "REPORT RequestId: a\tDuration: 1.50 ms\tBilled Duration: 45 ms\tMemory Size: 512 MB\tMax Memory Used: 30 MB\tInit Duration: 42.61 ms\t\nXRAY TraceId: 1-5e\tSegmentId: 07\tSampled: true";
        let line = parse(cold).unwrap();
        assert_eq!((line.duration_ms, line.billed_ms, line.init_ms), (1.5, 45, Some(42.61)));
        for other in ["START RequestId: a Version: $LATEST", "END RequestId: a", "INFO REPORT RequestId: a", "REPORT RequestId: a\tBilled Duration: x ms", ""] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn sums_count_bytes_of_every_event_and_invocations_of_reports() {
        let mut sums = ReportLines::default();
        add(&mut sums, "START RequestId: a Version: $LATEST\n");
        add(&mut sums, "REPORT RequestId: a\tDuration: 2.00 ms\tBilled Duration: 52 ms\tMemory Size: 512 MB\tMax Memory Used: 30 MB\tInit Duration: 50.00 ms");
        assert_eq!((sums.invocations, sums.billed_ms, sums.cold_starts, sums.max_memory_used_mb), (1, 52, 1, 30));
        assert_eq!(sums.log_bytes, 36 + 26 + 130 + 26);
    }

    proptest! {
        #[test]
        fn never_panics(message in ".*") {
            let mut sums = ReportLines::default();
            add(&mut sums, &message);
            add(&mut sums, &format!("REPORT RequestId: a\t{message}"));
        }
    }
}
