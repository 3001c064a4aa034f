//! A service with a REST protocol, and faults in front of it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};

use super::Faults;
use super::front::{Asker, Front, Written};
use crate::local::door::response::Protocol;
use crate::local::service::{ApiError, BoxFuture, HttpService};
use crate::platform::clock::Clock;

/// A REST service with the faults of [`Faults`] in front of it.
#[derive(Clone)]
pub struct FaultyHttp {
    inner: Arc<dyn HttpService>,
    front: Arc<Front>,
}

impl FaultyHttp {
    /// `name` is what requests to the service are signed for.
    pub fn new(
        name: &'static str,
        inner: Arc<dyn HttpService>,
        faults: Arc<Faults>,
        clock: Clock,
    ) -> FaultyHttp {
        FaultyHttp { inner, front: Arc::new(Front::new(Asker::Door, name, faults, clock)) }
    }

    async fn answer(self, operation: &str, request: Request<Bytes>) -> Result<Response<Bytes>, ApiError> {
        self.front.before(operation, || 0).await?;
        let response = self.inner.http(request).await;
        if response.status().is_success() && self.front.loses_answer(operation) {
            return Err(self.front.lose(operation, Written::default()).await);
        }
        Ok(response)
    }
}

impl HttpService for FaultyHttp {
    fn http<'a>(&'a self, request: Request<Bytes>) -> BoxFuture<'a, Response<Bytes>> {
        let operation = self.inner.operation(&request);
        if !self.front.touches(&operation) {
            return self.inner.http(request);
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        // To its end even when the client gives up waiting, as in front of the other services.
        let faulty = self.clone();
        let work = tokio::spawn(async move { faulty.answer(&operation, request).await });
        Box::pin(async move {
            match work.await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) if error.is_no_answer() => Protocol::Rest.error(&error, ""),
                Ok(Err(error)) => self.inner.refusal(&method, &path, &error),
                Err(_) => {
                    let error = ApiError::new(500, "InternalFailure", "the service ended");
                    self.inner.refusal(&method, &path, &error)
                }
            }
        })
    }

    fn operation(&self, request: &Request<Bytes>) -> String {
        self.inner.operation(request)
    }

    fn refusal(&self, method: &http::Method, path: &str, error: &ApiError) -> Response<Bytes> {
        self.inner.refusal(method, path, error)
    }
}
