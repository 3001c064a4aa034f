//! An HTTP client between the SDK and the endpoint that writes down which operations were asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use bytes::Bytes;
use streamgauge::local::cloud::Cloud;

/// (name that the request was signed for, operation).
pub type Calls = Arc<Mutex<BTreeSet<(String, String)>>>;

#[derive(Clone)]
struct Recording {
    cloud: Arc<Cloud>,
    inner: SharedHttpClient,
    calls: Calls,
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recording")
    }
}

/// `inner`, with what it is asked written to `calls`.
pub fn recording(cloud: &Arc<Cloud>, inner: SharedHttpClient, calls: &Calls) -> SharedHttpClient {
    SharedHttpClient::new(Recording { cloud: Arc::clone(cloud), inner, calls: Arc::clone(calls) })
}

impl HttpClient for Recording {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(RecordingConnector { recording: self.clone(), connector })
    }
}

#[derive(Debug)]
struct RecordingConnector {
    recording: Recording,
    connector: SharedHttpConnector,
}

impl HttpConnector for RecordingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.recording.calls.lock().unwrap().insert(self.recording.asked(&request));
        self.connector.call(request)
    }
}

impl Recording {
    fn asked(&self, request: &HttpRequest) -> (String, String) {
        // Credential=<key>/<date>/<region>/<service>/aws4_request
        let signed = request.headers().get("authorization").expect("the SDK signs");
        let service = signed.split('/').nth(3).expect("a credential scope").to_owned();
        let operation = match self.cloud.http_service(&service) {
            Some(rest) => {
                let plain = http::Request::builder().method(request.method()).uri(request.uri());
                rest.operation(&plain.body(Bytes::new()).unwrap())
            }
            None => of_rpc(request),
        };
        assert!(!operation.is_empty(), "{service}: {} {}", request.method(), request.uri());
        (service, operation)
    }
}

/// The operation of a request in the JSON, CBOR or query protocol.
fn of_rpc(request: &HttpRequest) -> String {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.rsplit('.').next().unwrap_or_default().to_owned();
    }
    if let Some((_, operation)) = request.uri().rsplit_once("/operation/") {
        return operation.to_owned();
    }
    let form = form_urlencoded::parse(request.body().bytes().unwrap_or_default());
    form.into_owned().find(|(key, _)| key == "Action").map(|(_, action)| action).unwrap_or_default()
}
