//! A stand-in for the endpoint's doors, as small as these tests allow: the real SDK clients sign and send,
//! CloudFormation's requests are turned into its operations, and S3, STS and Lambda answer the few
//! requests that this room makes of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use serde_json::{Map, Value};

use crate::local::cloudformation::CloudFormation;
use crate::local::service::{ApiError, Service};

/// What the bucket holds: key to size.
pub type Objects = Arc<Mutex<BTreeMap<String, usize>>>;

/// How many of the next DescribeStacks are throttled.
pub type Throttles = Arc<AtomicU32>;

#[derive(Clone)]
struct Door {
    cloudformation: Arc<CloudFormation>,
    objects: Objects,
    throttles: Throttles,
}

/// The HTTP client for `Door::InProcess`.
pub fn http_client(
    cloudformation: Arc<CloudFormation>,
    objects: Objects,
    throttles: Throttles,
) -> SharedHttpClient {
    let door = Door { cloudformation, objects, throttles };
    http_client_fn(move |_, _| SharedHttpConnector::new(door.clone()))
}

/// A client whose connections are refused.
pub fn refusing() -> SharedHttpClient {
    http_client_fn(|_, _| {
        SharedHttpConnector::new(Fixed(|| Err(ConnectorError::io("connection refused".into()))))
    })
}

/// A client that gets this CloudFormation error, whatever it asks.
pub fn answering(code: &'static str) -> SharedHttpClient {
    http_client_fn(move |_, _| {
        SharedHttpConnector::new(Fixed(move || {
            let error = format!("<Error><Code>{code}</Code><Message>why</Message></Error>");
            let body = format!("<ErrorResponse>{error}<RequestId>request-1</RequestId></ErrorResponse>");
            let mut response = HttpResponse::new(400.try_into().unwrap(), SdkBody::from(body));
            response.headers_mut().insert("x-amzn-requestid", "request-1");
            Ok(response)
        }))
    })
}

struct Fixed<F>(F);

impl<F> std::fmt::Debug for Fixed<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fixed")
    }
}

impl<F: Fn() -> Result<HttpResponse, ConnectorError> + Send + Sync> HttpConnector for Fixed<F> {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready((self.0)())
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door")
    }
}

impl HttpConnector for Door {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let door = self.clone();
        HttpConnectorFuture::new(async move {
            let (status, body) = door.answer(&request).await;
            let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
            response.headers_mut().insert("x-amzn-requestid", "request-1");
            Ok(response)
        })
    }
}

impl Door {
    async fn answer(&self, request: &HttpRequest) -> (u16, String) {
        // Credential=<key>/<date>/<region>/<service>/aws4_request
        let signed = request.headers().get("authorization").unwrap_or_default();
        match signed.split('/').nth(3).unwrap_or_default() {
            "cloudformation" => self.cloudformation(request).await,
            "s3" => self.s3(request),
            "sts" => (200, answer_xml("GetCallerIdentity", &serde_json::json!({"Account": "111122223333"}))),
            // It has no leftovers to show: `down` goes on without seeing any.
            "kinesis" | "sqs" | "logs" | "monitoring" | "scheduler" => {
                (403, r#"{"__type": "AccessDeniedException", "message": "no"}"#.into())
            }
            "lambda" => (200, r#"{"AccountLimit": {"ConcurrentExecutions": 900}}"#.into()),
            other => panic!("nothing is asked of {other:?}"),
        }
    }

    async fn cloudformation(&self, request: &HttpRequest) -> (u16, String) {
        let mut input = Value::Object(Map::new());
        let mut operation = String::new();
        for (key, value) in form_urlencoded::parse(request.body().bytes().unwrap()) {
            match key.as_ref() {
                "Action" => operation = value.into_owned(),
                "Version" => {}
                path => put(&mut input, &path.split('.').collect::<Vec<_>>(), &value),
            }
        }
        let one_less = |left: u32| left.checked_sub(1);
        if operation == "DescribeStacks"
            && self.throttles.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
        {
            let error = "<Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error>";
            return (400, format!("<ErrorResponse>{error}<RequestId>request-1</RequestId></ErrorResponse>"));
        }
        match self.cloudformation.call(&operation, input).await {
            Ok(output) => (200, answer_xml(&operation, &output)),
            Err(ApiError { status, code, message, .. }) => {
                let error =
                    format!("<Error><Code>{code}</Code><Message>{}</Message></Error>", escaped(&message));
                (status, format!("<ErrorResponse>{error}<RequestId>request-1</RequestId></ErrorResponse>"))
            }
        }
    }

    fn s3(&self, request: &HttpRequest) -> (u16, String) {
        let uri = request.uri().to_owned();
        let path = uri.trim_start_matches("http://localhost/");
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let key = path.split_once('/').map(|(_, key)| key.to_owned()).unwrap_or_default();
        let mut objects = self.objects.lock().unwrap();
        match (request.method(), key.is_empty()) {
            ("HEAD", false) if objects.contains_key(&key) => (200, String::new()),
            ("HEAD", false) => (404, String::new()),
            ("PUT", false) => {
                objects.insert(key, request.body().content_length().unwrap() as usize);
                (200, String::new())
            }
            ("GET", true) if path.is_empty() => {
                (200, "<ListAllMyBucketsResult></ListAllMyBucketsResult>".into())
            }
            ("GET", true) if query.contains("versions") => {
                let version =
                    |key: &String| format!("<Version><Key>{key}</Key><VersionId>null</VersionId></Version>");
                let versions: String = objects.keys().map(version).collect();
                (200, format!("<ListVersionsResult>{versions}</ListVersionsResult>"))
            }
            ("POST", true) if query.contains("delete") => {
                let body = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
                objects.retain(|key, _| !body.contains(&format!("<Key>{key}</Key>")));
                (200, "<DeleteResult></DeleteResult>".into())
            }
            (method, _) => panic!("S3 was asked {method} {uri}"),
        }
    }
}

/// `Parameters.member.1.ParameterKey=x` into nested objects and arrays.
fn put(value: &mut Value, path: &[&str], text: &str) {
    match path {
        [] => *value = Value::from(text),
        ["member", number, rest @ ..] => {
            if !value.is_array() {
                *value = Value::Array(Vec::new());
            }
            let items = value.as_array_mut().unwrap();
            let index = number.parse::<usize>().unwrap() - 1;
            items.resize(items.len().max(index + 1), Value::Object(Map::new()));
            put(&mut items[index], rest, text);
        }
        [name, rest @ ..] => {
            let members = value.as_object_mut().unwrap();
            put(members.entry(*name).or_insert_with(|| Value::Object(Map::new())), rest, text);
        }
    }
}

fn answer_xml(operation: &str, output: &Value) -> String {
    format!(
        "<{operation}Response><{operation}Result>{}</{operation}Result></{operation}Response>",
        xml("", output)
    )
}

fn xml(name: &str, value: &Value) -> String {
    match value {
        Value::Object(members) => {
            members.iter().map(|(key, member)| format!("<{key}>{}</{key}>", xml(key, member))).collect()
        }
        Value::Array(items) => {
            items.iter().map(|item| format!("<member>{}</member>", xml("", item))).collect()
        }
        Value::String(text) => escaped(text),
        Value::Number(seconds) if name.contains("Time") => {
            crate::platform::clock::rfc3339((seconds.as_f64().unwrap() * 1e6) as i64)
        }
        other => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
