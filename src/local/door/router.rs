//! From a request to its service and back, whatever the door and the protocol.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, header};

use super::response::Protocol;
use super::{BODY_MAX_BYTES, cbor, control, guard, json, query};
use crate::local::cloud::Cloud;
use crate::local::service::{ApiError, Service, input_object};

/// Answers one request. A response that carries [`super::response::NoAnswer`] must not be sent: the door
/// closes the connection instead.
pub async fn handle(cloud: &Cloud, request: Request<Bytes>) -> Response<Bytes> {
    let (parts, body) = request.into_parts();
    let request_id = cloud.request_id();
    let protocol = protocol_of(&parts);
    match admit(&parts, &body) {
        Err(error) => protocol.error(&error, &request_id),
        Ok(Admitted::Control) => control::answer(cloud, &parts),
        Ok(Admitted::Service(service)) => {
            if let Some(rest) = cloud.http_service(&service) {
                let rest = Arc::clone(rest);
                return rest.http(Request::from_parts(parts, body)).await;
            }
            serve(cloud, &service, &parts, body, &request_id).await
        }
    }
}

enum Admitted {
    Control,
    Service(String),
}

fn admit(parts: &Parts, body: &Bytes) -> Result<Admitted, ApiError> {
    guard::check_sender(parts)?;
    if body.len() > BODY_MAX_BYTES {
        return Err(too_large());
    }
    if parts.uri.path().starts_with(control::PREFIX) {
        return Ok(Admitted::Control);
    }
    guard::signed_service(parts).map(Admitted::Service)
}

pub fn too_large() -> ApiError {
    ApiError::new(
        413,
        "RequestEntityTooLargeException",
        format!("the body has more than {BODY_MAX_BYTES} bytes"),
    )
}

/// How the request is written, as far as it tells before its service is known.
fn protocol_of(parts: &Parts) -> Protocol {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let content_type = text(header::CONTENT_TYPE.as_str());
    if text("smithy-protocol") == "rpc-v2-cbor" {
        Protocol::Cbor
    } else if parts.headers.contains_key("x-amz-target") {
        Protocol::Json(content_type.to_owned())
    } else if content_type.starts_with("application/x-www-form-urlencoded") {
        Protocol::Query("http://webservices.amazon.com/")
    } else {
        Protocol::Rest
    }
}

async fn serve(
    cloud: &Cloud,
    service: &str,
    parts: &Parts,
    body: Bytes,
    request_id: &str,
) -> Response<Bytes> {
    let mut protocol = protocol_of(parts);
    if let (Protocol::Query(_) | Protocol::Rest, Some(namespace)) = (&protocol, query::namespace(service)) {
        protocol = Protocol::Query(namespace);
    }
    let answered = match (cloud.service(service), inflated(parts, body)) {
        (_, Err(error)) => Err(error),
        (None, _) => Err(no_service(cloud, service)),
        (Some(found), Ok(body)) => match &protocol {
            Protocol::Json(_) => call_json(&protocol, service, found, parts, body, request_id).await,
            Protocol::Cbor => call_cbor(&protocol, found, parts, &body, request_id).await,
            Protocol::Query(_) => call_query(&protocol, service, found, parts, &body, request_id).await,
            Protocol::Rest => Err(no_protocol(service)),
        },
    };
    answered.unwrap_or_else(|error| protocol.error(&error, request_id))
}

async fn call_json(
    protocol: &Protocol,
    service: &str,
    found: &Arc<dyn Service>,
    parts: &Parts,
    body: Bytes,
    request_id: &str,
) -> Result<Response<Bytes>, ApiError> {
    let target = json::target(&parts.headers).ok_or_else(|| no_protocol(service))?;
    let (owner, operation) = target.map_err(|why| ApiError::invalid("UnknownOperationException", why))?;
    if owner != service {
        let why = format!("a request signed for {service} has a target of {owner}");
        return Err(ApiError::invalid("UnknownOperationException", why));
    }
    let output = found.call_json(&operation, body).await?;
    Ok(protocol.json(output, request_id))
}

/// `/service/GraniteServiceVersion20100801/operation/PutMetricData`: "Smithy RPC v2 CBOR protocol".
async fn call_cbor(
    protocol: &Protocol,
    found: &Arc<dyn Service>,
    parts: &Parts,
    body: &[u8],
    request_id: &str,
) -> Result<Response<Bytes>, ApiError> {
    let operation = parts
        .uri
        .path()
        .rsplit_once("/operation/")
        .filter(|(shape, operation)| shape.starts_with("/service/") && !operation.is_empty())
        .map(|(_, operation)| operation)
        .ok_or_else(|| ApiError::new(404, "UnknownOperationException", "the path names no operation"))?;
    let input = cbor::decode(body).map_err(|why| ApiError::invalid("SerializationException", why))?;
    let output = found.call(operation, input_object(input)?).await?;
    Ok(protocol.output(operation, &output, request_id))
}

async fn call_query(
    protocol: &Protocol,
    service: &str,
    found: &Arc<dyn Service>,
    parts: &Parts,
    body: &Bytes,
    request_id: &str,
) -> Result<Response<Bytes>, ApiError> {
    if query::namespace(service).is_none() {
        return Err(no_protocol(service));
    }
    let address = parts.uri.query().unwrap_or("");
    let form = query::parse(address, body).map_err(|why| ApiError::invalid("MalformedQueryString", why))?;
    if form.operation.is_empty() {
        let why = "the request is missing an action: it has no parameter Action";
        return Err(ApiError::invalid("MissingAction", why));
    }
    let output = found.call(&form.operation, form.input).await?;
    Ok(protocol.output(&form.operation, &output, request_id))
}

/// SDKs compress the larger requests of some operations (PutMetricData).
fn inflated(parts: &Parts, body: Bytes) -> Result<Bytes, ApiError> {
    if parts.headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return Ok(body);
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&*body)
        .take(BODY_MAX_BYTES as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|error| ApiError::invalid("SerializationException", format!("the gzip body: {error}")))?;
    if plain.len() > BODY_MAX_BYTES { Err(too_large()) } else { Ok(Bytes::from(plain)) }
}

fn no_service(cloud: &Cloud, service: &str) -> ApiError {
    let known: Vec<&str> = cloud.service_names().collect();
    let message = format!("the local endpoint has no service {service}; it has {}", known.join(", "));
    ApiError::invalid("UnknownOperationException", message)
}

fn no_protocol(service: &str) -> ApiError {
    let message = match service {
        "sqs" => "the local endpoint speaks JSON for SQS, as SDKs do since late 2023; this client is older",
        _ => "the request names no operation: no X-Amz-Target, no form",
    };
    ApiError::invalid("UnknownOperationException", message)
}
