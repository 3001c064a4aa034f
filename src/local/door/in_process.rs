//! The door without a socket: an HTTP client for the AWS SDKs that hands each request to the router.
//!
//! The SDK signs, serializes and parses as ever. Under a paused clock nothing here waits, so that virtual
//! time stands still while a request is answered, unless its service lets time pass.

use std::fmt;
use std::io;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::BodyExt;

use super::response::NoAnswer;
use super::router;
use crate::local::cloud::Cloud;

/// The client to give to an SDK's configuration, with an endpoint address such as `http://localhost`.
pub fn sdk_http_client(cloud: Arc<Cloud>) -> SharedHttpClient {
    SharedHttpClient::new(InProcess { cloud })
}

#[derive(Clone)]
struct InProcess {
    cloud: Arc<Cloud>,
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let cloud = Arc::clone(&self.cloud);
        HttpConnectorFuture::new(async move { answer(&cloud, request).await })
    }
}

async fn answer(cloud: &Cloud, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    let response = router::handle(cloud, http::Request::from_parts(parts, collect(body).await?)).await;
    if response.extensions().get::<NoAnswer>().is_some() {
        let closed = io::Error::new(io::ErrorKind::ConnectionAborted, "connection closed before the answer");
        return Err(ConnectorError::io(closed.into()));
    }
    HttpResponse::try_from(response.map(SdkBody::from))
        .map_err(|error| ConnectorError::other(error.into(), None))
}

async fn collect(body: SdkBody) -> Result<Bytes, ConnectorError> {
    // Most bodies are in memory already.
    if let Some(bytes) = body.bytes() {
        return Ok(Bytes::copy_from_slice(bytes));
    }
    let collected = body.collect().await.map_err(ConnectorError::user)?;
    Ok(collected.to_bytes())
}
