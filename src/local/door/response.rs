//! Responses in each protocol's style.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{cbor, xml};
use crate::local::service::{ApiError, UNKNOWN_OPERATION};

/// Member of an [`ApiError`] for the door alone: the code that clients knew before the service's protocol
/// changed from query, sent in `x-amzn-query-error`.
const QUERY_CODE: &str = "__query_code";

/// In a response's extensions: the request is to go without an answer, its connection closed.
#[derive(Clone, Copy, Debug)]
pub struct NoAnswer;

/// How a request was written, which is how it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// AWS JSON; with the content type of the request.
    Json(String),
    /// Smithy RPC v2 CBOR.
    Cbor,
    /// AWS query: form in, XML out. With the service's namespace.
    Query(&'static str),
    /// REST, whose services answer for themselves: for refusals before they are asked.
    Rest,
}

impl Protocol {
    pub fn error(&self, error: &ApiError, request_id: &str) -> Response<Bytes> {
        if error.is_no_answer() {
            let mut response = Response::new(Bytes::new());
            response.extensions_mut().insert(NoAnswer);
            return response;
        }
        let error = &self.spelled(error);
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match self {
            Protocol::Json(content_type) => plain(status, content_type, json_error(error)),
            Protocol::Rest => plain(status, "application/json", json_error(error)),
            Protocol::Cbor => cbor(status, Bytes::from(cbor::encode_error(error))),
            Protocol::Query(namespace) => {
                plain(status, "text/xml", Bytes::from(xml::error(namespace, error, request_id)))
            }
        };
        put(&mut response, "x-amzn-requestid", request_id);
        if !matches!(self, Protocol::Query(_)) {
            put(&mut response, "x-amzn-errortype", &error.code);
        }
        if let Some(code) = error.members.get(QUERY_CODE).and_then(Value::as_str) {
            let fault = if error.status < 500 { "Sender" } else { "Receiver" };
            put(&mut response, "x-amzn-query-error", &format!("{code};{fault}"));
        }
        response
    }

    /// An unknown operation as the protocol tells it: query `InvalidAction` (common errors of the query
    /// APIs), REST and CBOR 404 because the address is unknown (the server of the Smithy project for RPC v2 CBOR),
    /// JSON 400.
    fn spelled<'a>(&self, error: &'a ApiError) -> Cow<'a, ApiError> {
        if error.code != UNKNOWN_OPERATION {
            return Cow::Borrowed(error);
        }
        let mut error = error.clone();
        match self {
            Protocol::Json(_) => {}
            Protocol::Cbor | Protocol::Rest => error.status = 404,
            Protocol::Query(_) => error.code = "InvalidAction".to_owned(),
        }
        Cow::Owned(error)
    }

    /// The answer to an operation, for the protocols that are asked with a tree.
    pub fn output(&self, operation: &str, output: &Value, request_id: &str) -> Response<Bytes> {
        let ok = StatusCode::OK;
        let mut response = match self {
            Protocol::Cbor => cbor(ok, Bytes::from(cbor::encode(output))),
            Protocol::Query(namespace) => {
                let document = xml::output(namespace, operation, output, request_id);
                plain(ok, "text/xml", Bytes::from(document))
            }
            Protocol::Json(_) | Protocol::Rest => {
                return self.json(Bytes::from(output.to_string()), request_id);
            }
        };
        put(&mut response, "x-amzn-requestid", request_id);
        response
    }

    /// The answer to an operation, in bytes of JSON.
    pub fn json(&self, body: Bytes, request_id: &str) -> Response<Bytes> {
        let content_type = match self {
            Protocol::Json(content_type) => content_type,
            _ => "application/json",
        };
        let mut response = plain(StatusCode::OK, content_type, body);
        put(&mut response, "x-amzn-requestid", request_id);
        response
    }
}

pub fn plain(status: StatusCode, content_type: &str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    put(&mut response, header::CONTENT_TYPE.as_str(), content_type);
    response
}

fn cbor(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = plain(status, "application/cbor", body);
    put(&mut response, "smithy-protocol", "rpc-v2-cbor");
    response
}

/// Sets a header; a value that is no header value is left out.
fn put(response: &mut Response<Bytes>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn json_error(error: &ApiError) -> Bytes {
    let mut body: Map<String, Value> = error
        .members
        .iter()
        .filter(|(name, _)| !name.starts_with("__"))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    body.insert("__type".to_owned(), json!(error.code));
    body.insert("message".to_owned(), json!(error.message));
    Bytes::from(Value::Object(body).to_string())
}
