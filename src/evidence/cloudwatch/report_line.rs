//! Lambda's REPORT lines: what an invocation was billed, and what its cold start took.
//!
//! Two shapes, from the Lambda developer guide: the text line (fields after tabs, unknown ones may come at
//! any time), and the `platform.report` event of the JSON log format.

use serde_json::Value;

/// One invocation as Lambda reports it. Milliseconds and megabytes as printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportLine {
    pub request_id: String,
    pub duration_ms: f64,
    /// INIT included, as Lambda bills it since 2025-08-01.
    pub billed_ms: u64,
    pub memory_size_mb: u32,
    pub max_memory_used_mb: u32,
    /// Only of a cold start.
    pub init_ms: Option<f64>,
    /// Only where SnapStart restored a snapshot: a cold start too.
    pub restore_ms: Option<f64>,
    /// `timeout`, `error`; absent after a success.
    pub status: Option<String>,
}

impl ReportLine {
    pub fn is_cold_start(&self) -> bool {
        self.init_ms.is_some() || self.restore_ms.is_some()
    }
}

/// Reads one log event; `None` when it is no report, or one without what every report has.
pub fn parse(message: &str) -> Option<ReportLine> {
    let message = message.trim();
    if message.starts_with('{') {
        return parse_json(message);
    }
    // The line may come after a timestamp that a log shipper put before it.
    let start = message.find("REPORT RequestId:")?;
    parse_text(&message[start + "REPORT ".len()..])
}

fn parse_text(fields: &str) -> Option<ReportLine> {
    let mut line = ReportLine::default();
    let (mut has_duration, mut has_billed) = (false, false);
    for field in fields.split(['\t', '\n']) {
        let Some((name, value)) = field.split_once(':') else { continue };
        let value = value.trim();
        match name.trim() {
            "RequestId" => value.clone_into(&mut line.request_id),
            "Duration" => {
                line.duration_ms = milliseconds(value)?;
                has_duration = true;
            }
            "Billed Duration" => {
                line.billed_ms = milliseconds(value)?.ceil() as u64;
                has_billed = true;
            }
            "Memory Size" => line.memory_size_mb = megabytes(value)?,
            "Max Memory Used" => line.max_memory_used_mb = megabytes(value)?,
            "Init Duration" => line.init_ms = Some(milliseconds(value)?),
            "Restore Duration" => line.restore_ms = Some(milliseconds(value)?),
            "Status" => line.status = Some(value.to_owned()),
            // `Billed Restore Duration` is part of the billed duration; tracing fields tell nothing here.
            _ => {}
        }
    }
    (has_duration && has_billed && !line.request_id.is_empty()).then_some(line)
}

fn quantity(value: &str, unit: &str) -> Option<f64> {
    let number: f64 = value.strip_suffix(unit)?.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

fn milliseconds(value: &str) -> Option<f64> {
    quantity(value, "ms")
}

fn megabytes(value: &str) -> Option<u32> {
    quantity(value, "MB").map(|megabytes| megabytes.round() as u32)
}

fn parse_json(message: &str) -> Option<ReportLine> {
    let event: Value = serde_json::from_str(message).ok()?;
    if event.get("type")?.as_str()? != "platform.report" {
        return None;
    }
    let record = event.get("record")?;
    let metrics = record.get("metrics")?;
    let number = |name: &str| metrics.get(name).and_then(Value::as_f64).filter(|number| *number >= 0.0);
    Some(ReportLine {
        request_id: record.get("requestId")?.as_str()?.to_owned(),
        duration_ms: number("durationMs")?,
        billed_ms: number("billedDurationMs")?.ceil() as u64,
        memory_size_mb: number("memorySizeMB").unwrap_or(0.0).round() as u32,
        max_memory_used_mb: number("maxMemoryUsedMB").unwrap_or(0.0).round() as u32,
        init_ms: number("initDurationMs"),
        restore_ms: number("restoreDurationMs"),
        status: record.get("status").and_then(Value::as_str).filter(|s| *s != "success").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cold_start_with_tracing() {
        let line = parse(
            "REPORT RequestId: 8fc6f963-411b-58b5-8483-a32130c0f45d\tDuration: 201.67 ms\tBilled Duration: 682 ms\t\
             Memory Size: 2048 MB\tMax Memory Used: 81 MB\tInit Duration: 480.25 ms\t\n\
             XRAY TraceId: 1-61c86fa4-59b3c6d959653c527fd10966\tSegmentId: 107ea78a5750a811\tSampled: true\t\n",
        )
        .unwrap();
        assert_eq!(line.request_id, "8fc6f963-411b-58b5-8483-a32130c0f45d");
        assert_eq!((line.duration_ms, line.billed_ms, line.init_ms), (201.67, 682, Some(480.25)));
        assert_eq!((line.memory_size_mb, line.max_memory_used_mb), (2_048, 81));
        assert!(line.is_cold_start());
    }

    #[test]
    fn a_warm_one_a_timeout_and_a_restored_snapshot() {
        let warm = "REPORT RequestId: a\tDuration: 3.20 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 30 MB\t";
        assert!(!parse(warm).unwrap().is_cold_start());
        let timeout = format!("{warm}Status: timeout");
        assert_eq!(parse(&timeout).unwrap().status.as_deref(), Some("timeout"));
        let restored = format!("{warm}Restore Duration: 303.11 ms\tBilled Restore Duration: 304 ms\t\n");
        let restored = parse(&restored).unwrap();
        assert_eq!((restored.restore_ms, restored.billed_ms), (Some(303.11), 4));
        assert!(restored.is_cold_start());
    }

    #[test]
    fn the_json_log_format() {
        let line = parse(
            r#"{"time":"2026-11-20T00:00:00.000Z","type":"platform.report","record":{"requestId":"r",
            "metrics":{"durationMs":2.5,"billedDurationMs":52,"memorySizeMB":512,"maxMemoryUsedMB":61,
            "initDurationMs":48.9},"status":"success"}}"#,
        )
        .unwrap();
        assert_eq!((line.billed_ms, line.init_ms, line.status), (52, Some(48.9), None));
        assert_eq!(parse(r#"{"type":"platform.start","record":{"requestId":"r"}}"#), None);
    }

    #[test]
    fn other_lines_are_no_reports() {
        for message in [
            "",
            "START RequestId: a Version: $LATEST",
            "REPORT RequestId: ",
            "REPORT RequestId: a\tDuration: fast ms\tBilled Duration: 1 ms",
            "REPORT RequestId: a\tDuration: 1 ms",
            "{",
        ] {
            assert_eq!(parse(message), None, "{message}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(
            duration_us in 0u64..900_000_000, billed_ms in 0u64..900_000, memory_mb in 128u32..10_240,
            init_us in proptest::option::of(0u64..10_000_000), extra in "(\t[A-Za-z ]{1,12}: [ -9;-~]{0,12})?",
        ) {
            let duration_ms = duration_us as f64 / 1_000.0;
            let init = init_us.map_or(String::new(), |us| format!("\tInit Duration: {:.3} ms", us as f64 / 1_000.0));
            // A field that this parser knows is not an unknown one.
            prop_assume!(!["Duration", "Status", "RequestId"].iter().any(|known| extra.contains(known)));
            let line = parse(&format!(
                "REPORT RequestId: id\tDuration: {duration_ms:.3} ms\tBilled Duration: {billed_ms} ms\t\
                 Memory Size: {memory_mb} MB\tMax Memory Used: 90 MB{init}{extra}\t\n"
            ));
            let line = line.unwrap();
            prop_assert!((line.duration_ms - duration_ms).abs() < 1e-9);
            prop_assert_eq!((line.billed_ms, line.memory_size_mb), (billed_ms, memory_mb));
            prop_assert_eq!(line.is_cold_start(), init_us.is_some());
        }

        #[test]
        fn torn_lines_are_answered_without_a_panic(cut in 0usize..200, noise in "\\PC{0,20}") {
            let line = "REPORT RequestId: a\tDuration: 3.20 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tInit Duration: 1 ms";
            let _ = parse(&format!("{noise}{}", &line[..cut.min(line.len())]));
            let _ = parse(&noise);
        }
    }
}
