//! The door on TCP: HTTP/1.1 on loopback.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::response::{NoAnswer, Protocol};
use super::{BODY_MAX_BYTES, router};
use crate::local::cloud::Cloud;

/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 4_096;
/// Bytes of a request's line and headers after which it is refused (hyper may read as much again before it looks).
const HEAD_MAX_BYTES: usize = 64 * 1_024;
const HEADERS_MAX: usize = 100;
/// How long requests under way may take to end after the shutdown began.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Wait after a failed accept: the process is out of file descriptors, and would spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves until `shutdown` is true or its sender is gone; then takes no more connections, lets requests under
/// way end for at most five seconds, and closes the rest.
///
/// # Errors
/// When the listener is bound to anything but loopback.
pub async fn serve(
    cloud: Arc<Cloud>,
    listener: TcpListener,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        let why = format!("the local endpoint serves loopback only, not {address}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    // Only the first door's address counts; there is one.
    let _ = cloud.endpoint_url().set(format!("http://{address}"));
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let ended = shutdown.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = asked(&mut shutdown) => break,
            // Collects those that ended, so that the set does not grow.
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => {
                let (cloud, ended) = (Arc::clone(&cloud), ended.clone());
                connections.spawn(async move {
                    connection(cloud, stream, ended).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

/// Resolves when the shutdown was asked for, or can no longer be.
async fn asked(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|asked| *asked).await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Answers are small and awaited: none is to wait for the next.
    stream.set_nodelay(true)?;
    Ok((stream, slot))
}

async fn connection(cloud: Arc<Cloud>, stream: TcpStream, mut shutdown: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let cloud = Arc::clone(&cloud);
        async move { answer(&cloud, request).await }
    });
    // No timer, so no limit on how long a connection may be idle: clients keep theirs between levels.
    let served = http1::Builder::new()
        .max_buf_size(HEAD_MAX_BYTES)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        _ = asked(&mut shutdown) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}

/// The error closes the connection without an answer.
async fn answer(
    cloud: &Cloud,
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, io::Error> {
    let (parts, body) = request.into_parts();
    // `Limited` counts what has come; a length that was announced need not be waited for.
    if body.size_hint().lower() > BODY_MAX_BYTES as u64 {
        return Ok(Protocol::Rest.error(&router::too_large(), &cloud.request_id()).map(Full::new));
    }
    let body = match Limited::new(body, BODY_MAX_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Ok(Protocol::Rest.error(&router::too_large(), &cloud.request_id()).map(Full::new));
        }
        Err(error) => return Err(io::Error::other(error)),
    };
    let response = router::handle(cloud, http::Request::from_parts(parts, body)).await;
    if response.extensions().get::<NoAnswer>().is_some() {
        return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the answer is lost, on request"));
    }
    Ok(response.map(Full::new))
}

/// Binds a loopback port; 0 takes a free one.
pub async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).await
}
