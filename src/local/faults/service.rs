//! The faults that strike a request as a whole: latency, stalls, errors, throttles, lost answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{FaultEvent, FaultSpec, Faults};
use crate::local::service::{ApiError, ApiResult, BoxFuture, Service};
use crate::platform::clock::Clock;

/// How long a request whose answer is lost is held before its connection is closed: longer than any
/// sensible attempt timeout, so that clients see silence.
const LOST_ANSWER_HOLD: Duration = Duration::from_secs(30);

/// The operations that a fault without `op=` strikes: the path that carries the load.
const DEFAULT_OPS: [&str; 2] = ["PutRecord", "PutRecords"];

/// A service with the faults of [`Faults`] in front of it.
pub struct FaultyService(Arc<Front>);

struct Front {
    inner: Arc<dyn Service>,
    faults: Arc<Faults>,
    clock: Clock,
    /// When the first request came that a stall could strike: stalls are counted from it.
    stalls_since_us: Mutex<Option<i64>>,
}

impl FaultyService {
    pub fn new(inner: Arc<dyn Service>, faults: Arc<Faults>, clock: Clock) -> FaultyService {
        FaultyService(Arc::new(Front { inner, faults, clock, stalls_since_us: Mutex::new(None) }))
    }
}

impl Front {
    /// Whether any fault could strike the operation: the others go straight through.
    fn touches(&self, operation: &str) -> bool {
        self.faults.specs.iter().any(|spec| strikes(spec, operation))
    }

    /// Latency and stalls, then errors and throttles. `Err` is the answer instead of doing the work.
    async fn before(&self, operation: &str) -> Result<(), ApiError> {
        let faults = &self.faults;
        for spec in faults.specs.iter().filter(|spec| strikes(spec, operation)) {
            match spec {
                FaultSpec::Latency { delay, .. } => tokio::time::sleep(*delay).await,
                FaultSpec::Stall { every, hold, .. } => self.stall(operation, *every, *hold).await,
                _ => {}
            }
        }
        if faults.strike(|spec| matches!(spec, FaultSpec::Throttle { .. }) && strikes(spec, operation)) {
            self.note("throttle", operation, (String::new(), Vec::new()));
            return Err(throttled(operation));
        }
        if faults.strike(|spec| matches!(spec, FaultSpec::Error { .. }) && strikes(spec, operation)) {
            self.note("error", operation, (String::new(), Vec::new()));
            return Err(ApiError::new(
                500,
                "InternalFailure",
                "Internal service failure (a fault on request).",
            ));
        }
        Ok(())
    }

    async fn stall(&self, operation: &str, every: Duration, hold: Duration) {
        let now_us = self.clock.now_us();
        let since_us = *self.stalls_since_us.lock().expect("stall lock").get_or_insert(now_us);
        let (every_us, hold_us) = (every.as_micros() as i64, hold.as_micros() as i64);
        let phase_us = (now_us - since_us).rem_euclid(every_us);
        // The first period begins well: a stall ends each period.
        if phase_us >= every_us - hold_us {
            self.note("stall", operation, (String::new(), Vec::new()));
            tokio::time::sleep(Duration::from_micros((every_us - phase_us) as u64)).await;
        }
    }

    /// Whether the answer to work that was done is to be lost.
    fn loses_answer(&self, operation: &str) -> bool {
        self.faults.strike(|spec| matches!(spec, FaultSpec::LostAnswer { .. }) && strikes(spec, operation))
    }

    async fn lose(&self, operation: &str, output: &Value) -> ApiError {
        self.note("lost-answer", operation, written(output));
        tokio::time::sleep(LOST_ANSWER_HOLD).await;
        ApiError::no_answer()
    }

    fn note(&self, kind: &'static str, operation: &str, (shard, kinesis_sequences): (String, Vec<String>)) {
        let at_us = self.clock.now_us();
        self.faults.note(FaultEvent { at_us, kind, op: operation.to_owned(), shard, kinesis_sequences });
    }
}

impl Service for FaultyService {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        if !self.0.touches(operation) {
            return self.0.inner.call(operation, input);
        }
        let (front, operation) = (Arc::clone(&self.0), operation.to_owned());
        to_its_end(async move {
            front.before(&operation).await?;
            let output = front.inner.call(&operation, input).await?;
            if front.loses_answer(&operation) {
                return Err(front.lose(&operation, &output).await);
            }
            Ok(output)
        })
    }

    fn call_json<'a>(&'a self, operation: &'a str, body: Bytes) -> BoxFuture<'a, Result<Bytes, ApiError>> {
        if !self.0.touches(operation) {
            return self.0.inner.call_json(operation, body);
        }
        let (front, operation) = (Arc::clone(&self.0), operation.to_owned());
        to_its_end(async move {
            front.before(&operation).await?;
            let output = front.inner.call_json(&operation, body).await?;
            if front.loses_answer(&operation) {
                let output = serde_json::from_slice(&output).unwrap_or(Value::Null);
                return Err(front.lose(&operation, &output).await);
            }
            Ok(output)
        })
    }
}

/// Does the work even when the client gives up waiting, as a service behind a network does: a put that was
/// held longer than the client's patience still takes effect.
fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> BoxFuture<'static, Result<T, ApiError>> {
    let work = tokio::spawn(work);
    Box::pin(async move {
        work.await.unwrap_or_else(|_| Err(ApiError::new(500, "InternalFailure", "the service ended")))
    })
}

fn strikes(spec: &FaultSpec, operation: &str) -> bool {
    let op = match spec {
        FaultSpec::LostAnswer { op, .. }
        | FaultSpec::Error { op, .. }
        | FaultSpec::Throttle { op, .. }
        | FaultSpec::Latency { op, .. }
        | FaultSpec::Stall { op, .. } => op,
        // These strike inside the services.
        FaultSpec::Drop { .. } | FaultSpec::Redeliver { .. } | FaultSpec::Swap { .. } => return false,
    };
    match op.as_deref() {
        None => DEFAULT_OPS.contains(&operation),
        Some("*") => true,
        Some(op) => op == operation,
    }
}

/// As each service words it: Kinesis's data path, Lambda's, and the rest.
fn throttled(operation: &str) -> ApiError {
    match operation {
        "PutRecord" | "PutRecords" | "GetRecords" => ApiError::invalid(
            "ProvisionedThroughputExceededException",
            "Rate exceeded for the stream (a fault on request).",
        ),
        "Invoke" => ApiError::new(429, "TooManyRequestsException", "Rate Exceeded."),
        _ => ApiError::invalid("ThrottlingException", "Rate exceeded"),
    }
}

/// Shards and sequence numbers in the answer of a PutRecord or PutRecords: what took effect unanswered.
fn written(output: &Value) -> (String, Vec<String>) {
    let records =
        output["Records"].as_array().map_or_else(|| vec![output], |records| records.iter().collect());
    let text = |record: &Value, member: &str| record[member].as_str().map(str::to_owned);
    let mut shards: Vec<String> = records.iter().filter_map(|record| text(record, "ShardId")).collect();
    shards.dedup();
    (shards.join(" "), records.iter().filter_map(|record| text(record, "SequenceNumber")).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Echo;

    impl Service for Echo {
        fn call<'a>(&'a self, _: &'a str, _: Value) -> BoxFuture<'a, ApiResult> {
            Box::pin(async { Ok(json!({"ShardId": "shardId-000000000000", "SequenceNumber": "49"})) })
        }
    }

    fn faulty(spec: &str) -> FaultyService {
        let faults = Faults::new(vec![spec.parse().expect("spec")]);
        FaultyService::new(Arc::new(Echo), Arc::new(faults), Clock::starting_at(0))
    }

    #[tokio::test(start_paused = true)]
    async fn latency_holds_the_data_path_and_nothing_else() {
        let faulty = faulty("latency:for=20ms");
        faulty.call("PutRecord", json!({})).await.expect("answered");
        assert_eq!(faulty.0.clock.now_us(), 20_000);
        faulty.call("DescribeStream", json!({})).await.expect("answered");
        assert_eq!(faulty.0.clock.now_us(), 20_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_its_client_gave_up_on_still_takes_effect() {
        struct Counts(std::sync::atomic::AtomicU32);
        impl Service for Counts {
            fn call<'a>(&'a self, _: &'a str, _: Value) -> BoxFuture<'a, ApiResult> {
                self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                Box::pin(async { Ok(Value::Null) })
            }
        }
        let counts = Arc::new(Counts(Default::default()));
        let faults = Faults::new(vec!["latency:for=2s".parse().expect("spec")]);
        let faulty = FaultyService::new(counts.clone(), Arc::new(faults), Clock::starting_at(0));
        let patience = Duration::from_secs(1);
        assert!(tokio::time::timeout(patience, faulty.call("PutRecord", json!({}))).await.is_err());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(counts.0.load(std::sync::atomic::Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_ends_each_period_and_holds_whoever_comes() {
        let faulty = faulty("stall:every=5s,for=500ms");
        faulty.call("PutRecord", json!({})).await.expect("answered");
        tokio::time::sleep(Duration::from_millis(4_400)).await;
        faulty.call("PutRecord", json!({})).await.expect("answered");
        assert_eq!(faulty.0.clock.now_us(), 4_400_000);
        tokio::time::sleep(Duration::from_millis(200)).await;
        faulty.call("PutRecord", json!({})).await.expect("answered");
        assert_eq!(faulty.0.clock.now_us(), 5_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn error_and_throttle_rates_are_met_and_logged() {
        for (spec, code) in [
            ("error:rate=10%", "InternalFailure"),
            ("throttle:rate=10%", "ProvisionedThroughputExceededException"),
        ] {
            let faulty = faulty(spec);
            let mut refused = 0;
            for _ in 0..2_000 {
                if let Err(error) = faulty.call("PutRecords", json!({})).await {
                    assert_eq!(error.code, code);
                    refused += 1;
                }
            }
            assert!((140..=260).contains(&refused), "{spec}: {refused}");
            assert_eq!(faulty.0.faults.log().len(), refused);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_takes_effect_and_is_logged_with_its_sequence_number() {
        let faulty = faulty("lost-answer:rate=100%");
        let error = faulty.call_json("PutRecord", Bytes::new()).await.expect_err("lost");
        assert!(error.is_no_answer());
        let log = faulty.0.faults.log();
        assert_eq!((log[0].kind, &log[0].kinesis_sequences[0][..]), ("lost-answer", "49"));
    }
}
