//! What is listened to between the parts, so that the truth does not come from what is under test: answers
//! that reached the producer, batches that reached the function, receipts that it sent.

use std::collections::BTreeSet;
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

#[derive(Default)]
pub struct Heard {
    /// Sequences of records of which a good answer reached the producer.
    pub acked: BTreeSet<u64>,
    /// Sequences of records that reached the function, whatever became of them there.
    pub handled: BTreeSet<u64>,
    /// Receipts that the function sent, in the order of sending, whatever became of them.
    pub receipts: Vec<Receipt>,
}

pub type Tap = Arc<Mutex<Heard>>;

/// The sequence of a record that counts.
fn sequence(data: &Value) -> Option<u64> {
    let data = STANDARD.decode(data.as_str()?).ok()?;
    let envelope = Envelope::find_in(&data)?;
    (envelope.level != PROBE_LEVEL).then_some(envelope.sequence)
}

impl Heard {
    pub fn handled(&mut self, event: &[u8]) {
        let event: Value = serde_json::from_slice(event).unwrap();
        let records = event["Records"].as_array().unwrap();
        self.handled.extend(records.iter().filter_map(|record| sequence(&record["kinesis"]["data"])));
    }

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

/// The in-process door, listened to. An answer that the SDK no longer waits for is not heard.
pub fn listening(inner: SharedHttpClient, tap: Tap) -> SharedHttpClient {
    SharedHttpClient::new(Listening { inner, tap })
}

struct Listening {
    inner: SharedHttpClient,
    tap: Tap,
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
    tap: Tap,
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
                tap.lock().unwrap().answered(&put, &body);
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
