//! What is listened to between the parts, so that the truth does not come from what is under test: answers
//! that reached the producer, batches that reached the function, receipts that it sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use streamgauge::wire::envelope::{Envelope, PROBE_LEVEL};
use streamgauge::wire::receipt::Receipt;

use super::support::Listener;

#[derive(Default)]
pub struct Heard {
    /// Sequences of records of which a good answer reached the producer.
    pub acked: BTreeSet<u64>,
    /// Batches that reached the function, whatever became of them there, by request id.
    pub batches: BTreeMap<String, Vec<Handed>>,
    /// Receipts that the function sent, in the order of sending, whatever became of them.
    pub receipts: Vec<Receipt>,
    /// Bodies of the messages in the on-failure queue.
    pub dead_letters: Vec<Value>,
}

/// A record that reached the function and counts.
pub struct Handed {
    pub sequence: u64,
    /// Kinesis sequence numbers of the local stream have 56 digits each: their text is in their order.
    pub number: String,
    pub shard: String,
    pub poison: bool,
}

pub struct Tap(pub Mutex<Heard>);

impl Listener for Tap {
    /// An answer that the SDK no longer waits for is not heard.
    fn door(self: Arc<Self>, inner: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Listening { inner, tap: self })
    }

    fn invoked(&self, request_id: &str, event: &[u8]) {
        let event: Value = serde_json::from_slice(event).unwrap();
        let handed = event["Records"].as_array().unwrap().iter().filter_map(Handed::read).collect();
        let before = self.0.lock().unwrap().batches.insert(request_id.to_owned(), handed);
        assert!(before.is_none(), "two invocations with one request id");
    }

    fn sent(&self, message: &str) {
        self.0.lock().unwrap().receipts.push(Receipt::from_message(message).unwrap());
    }

    fn dead_letter(&self, body: &str) {
        self.0.lock().unwrap().dead_letters.push(serde_json::from_str(body).unwrap());
    }
}

impl Handed {
    fn read(record: &Value) -> Option<Handed> {
        let envelope = envelope(&record["kinesis"]["data"])?;
        let (shard, number) = record["eventID"].as_str()?.split_once(':')?;
        Some(Handed {
            sequence: envelope.sequence,
            number: number.to_owned(),
            shard: shard.to_owned(),
            poison: envelope.poison,
        })
    }
}

/// The envelope of a record that counts.
fn envelope(data: &Value) -> Option<Envelope> {
    let data = STANDARD.decode(data.as_str()?).ok()?;
    Envelope::find_in(&data).filter(|envelope| envelope.level != PROBE_LEVEL)
}

fn sequence(data: &Value) -> Option<u64> {
    Some(envelope(data)?.sequence)
}

impl Heard {
    fn answered(&mut self, request: &Value, answer: &Value) {
        let Some(records) = request["Records"].as_array() else {
            self.acked.extend(sequence(&request["Data"]));
            return;
        };
        for (record, result) in records.iter().zip(answer["Records"].as_array().unwrap()) {
            if result["ErrorCode"].is_null() {
                self.acked.extend(sequence(&record["Data"]));
            }
        }
    }
}

struct Listening {
    inner: SharedHttpClient,
    tap: Arc<Tap>,
}

impl HttpClient for Listening {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(ListeningConnector { inner, tap: Arc::clone(&self.tap) })
    }
}

struct ListeningConnector {
    inner: SharedHttpConnector,
    tap: Arc<Tap>,
}

impl HttpConnector for ListeningConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        if !target.starts_with("Kinesis_20131202.PutRecord") {
            return self.inner.call(request);
        }
        let put: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let (answer, tap) = (self.inner.call(request), Arc::clone(&self.tap));
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            if answer.status().is_success() {
                let body = serde_json::from_slice(answer.body().bytes().unwrap()).unwrap();
                tap.0.lock().unwrap().answered(&put, &body);
            }
            Ok(answer)
        })
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listening")
    }
}

impl fmt::Debug for ListeningConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListeningConnector")
    }
}
