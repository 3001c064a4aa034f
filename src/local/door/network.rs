//! A network with a modelled latency in front of a door: what a put takes until the service has it, and its answer
//! until the caller has it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use crate::platform::spread::{Spread, to_timer_grain};

/// `door`, a drawn time away for PutRecord and PutRecords: half of it on the way there, half on the way back. Other
/// calls take no time: nothing is measured by them.
pub fn distant(door: SharedHttpClient, put_latency: Spread, seed: u64) -> SharedHttpClient {
    let rng = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
    SharedHttpClient::new(Distant { door, put_latency, rng })
}

#[derive(Clone)]
struct Distant {
    door: SharedHttpClient,
    put_latency: Spread,
    rng: Arc<Mutex<fastrand::Rng>>,
}

impl fmt::Debug for Distant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Distant({:?})", self.put_latency)
    }
}

impl HttpClient for Distant {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.door.http_connector(settings, components);
        let (put_latency, rng) = (self.put_latency, Arc::clone(&self.rng));
        SharedHttpConnector::new(Connector { inner, put_latency, rng })
    }
}

struct Connector {
    inner: SharedHttpConnector,
    put_latency: Spread,
    rng: Arc<Mutex<fastrand::Rng>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({:?})", self.put_latency)
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        if !target.starts_with("Kinesis_20131202.PutRecord") || self.put_latency == Spread::NONE {
            return self.inner.call(request);
        }
        let (there, back) = {
            let rng = &mut self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            let latency = to_timer_grain(self.put_latency.draw(rng), rng);
            let there = to_timer_grain(latency / 2, rng);
            (there, latency - there)
        };
        let inner = self.inner.clone();
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(there).await;
            let answered = inner.call(request).await;
            tokio::time::sleep(back).await;
            answered
        })
    }
}
