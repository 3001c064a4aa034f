//! A service with an RPC protocol, and faults in front of it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::Faults;
use super::front::{Asker, Front, Written};
use crate::local::service::{ApiError, ApiResult, BoxFuture, Service};
use crate::platform::clock::Clock;

/// A service with the faults of [`Faults`] in front of it.
#[derive(Clone)]
pub struct FaultyService {
    inner: Arc<dyn Service>,
    front: Arc<Front>,
}

impl FaultyService {
    /// `name` is what requests to the service are signed for.
    pub fn new(
        asker: Asker,
        name: &'static str,
        inner: Arc<dyn Service>,
        faults: Arc<Faults>,
        clock: Clock,
    ) -> FaultyService {
        FaultyService { inner, front: Arc::new(Front::new(asker, name, faults, clock)) }
    }
}

impl Service for FaultyService {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        if !self.front.touches(operation) {
            return self.inner.call(operation, input);
        }
        let (FaultyService { inner, front }, operation) = (self.clone(), operation.to_owned());
        to_its_end(async move {
            front.before(&operation, || records(&operation, &input)).await?;
            let output = inner.call(&operation, input).await?;
            if front.loses_answer(&operation) {
                return Err(front.lose(&operation, written(&output)).await);
            }
            Ok(output)
        })
    }

    fn call_json<'a>(&'a self, operation: &'a str, body: Bytes) -> BoxFuture<'a, Result<Bytes, ApiError>> {
        if !self.front.touches(operation) {
            return self.inner.call_json(operation, body);
        }
        let (FaultyService { inner, front }, operation) = (self.clone(), operation.to_owned());
        to_its_end(async move {
            front.before(&operation, || records(&operation, &tree(&body))).await?;
            let output = inner.call_json(&operation, body).await?;
            if front.loses_answer(&operation) {
                return Err(front.lose(&operation, written(&tree(&output))).await);
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

fn tree(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or(Value::Null)
}

/// Records of a put; 0 for any other operation.
fn records(operation: &str, input: &Value) -> u64 {
    match operation {
        "PutRecord" => 1,
        "PutRecords" => input["Records"].as_array().map_or(0, |records| records.len() as u64),
        _ => 0,
    }
}

/// Shards and sequence numbers in the answer of a PutRecord or PutRecords: records that it refused have none.
fn written(output: &Value) -> Written {
    let records =
        output["Records"].as_array().map_or_else(|| vec![output], |records| records.iter().collect());
    let text = |record: &Value, member: &str| record[member].as_str().map(str::to_owned);
    let mut shards: Vec<String> = records.iter().filter_map(|record| text(record, "ShardId")).collect();
    shards.sort_unstable();
    shards.dedup();
    let kinesis_sequences = records.iter().filter_map(|record| text(record, "SequenceNumber")).collect();
    Written { shards: shards.join(" "), kinesis_sequences }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    struct Echo;

    impl Service for Echo {
        fn call<'a>(&'a self, _: &'a str, _: Value) -> BoxFuture<'a, ApiResult> {
            Box::pin(async { Ok(json!({"ShardId": "shardId-000000000000", "SequenceNumber": "49"})) })
        }
    }

    fn faulty(spec: &str) -> (FaultyService, Arc<Faults>) {
        let faults = Arc::new(Faults::new(vec![spec.parse().expect("spec")]));
        let clock = Clock::starting_at(0);
        (FaultyService::new(Asker::Door, "kinesis", Arc::new(Echo), faults.clone(), clock), faults)
    }

    #[tokio::test(start_paused = true)]
    async fn latency_holds_the_data_path_and_nothing_else() {
        let (faulty, faults) = faulty("latency:for=20ms");
        faulty.call("PutRecord", json!({})).await.expect("answered");
        assert_eq!(faulty.front.clock.now_us(), 20_000);
        faulty.call("DescribeStream", json!({})).await.expect("answered");
        assert_eq!(faulty.front.clock.now_us(), 20_000);
        for _ in 0..60 {
            faulty.call("PutRecord", json!({})).await.expect("answered");
        }
        let log = faults.log();
        let logged: Vec<_> = log.iter().map(|event| (event.kind, &*event.op, event.strikes)).collect();
        // 61 calls of 20 ms each: 50 begin in the first second.
        assert_eq!(logged, [("latency", "PutRecord", 50), ("latency", "PutRecord", 11)]);
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
        let faulty = FaultyService::new(
            Asker::Door,
            "kinesis",
            counts.clone(),
            Arc::new(faults),
            Clock::starting_at(0),
        );
        let patience = Duration::from_secs(1);
        assert!(tokio::time::timeout(patience, faulty.call("PutRecord", json!({}))).await.is_err());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(counts.0.load(std::sync::atomic::Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_ends_each_period_and_holds_whoever_comes() {
        let (faulty, faults) = faulty("stall:every=5s,for=500ms");
        faulty.call("PutRecord", json!({})).await.expect("answered");
        tokio::time::sleep(Duration::from_millis(4_400)).await;
        faulty.call("PutRecord", json!({})).await.expect("answered");
        assert_eq!(faulty.front.clock.now_us(), 4_400_000);
        tokio::time::sleep(Duration::from_millis(200)).await;
        faulty.call("PutRecord", json!({})).await.expect("answered");
        assert_eq!(faulty.front.clock.now_us(), 5_000_000);
        assert_eq!(faults.struck()["stall"].strikes, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn error_and_throttle_rates_are_met_and_every_strike_is_counted() {
        for (spec, operation, code) in [
            ("error:rate=10%", "PutRecords", "InternalFailure"),
            ("throttle:rate=10%,op=GetRecords", "GetRecords", "ProvisionedThroughputExceededException"),
            ("throttle:rate=10%,op=CreateStream", "CreateStream", "LimitExceededException"),
        ] {
            let (faulty, faults) = faulty(spec);
            let mut refused = 0;
            for _ in 0..2_000 {
                let input = json!({"Records": [1, 2, 3]}).to_string().into();
                if let Err(error) = faulty.call_json(operation, input).await {
                    assert_eq!(error.code, code);
                    refused += 1;
                }
            }
            assert!((140..=260).contains(&refused), "{spec}: {refused}");
            let [event] = &faults.log()[..] else { panic!("one second, one event: {:?}", faults.log()) };
            let records = if operation == "PutRecords" { refused * 3 } else { 0 };
            assert_eq!((event.strikes, event.records), (refused, records), "{spec}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_told_to_who_asks_and_to_cloudformation_and_not_to_a_mapping() {
        let spec = "error:op=GetRecords,code=AccessDeniedException,count=2";
        for (asker, refused) in [(Asker::Door, 2), (Asker::Stack, 2), (Asker::Mapping, 0)] {
            let faults = Arc::new(Faults::new(vec![spec.parse().expect("spec")]));
            let faulty =
                FaultyService::new(asker, "kinesis", Arc::new(Echo), faults.clone(), Clock::starting_at(0));
            let mut errors = Vec::new();
            for _ in 0..5 {
                errors.extend(faulty.call("GetRecords", json!({})).await.err());
            }
            assert_eq!(errors.len(), refused, "{asker:?}");
            assert_eq!(faults.struck()["error"].strikes, refused as u64);
            for error in errors {
                assert_eq!((error.status, &*error.code), (400, "AccessDeniedException"));
                assert!(error.message.contains("not authorized to perform: kinesis:GetRecords"), "{error}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn throttles_of_puts_are_left_to_kinesis() {
        let (faulty, faults) = faulty("throttle:rate=100%");
        faulty.call("PutRecords", json!({})).await.expect("answered");
        assert!(faults.log().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_takes_effect_and_is_logged_with_its_sequence_number() {
        let (faulty, faults) = faulty("lost-answer:rate=100%");
        let error = faulty.call_json("PutRecord", Bytes::new()).await.expect_err("lost");
        assert!(error.is_no_answer());
        let log = faults.log();
        assert_eq!((log[0].kind, &log[0].kinesis_sequences[0][..], log[0].records), ("lost-answer", "49", 1));
    }

    #[test]
    fn of_a_batch_only_the_records_that_were_written_are_truth() {
        let output = json!({"FailedRecordCount": 1, "Records": [
            {"ShardId": "shardId-1", "SequenceNumber": "7"},
            {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"},
            {"ShardId": "shardId-0", "SequenceNumber": "8"},
            {"ShardId": "shardId-1", "SequenceNumber": "9"},
        ]});
        let written = written(&output);
        assert_eq!(
            (&*written.shards, written.kinesis_sequences.join(" ")),
            ("shardId-0 shardId-1", "7 8 9".into())
        );
    }
}
