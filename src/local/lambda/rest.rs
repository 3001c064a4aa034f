//! The REST door: paths and shapes of the Lambda API. It knows HTTP and nothing of what operations do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::Lambda;
use crate::local::service::ApiError;

/// An operation that a request means.
struct Route {
    operation: &'static str,
    /// Members that the path gives.
    path: Vec<(&'static str, String)>,
    /// Query parameters and the members that they give.
    query: &'static [(&'static str, &'static str)],
    /// Status of success.
    status: u16,
}

pub async fn answer(lambda: &Lambda, request: Request<Bytes>) -> Response<Bytes> {
    let Some(route) = route(request.method(), request.uri().path()) else {
        let message = format!("Unable to determine service/operation name for {}", request.uri().path());
        return error_response(&ApiError::new(404, "UnknownOperationException", message));
    };
    let input = match input(&route, &request) {
        Ok(input) => input,
        Err(error) => return error_response(&error),
    };
    match lambda.dispatch(route.operation, input).await {
        Ok(output) if route.operation == "Invoke" => invocation_response(output),
        Ok(_) if route.status == 204 => response(204, Bytes::new()),
        Ok(output) => response(route.status, output.to_string().into()),
        Err(error) => error_response(&error),
    }
}

/// Paths as in the API model, with or without a slash at the end.
fn route(method: &Method, path: &str) -> Option<Route> {
    let segments: Vec<String> = path.trim_matches('/').splitn(5, '/').map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let function = |name: &str| vec![("FunctionName", name.to_owned())];
    let qualified: &[_] = &[("Qualifier", "Qualifier")];
    let paged: &[_] = &[("Marker", "Marker"), ("MaxItems", "MaxItems")];
    let (operation, path, query, status) = match (method.as_str(), segments.as_slice()) {
        ("POST", ["2015-03-31", "functions"]) => ("CreateFunction", vec![], &[][..], 201),
        ("GET", ["2015-03-31", "functions"]) => ("ListFunctions", vec![], paged, 200),
        ("GET", ["2015-03-31", "functions", name]) => ("GetFunction", function(name), qualified, 200),
        ("DELETE", ["2015-03-31", "functions", name]) => ("DeleteFunction", function(name), qualified, 204),
        ("GET", ["2015-03-31", "functions", name, "configuration"]) => {
            ("GetFunctionConfiguration", function(name), qualified, 200)
        }
        ("PUT", ["2015-03-31", "functions", name, "configuration"]) => {
            ("UpdateFunctionConfiguration", function(name), &[][..], 200)
        }
        ("PUT", ["2015-03-31", "functions", name, "code"]) => {
            ("UpdateFunctionCode", function(name), &[][..], 200)
        }
        ("GET", ["2015-03-31", "functions", name, "versions"]) => {
            ("ListVersionsByFunction", function(name), paged, 200)
        }
        ("POST", ["2015-03-31", "functions", name, "invocations"]) => {
            ("Invoke", function(name), qualified, 200)
        }
        ("POST", ["2015-03-31", "functions", name, "policy"]) => {
            ("AddPermission", function(name), qualified, 201)
        }
        ("GET", ["2015-03-31", "functions", name, "policy"]) => ("GetPolicy", function(name), qualified, 200),
        ("DELETE", ["2015-03-31", "functions", name, "policy", id]) => {
            let statement = ("StatementId", (*id).to_owned());
            ("RemovePermission", [function(name), vec![statement]].concat(), qualified, 204)
        }
        ("PUT", ["2017-10-31", "functions", name, "concurrency"]) => {
            ("PutFunctionConcurrency", function(name), &[][..], 200)
        }
        ("DELETE", ["2017-10-31", "functions", name, "concurrency"]) => {
            ("DeleteFunctionConcurrency", function(name), &[][..], 204)
        }
        ("GET", ["2019-09-30", "functions", name, "concurrency"]) => {
            ("GetFunctionConcurrency", function(name), &[][..], 200)
        }
        ("GET", ["2019-09-25", "functions", name, "event-invoke-config", "list"]) => {
            ("ListFunctionEventInvokeConfigs", function(name), paged, 200)
        }
        (verb, ["2019-09-25", "functions", name, "event-invoke-config"]) => {
            let (operation, status) = match verb {
                "GET" => ("GetFunctionEventInvokeConfig", 200),
                "PUT" => ("PutFunctionEventInvokeConfig", 200),
                "POST" => ("UpdateFunctionEventInvokeConfig", 200),
                "DELETE" => ("DeleteFunctionEventInvokeConfig", 204),
                _ => return None,
            };
            (operation, function(name), qualified, status)
        }
        ("POST", ["2015-03-31", "functions", name, "versions"]) => {
            ("PublishVersion", function(name), &[][..], 201)
        }
        ("POST", ["2015-03-31", "functions", name, "aliases"]) => {
            ("CreateAlias", function(name), &[][..], 201)
        }
        ("PUT", ["2019-09-30", "functions", name, "provisioned-concurrency"]) => {
            // The qualifier names a version or an alias, of which there are none: it must not hide the refusal.
            ("PutProvisionedConcurrencyConfig", function(name), &[][..], 202)
        }
        ("GET", ["2016-08-19", "account-settings"]) => ("GetAccountSettings", vec![], &[][..], 200),
        ("POST", ["2015-03-31", "event-source-mappings"]) => {
            ("CreateEventSourceMapping", vec![], &[][..], 202)
        }
        ("GET", ["2015-03-31", "event-source-mappings"]) => {
            ("ListEventSourceMappings", vec![], MAPPINGS, 200)
        }
        (verb, ["2015-03-31", "event-source-mappings", id]) => {
            let (operation, status) = match verb {
                "GET" => ("GetEventSourceMapping", 200),
                "PUT" => ("UpdateEventSourceMapping", 202),
                "DELETE" => ("DeleteEventSourceMapping", 202),
                _ => return None,
            };
            (operation, vec![("UUID", (*id).to_owned())], &[][..], status)
        }
        (verb, ["2017-03-31", "tags", resource @ ..]) if !resource.is_empty() => {
            let (operation, status) = match verb {
                "GET" => ("ListTags", 200),
                "POST" => ("TagResource", 204),
                "DELETE" => ("UntagResource", 204),
                _ => return None,
            };
            (operation, vec![("Resource", resource.join("/"))], &[][..], status)
        }
        _ => return None,
    };
    Some(Route { operation, path, query, status })
}

const MAPPINGS: &[(&str, &str)] = &[
    ("EventSourceArn", "EventSourceArn"),
    ("FunctionName", "FunctionName"),
    ("Marker", "Marker"),
    ("MaxItems", "MaxItems"),
];

/// Percent-decoded. What means something in a form stands for itself in a path.
fn decoded(segment: &str) -> String {
    let kept = segment.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(kept.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

/// The operation's members from body, headers, query and path.
fn input(route: &Route, request: &Request<Bytes>) -> Result<Value, ApiError> {
    let mut input = match (route.operation, request.body()) {
        ("Invoke", body) => invocation_members(request, body),
        (_, body) if body.is_empty() => Map::new(),
        (_, body) => serde_json::from_slice(body).map_err(|error| {
            let message = format!("Could not parse request body into json: {error}");
            ApiError::invalid("InvalidRequestContentException", message)
        })?,
    };
    let query = request.uri().query().unwrap_or_default();
    let mut tag_keys = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name == "tagKeys" {
            tag_keys.push(Value::from(value.as_ref()));
        } else if let Some((_, member)) = route.query.iter().find(|(parameter, _)| *parameter == name) {
            let value = match *member {
                "MaxItems" => value.parse::<u64>().map_or(Value::Null, Value::from),
                _ => Value::from(value.as_ref()),
            };
            input.insert((*member).to_owned(), value);
        }
    }
    if !tag_keys.is_empty() {
        input.insert("TagKeys".to_owned(), tag_keys.into());
    }
    input
        .extend(route.path.iter().map(|(member, value)| ((*member).to_owned(), Value::from(value.as_str()))));
    Ok(Value::Object(input))
}

fn invocation_members(request: &Request<Bytes>, body: &Bytes) -> Map<String, Value> {
    let mut members = Map::new();
    if !body.is_empty() {
        members.insert("Payload".to_owned(), STANDARD.encode(body).into());
    }
    for (header, member) in [("x-amz-invocation-type", "InvocationType"), ("x-amz-log-type", "LogType")] {
        if let Some(value) = request.headers().get(header).and_then(|value| value.to_str().ok()) {
            members.insert(member.to_owned(), value.into());
        }
    }
    members
}

fn invocation_response(output: Value) -> Response<Bytes> {
    let payload = output["Payload"].as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    let status = output["StatusCode"].as_u64().unwrap_or(200) as u16;
    let mut response = response(status, payload.into());
    let headers = [
        ("x-amz-executed-version", "ExecutedVersion"),
        ("x-amz-function-error", "FunctionError"),
        ("x-amz-log-result", "LogResult"),
        ("x-amzn-requestid", "RequestId"),
    ];
    for (header, member) in headers {
        if let Some(value) = output[member].as_str().and_then(|value| value.parse().ok()) {
            response.headers_mut().insert(header, value);
        }
    }
    response
}

/// The code goes into a header, the rest of the error's shape into the body.
fn error_response(error: &ApiError) -> Response<Bytes> {
    // The model spells this member differently from shape to shape.
    let spelled = match error.code.as_str() {
        "ResourceNotFoundException" | "ServiceException" => "Message",
        _ => "message",
    };
    let mut body = Value::Object(error.members.clone());
    body[spelled] = json!(error.message);
    let mut response = response(error.status, body.to_string().into());
    if let Ok(code) = error.code.parse() {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}

fn response(status: u16, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(method: &str, path: &str) -> Option<(&'static str, Vec<(&'static str, String)>)> {
        route(&method.parse().unwrap(), path).map(|route| (route.operation, route.path))
    }

    #[test]
    fn paths_of_the_api_model_lead_to_their_operations() {
        let f = || vec![("FunctionName", "f".to_owned())];
        let cases = [
            ("POST", "/2015-03-31/functions", "CreateFunction", vec![]),
            ("GET", "/2015-03-31/functions/", "ListFunctions", vec![]),
            ("GET", "/2015-03-31/functions/f", "GetFunction", f()),
            ("PUT", "/2015-03-31/functions/f/code", "UpdateFunctionCode", f()),
            ("POST", "/2015-03-31/functions/f/invocations", "Invoke", f()),
            ("PUT", "/2017-10-31/functions/f/concurrency", "PutFunctionConcurrency", f()),
            ("GET", "/2019-09-30/functions/f/concurrency", "GetFunctionConcurrency", f()),
            ("POST", "/2015-03-31/event-source-mappings/", "CreateEventSourceMapping", vec![]),
            (
                "DELETE",
                "/2015-03-31/functions/f/policy/s1",
                "RemovePermission",
                vec![("FunctionName", "f".to_owned()), ("StatementId", "s1".to_owned())],
            ),
            (
                "GET",
                "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af",
                "ListTags",
                vec![("Resource", "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned())],
            ),
        ];
        for (method, path, operation, members) in cases {
            assert_eq!(routed(method, path), Some((operation, members)), "{method} {path}");
        }
        assert_eq!(routed("PATCH", "/2015-03-31/functions"), None);
        assert_eq!(routed("GET", "/2014-11-13/functions/f/invoke-async/"), None);
    }
}
