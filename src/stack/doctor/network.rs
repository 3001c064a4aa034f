//! The way to Kinesis: how long a round trip takes, and how far this machine's clock is from the service's.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::super::StackError;
use super::super::error::failed;
use super::finding::Finding;
use crate::plan::{Criterion, Metric, Plan, Stat};
use crate::platform::clients::Clients;
use crate::platform::clock::{Clock, WallUs};

/// Round trips that count; one before them opens the connection.
const ROUND_TRIPS: usize = 11;
/// DescribeStreamSummary is allowed 20 times a second in an account. Kinesis API reference.
const PAUSE: Duration = Duration::from_millis(100);
/// Above this, latencies between clocks are worth little.
const OFFSET_WARNING_US: i64 = 1_000_000;
/// A signature is refused 5 minutes from its time. IAM user guide, "Troubleshoot Signature Version 4".
const OFFSET_STOP_US: i64 = 240_000_000;
/// A `Date` header gives whole seconds.
const DATE_GRAIN_US: i64 = 1_000_000;

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Network {
    /// Sorted, microseconds. Never empty.
    pub round_trips_us: Vec<i64>,
    /// Our clock less the service's: at least, at most. `None` where no answer had a `Date` header.
    pub offset_us: Option<(i64, i64)>,
}

/// Asks for a stream's summary, again and again. Any answer of the service makes a round trip, also a refusal: the
/// stream need not be there.
///
/// # Errors
/// When the service cannot be reached.
pub(super) async fn measure(
    clients: &Clients,
    clock: Clock,
    stream_name: &str,
) -> Result<Network, StackError> {
    let mut round_trips_us = Vec::with_capacity(ROUND_TRIPS);
    let mut offset_us = None;
    for index in 0..=ROUND_TRIPS {
        let date = DateHeader::default();
        // Without retries: each call is one round trip.
        let call = clients.kinesis_data.describe_stream_summary().stream_name(stream_name);
        let sent_us = clock.now_us();
        let answer = call.customize().interceptor(date.clone()).send().await;
        let received_us = clock.now_us();
        match answer {
            Ok(_) | Err(SdkError::ServiceError(_)) => {}
            Err(error) => return Err(failed("Kinesis", "measure the round trip", error)),
        }
        if index > 0 {
            round_trips_us.push(received_us - sent_us);
        }
        offset_us = narrowed(offset_us, date.offset(sent_us, received_us));
        tokio::time::sleep(PAUSE).await;
    }
    round_trips_us.sort_unstable();
    Ok(Network { round_trips_us, offset_us })
}

/// The bounds that hold for both; the newer where they contradict each other, because a clock was set.
fn narrowed(before: Option<(i64, i64)>, now: Option<(i64, i64)>) -> Option<(i64, i64)> {
    let (Some(before), Some(now)) = (before, now) else { return now.or(before) };
    let both = (before.0.max(now.0), before.1.min(now.1));
    Some(if both.0 <= both.1 { both } else { now })
}

/// Takes the `Date` header from an answer, whether it is a success or not.
#[derive(Clone, Debug, Default)]
struct DateHeader {
    service_us: Arc<Mutex<Option<WallUs>>>,
}

impl DateHeader {
    /// The service wrote its time between `sent_us` and `received_us` of ours, and cut it to the second.
    fn offset(&self, sent_us: WallUs, received_us: WallUs) -> Option<(i64, i64)> {
        let service_us = (*self.service_us.lock().expect("date lock"))?;
        Some((sent_us - service_us - DATE_GRAIN_US, received_us - service_us))
    }
}

impl Intercept for DateHeader {
    fn name(&self) -> &'static str {
        "DateHeader"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let header = context.response().headers().get("date");
        *self.service_us.lock().expect("date lock") = header.and_then(parse_date);
        Ok(())
    }
}

/// `Sat, 21 Nov 2026 06:06:04 GMT`, RFC 9110 section 5.6.7.
fn parse_date(text: &str) -> Option<WallUs> {
    let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(parsed.as_microsecond())
}

impl Network {
    fn quantile_ms(&self, quantile: f64) -> f64 {
        let last = self.round_trips_us.len() - 1;
        let index = (last as f64 * quantile).round() as usize;
        self.round_trips_us[index.min(last)] as f64 / 1_000.0
    }

    /// The round trip against the criteria on puts.
    pub fn distance(&self, plan: Option<&Plan>) -> Finding {
        const CHECK: &str = "round-trip";
        let (p50_ms, p95_ms) = (self.quantile_ms(0.5), self.quantile_ms(0.95));
        let found = format!("p50 {p50_ms:.1} ms, p95 {p95_ms:.1} ms to Kinesis");
        let criteria: Vec<&Criterion> = plan.map(put_criteria).unwrap_or_default();
        if let Some(broken) = criteria.iter().find(|criterion| breaks(criterion, p50_ms, p50_ms)) {
            let hint = "the distance alone breaks this criterion: generate the load in the stream's region, or allow more";
            return Finding::stop(CHECK, found, hint).needed(broken.text.clone());
        }
        if let Some(close) = criteria.iter().find(|criterion| breaks(criterion, p50_ms, p95_ms)) {
            let hint = "the network's slower round trips break this criterion: generate the load nearer to the region";
            return Finding::warning(CHECK, found, hint).needed(close.text.clone());
        }
        let strictest = criteria.iter().min_by(|a, b| a.threshold.total_cmp(&b.threshold));
        let finding = Finding::ok(CHECK, found);
        match strictest {
            Some(criterion) => finding.needed(criterion.text.clone()),
            None => finding,
        }
    }

    /// Our clock against the service's.
    pub fn clock(&self) -> Finding {
        const CHECK: &str = "clock";
        let Some((low_us, high_us)) = self.offset_us else {
            let hint = "the answers have no Date header (a proxy may remove it): compare the clock by hand";
            return Finding::warning(CHECK, "could not check the clock", hint);
        };
        // What the offset is at least, whichever way.
        let least_us = low_us.max(-high_us).max(0);
        let between = |us: i64| us as f64 / 1e6;
        let found =
            format!("between {:.1} s and {:+.1} s from the service's", between(low_us), between(high_us));
        let hint = "set the clock: timedatectl set-ntp true, or chronyc makestep";
        if least_us > OFFSET_STOP_US {
            return Finding::stop(CHECK, found, hint).needed("within 4 minutes: requests are refused at 5");
        }
        if least_us > OFFSET_WARNING_US {
            return Finding::warning(CHECK, found, hint).needed("within 1 s");
        }
        Finding::ok(CHECK, found).needed("within 1 s")
    }
}

/// Criteria that bound how long a put may take, of the plan and its tests.
fn put_criteria(plan: &Plan) -> Vec<&Criterion> {
    let all = plan.criteria.iter().chain(plan.tests().flat_map(|test| test.criteria.iter()));
    all.filter(|criterion| matches!(criterion.metric, Metric::PutLatency | Metric::ServiceTime)).collect()
}

/// Whether a put that takes only the round trip breaks the criterion: `usual_ms` is the round trip of most puts,
/// `slow_ms` that of the slow ones, which only the upper statistics see.
fn breaks(criterion: &Criterion, usual_ms: f64, slow_ms: f64) -> bool {
    let observed_ms = match criterion.stat {
        Some(Stat::P50 | Stat::Avg | Stat::Min) | None => usual_ms,
        Some(Stat::P95 | Stat::P99 | Stat::P999 | Stat::Max) => slow_ms,
    };
    !criterion.op.holds(observed_ms, criterion.threshold)
        && matches!(criterion.op, crate::plan::Op::Less | crate::plan::Op::LessOrEqual)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn network(ms: i64, slow_ms: i64) -> Network {
        let mut round_trips_us = vec![ms * 1_000; 10];
        round_trips_us.push(slow_ms * 1_000);
        Network { round_trips_us, offset_us: None }
    }

    fn plan() -> Plan {
        let text = include_str!("../../../plans/quickstart.yaml");
        let plan = crate::plan::parse(text).unwrap();
        assert!(plan.tests().next().unwrap().criteria.iter().any(|c| c.text == "put_latency.p95 < 100ms"));
        plan
    }

    #[test]
    fn a_distance_that_breaks_a_criterion_alone_is_a_stop() {
        let level = |network: Network| network.distance(Some(&plan())).level;
        assert_eq!(level(network(20, 30)), Level::Ok);
        assert_eq!(level(network(20, 130)), Level::Warning);
        assert_eq!(level(network(100, 130)), Level::Stop);
        let stop = network(230, 260).distance(Some(&plan()));
        assert_eq!(stop.needed.as_deref(), Some("put_latency.p95 < 100ms"));
        assert_eq!(network(230, 260).distance(None).level, Level::Ok);
    }

    #[test]
    fn the_clocks_offset_is_bounded_by_what_the_answers_allow() {
        let level = |offset_us| Network { offset_us, ..network(1, 1) }.clock().level;
        assert_eq!(level(Some((-900_000, 150_000))), Level::Ok);
        assert_eq!(level(Some((1_500_000, 2_500_000))), Level::Warning);
        assert_eq!(level(Some((-301_000_000, -299_000_000))), Level::Stop);
        assert_eq!(level(Some((239_500_000, 240_500_000))), Level::Warning);
        assert_eq!(level(None), Level::Warning);
        assert_eq!(narrowed(Some((-900, 100)), Some((-500, 500))), Some((-500, 100)));
        assert_eq!(narrowed(Some((-900, -800)), Some((500, 600))), Some((500, 600)));
    }

    #[test]
    fn the_date_header_is_read() {
        assert_eq!(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000_000));
        assert_eq!(parse_date("yesterday"), None);
    }
}
