//! The REST door: paths and shapes of the EventBridge Scheduler API. It knows HTTP and nothing of schedules.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::Scheduler;
use crate::local::service::{ApiError, Service};

/// Query parameters of the API and the members that they give.
const QUERY: [(&str, &str); 6] = [
    ("groupName", "GroupName"),
    ("ScheduleGroup", "GroupName"),
    ("NamePrefix", "NamePrefix"),
    ("State", "State"),
    ("NextToken", "NextToken"),
    ("MaxResults", "MaxResults"),
];

pub async fn answer(scheduler: &Scheduler, request: Request<Bytes>) -> Response<Bytes> {
    let operation = operation(&request);
    if operation.is_empty() {
        let message = format!("Unable to determine service/operation name for {}", request.uri().path());
        return error_response(&ApiError::new(404, "UnknownOperationException", message));
    }
    let answered = match input(&request) {
        Ok(input) => scheduler.call(operation, input).await,
        Err(error) => Err(error),
    };
    match answered {
        Ok(output) => response(200, &output),
        Err(error) => error_response(&error),
    }
}

/// The operation that a request means; empty when it means none.
pub fn operation(request: &Request<Bytes>) -> &'static str {
    match (request.method().as_str(), name_in(request.uri().path())) {
        ("GET", Some("")) => "ListSchedules",
        ("POST", Some(name)) if !name.is_empty() => "CreateSchedule",
        ("PUT", Some(name)) if !name.is_empty() => "UpdateSchedule",
        ("GET", Some(_)) => "GetSchedule",
        ("DELETE", Some(name)) if !name.is_empty() => "DeleteSchedule",
        _ => "",
    }
}

/// What follows `/schedules/`; a schedule's name needs no percent-encoding.
fn name_in(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/schedules")?;
    let name = rest.trim_matches('/');
    (rest.is_empty() || rest.starts_with('/')).then_some(name)
}

fn input(request: &Request<Bytes>) -> Result<Value, ApiError> {
    let mut input: Map<String, Value> = match request.body() {
        body if body.is_empty() => Map::new(),
        body => serde_json::from_slice(body)
            .map_err(|error| ApiError::invalid("ValidationException", error.to_string()))?,
    };
    let query = request.uri().query().unwrap_or_default();
    for (parameter, value) in form_urlencoded::parse(query.as_bytes()) {
        if let Some((_, member)) = QUERY.iter().find(|(known, _)| *known == parameter) {
            input.insert((*member).to_owned(), json!(value));
        }
    }
    let name = name_in(request.uri().path()).unwrap_or_default();
    if !name.is_empty() {
        input.insert("Name".into(), json!(name));
    }
    Ok(Value::Object(input))
}

pub fn error_response(error: &ApiError) -> Response<Bytes> {
    let mut response = response(error.status, &json!({"Message": error.message}));
    if let Ok(code) = error.code.parse() {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}

fn response(status: u16, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
