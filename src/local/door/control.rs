//! `/_streamgauge/...`: what the tool itself asks of its endpoint.

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::guard;
use super::response::plain;
use crate::local::cloud::Cloud;

pub const PREFIX: &str = "/_streamgauge/";

pub fn answer(cloud: &Cloud, parts: &Parts) -> Response<Bytes> {
    let trusted = guard::bears_token(&parts.headers, cloud.token());
    match (parts.uri.path(), &parts.method) {
        ("/_streamgauge/health", &Method::GET) => health(cloud),
        ("/_streamgauge/shutdown" | "/_streamgauge/faults" | "/_streamgauge/faults/struck", _)
            if !trusted =>
        {
            say(StatusCode::FORBIDDEN, &json!({"message": "the token is missing or wrong"}))
        }
        ("/_streamgauge/shutdown", &Method::POST) => {
            cloud.shut_down();
            say(StatusCode::OK, &json!({"status": "stopping"}))
        }
        ("/_streamgauge/faults", &Method::GET) => say(StatusCode::OK, &faults(cloud)),
        ("/_streamgauge/faults/struck", &Method::GET) => say(StatusCode::OK, &struck(cloud)),
        (
            "/_streamgauge/health"
            | "/_streamgauge/shutdown"
            | "/_streamgauge/faults"
            | "/_streamgauge/faults/struck",
            _,
        ) => say(StatusCode::METHOD_NOT_ALLOWED, &json!({"message": "wrong method"})),
        _ => say(StatusCode::NOT_FOUND, &json!({"message": "no such control"})),
    }
}

fn health(cloud: &Cloud) -> Response<Bytes> {
    let (status, text) = match cloud.is_ready() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    let services: Vec<&str> = cloud.service_names().collect();
    say(status, &json!({"status": text, "version": env!("CARGO_PKG_VERSION"), "services": services}))
}

/// What was struck, as the truth to compare an accounting with.
fn faults(cloud: &Cloud) -> Value {
    let mut answer = struck(cloud);
    answer["events"] = json!(cloud.context().faults.log());
    answer
}

/// The same in numbers alone, for `status`: small, however much was struck.
fn struck(cloud: &Cloud) -> Value {
    let faults = &cloud.context().faults;
    let specs: Vec<String> = faults.specs().iter().map(ToString::to_string).collect();
    json!({"faults": specs, "struck": faults.struck(), "unlogged": faults.unlogged()})
}

fn say(status: StatusCode, body: &Value) -> Response<Bytes> {
    plain(status, "application/json", Bytes::from(body.to_string()))
}
