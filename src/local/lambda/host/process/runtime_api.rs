//! The Runtime API of one sandbox, on its own port of 127.0.0.1. Lambda developer guide, "Using the Lambda
//! runtime API for custom runtimes".

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::platform::limits::INVOKE_PAYLOAD_MAX_BYTES;

const PREFIX: &str = "/2018-06-01/runtime/";
/// Connections that a runtime may hold; it needs one or two.
const CONNECTIONS_MAX: usize = 32;
/// Signals that wait to be looked at.
const SIGNALS: usize = 16;

/// One invocation on its way to the runtime.
#[derive(Debug)]
pub struct Event {
    pub request_id: String,
    pub deadline_ms: i64,
    pub function_arn: String,
    pub body: Bytes,
}

/// What the runtime said.
#[derive(Debug, PartialEq)]
pub enum Signal {
    /// It asked for the next invocation.
    Ready,
    Response {
        request_id: String,
        body: Bytes,
    },
    Error {
        request_id: String,
        body: Bytes,
    },
    InitError {
        body: Bytes,
    },
    /// The response is larger than the service takes.
    TooLarge {
        request_id: String,
    },
}

/// The server; it ends, with all its connections, when this is dropped.
pub struct RuntimeApi {
    pub address: SocketAddr,
    pub events: mpsc::Sender<Event>,
    pub signals: mpsc::Receiver<Signal>,
    server: AbortHandle,
}

impl RuntimeApi {
    pub async fn start() -> io::Result<RuntimeApi> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (events, next) = mpsc::channel(1);
        let (signal, signals) = mpsc::channel(SIGNALS);
        let shared =
            Arc::new(Shared { next: tokio::sync::Mutex::new(next), signal, current: Mutex::default() });
        let server = tokio::spawn(serve(listener, shared)).abort_handle();
        Ok(RuntimeApi { address, events, signals, server })
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Shared {
    next: tokio::sync::Mutex<mpsc::Receiver<Event>>,
    signal: mpsc::Sender<Signal>,
    /// Request id of the invocation that the runtime works on.
    current: Mutex<Option<String>>,
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Aborting this task drops the set, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { continue };
        if connections.len() >= CONNECTIONS_MAX {
            continue;
        }
        let shared = shared.clone();
        connections.spawn(async move {
            // Small answers on loopback: waiting to fill a segment would cost each invocation 40 ms.
            let _ = stream.set_nodelay(true);
            let service = hyper::service::service_fn(move |request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(shared.answer(request).await) }
            });
            // An error is the runtime closing its connection: its process tells the rest.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
        match (request.method().clone(), path.split('/').collect::<Vec<_>>().as_slice()) {
            (Method::GET, ["invocation", "next"]) => self.next().await,
            (Method::POST, ["invocation", id, "response"]) => self.finish(id, false, request).await,
            (Method::POST, ["invocation", id, "error"]) => self.finish(id, true, request).await,
            (Method::POST, ["init", "error"]) => {
                let body = read(request).await.unwrap_or_default();
                let _ = self.signal.send(Signal::InitError { body }).await;
                accepted()
            }
            _ => refuse(StatusCode::NOT_FOUND, "NotFound", "no such path in the Runtime API"),
        }
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        // Only the first one matters (INIT is over), so a full queue loses nothing.
        let _ = self.signal.try_send(Signal::Ready);
        let Some(event) = self.next.lock().await.recv().await else {
            return refuse(StatusCode::FORBIDDEN, "Closed", "the sandbox is ending");
        };
        *self.current.lock().expect("current lock") = Some(event.request_id.clone());
        Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", &event.request_id)
            .header("lambda-runtime-deadline-ms", event.deadline_ms)
            .header("lambda-runtime-invoked-function-arn", &event.function_arn)
            .header("lambda-runtime-trace-id", trace_id(&event.request_id, event.deadline_ms))
            .body(Full::new(event.body))
            .unwrap_or_else(|_| {
                refuse(StatusCode::INTERNAL_SERVER_ERROR, "BadHeader", "a header is not valid")
            })
    }

    async fn finish(&self, id: &str, failed: bool, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if self.current.lock().expect("current lock").as_deref() != Some(id) {
            return refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID");
        }
        let request_id = id.to_owned();
        let signal = match read(request).await {
            Ok(body) if failed => Signal::Error { request_id, body },
            Ok(body) => Signal::Response { request_id, body },
            Err(error) if error.is::<LengthLimitError>() => {
                let _ = self.signal.send(Signal::TooLarge { request_id }).await;
                let message = "Exceeded maximum allowed payload size (6291556 bytes).";
                return refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message);
            }
            Err(_) => return refuse(StatusCode::BAD_REQUEST, "InvalidBody", "the body did not arrive whole"),
        };
        self.current.lock().expect("current lock").take();
        let _ = self.signal.send(signal).await;
        accepted()
    }
}

async fn read(request: Request<Incoming>) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Limited::new(request.into_body(), INVOKE_PAYLOAD_MAX_BYTES).collect().await?.to_bytes())
}

fn accepted() -> Response<Full<Bytes>> {
    json(StatusCode::ACCEPTED, r#"{"status":"OK"}"#.to_owned())
}

fn refuse(status: StatusCode, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    json(status, serde_json::json!({"errorType": error_type, "errorMessage": message}).to_string())
}

fn json(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

/// In X-Ray's form, never sampled: `Root=1-<seconds, hex>-<24 hex digits>;Parent=<16>;Sampled=0`.
fn trace_id(request_id: &str, deadline_ms: i64) -> String {
    let hex: String = request_id.chars().filter(char::is_ascii_hexdigit).collect();
    let digits = format!("{hex:0<40}");
    format!("Root=1-{:08x}-{};Parent={};Sampled=0", deadline_ms / 1_000, &digits[..24], &digits[24..40])
}
