//! Asynchronous invocations (`InvocationType: Event`): a bounded queue of events, each with its retries.
//! Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation".

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::destination::{Destination, object_key};
use super::host::InvokeOutcome;
use super::invoke::payload;
use super::iso_ms;
use super::state::{Function, Shared, user};
use crate::local::service::{ApiError, ApiResult};

/// Bytes of an event. Developer guide, "Lambda quotas".
const EVENT_MAX_BYTES: usize = 1_048_576;
/// Events that wait or run, and their bytes. AWS documents no number; memory is finite.
const EVENTS_MAX: usize = 10_000;
const EVENTS_MAX_BYTES: usize = 64 * 1_048_576;
/// Waits after a function error, before the first and the second retry.
const ERROR_WAITS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// Waits after a throttle: from 1 s, growing exponentially, up to 5 min.
const THROTTLE_WAIT_FIRST: Duration = Duration::from_secs(1);
const THROTTLE_WAIT_MAX: Duration = Duration::from_secs(300);
/// API reference, PutFunctionEventInvokeConfig.
const RETRIES_DEFAULT: u64 = 2;
const EVENT_AGE_DEFAULT_S: u64 = 21_600;
/// What a dead-letter message says of the error at most: 1 KB. Developer guide, "Dead-letter queues".
const DEAD_LETTER_ERROR_BYTES: usize = 1_024;

/// The events of all functions. Dropping it forgets them.
pub struct Events {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    room_bytes: Arc<Semaphore>,
    tasks: Mutex<JoinSet<()>>,
}

/// One accepted event.
struct Event {
    shared: Arc<Shared>,
    function: String,
    /// The same for all attempts.
    request_id: String,
    payload: Bytes,
    received: Instant,
    /// Attempts that reached the function.
    invokes: u32,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// How the function's events are treated now.
struct Settings {
    retries_max: u64,
    age_max: Duration,
    on_success: Option<Destination>,
    on_failure: Option<Destination>,
    dead_letters: Option<Destination>,
    /// Reserved concurrency is zero: nothing is retried.
    switched_off: bool,
}

impl Settings {
    fn of(function: &Function) -> Settings {
        let settings = Value::Object(function.event_invoke.clone().unwrap_or_default());
        let number = |member: &str, default| settings[member].as_u64().unwrap_or(default);
        // All were read when they were set: here they are as good.
        let read = |arn: &Value| Destination::read(arn).ok().flatten();
        let destination = |on: &str| read(&settings["DestinationConfig"][on]["Destination"]);
        let dead_letters = function.configuration.get("DeadLetterConfig").unwrap_or(&Value::Null);
        Settings {
            retries_max: number("MaximumRetryAttempts", RETRIES_DEFAULT),
            age_max: Duration::from_secs(number("MaximumEventAgeInSeconds", EVENT_AGE_DEFAULT_S)),
            on_success: destination("OnSuccess"),
            on_failure: destination("OnFailure"),
            dead_letters: read(&dead_letters["TargetArn"]),
            switched_off: function.reserved_concurrency == Some(0),
        }
    }
}

impl Events {
    pub fn new(shared: Arc<Shared>) -> Events {
        Events {
            shared,
            room: Arc::new(Semaphore::new(EVENTS_MAX)),
            room_bytes: Arc::new(Semaphore::new(EVENTS_MAX_BYTES)),
            tasks: Mutex::default(),
        }
    }

    /// Takes an event: 202, whatever becomes of it.
    pub fn accept(&self, input: &Value) -> ApiResult {
        let function = self.shared.function_name(input)?;
        self.shared.with_function(&function, |_| ())?;
        let payload = payload(input)?;
        if payload.len() > EVENT_MAX_BYTES {
            let message = format!(
                "{} byte payload is too large for the Event invocation type (limit {EVENT_MAX_BYTES} bytes)",
                payload.len()
            );
            return Err(user(ApiError::new(413, "RequestTooLargeException", message)));
        }
        let room = self.room.clone().try_acquire_owned();
        let bytes = self.room_bytes.clone().try_acquire_many_owned(payload.len() as u32);
        let (Ok(room), Ok(bytes)) = (room, bytes) else {
            let message = "the local endpoint's queue of asynchronous events is full";
            return Err(user(ApiError::new(429, "TooManyRequestsException", message)));
        };
        self.shared.record(&function, "AsyncEventsReceived", "Count", 1.0);
        let request_id = self.shared.uuid();
        let answer = json!({"StatusCode": 202, "RequestId": request_id});
        let event = Event {
            function,
            request_id,
            payload,
            received: self.shared.ctx.clock.instant(),
            invokes: 0,
            shared: self.shared.clone(),
            _room: (room, bytes),
        };
        let mut tasks = self.tasks.lock().expect("event tasks lock");
        while tasks.try_join_next().is_some() {}
        tasks.spawn(event.follow());
        Ok(answer)
    }

    /// Forgets every event, invocations under way included.
    pub async fn shutdown(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().expect("event tasks lock"));
        tasks.shutdown().await;
    }
}

impl Event {
    /// Runs until the event succeeded, was given up, or its function is gone.
    async fn follow(mut self) {
        let (mut errors, mut throttles) = (0, 0);
        let mut last: Option<InvokeOutcome> = None;
        loop {
            let Ok(settings) = self.shared.with_function(&self.function, |f| Settings::of(f)) else { return };
            if self.age() > settings.age_max {
                return self.give_up(&settings, "EventAgeExceeded", last.as_ref()).await;
            }
            let wait = match self.attempt().await {
                Ok(outcome) if !outcome.failed => return self.succeed(&settings, &outcome).await,
                Ok(outcome) => {
                    last = Some(outcome);
                    if errors >= settings.retries_max {
                        return self.give_up(&settings, "RetriesExhausted", last.as_ref()).await;
                    }
                    errors += 1;
                    ERROR_WAITS[(errors as usize - 1).min(ERROR_WAITS.len() - 1)]
                }
                Err(_) if settings.switched_off => {
                    return self.give_up(&settings, "RetriesExhausted", last.as_ref()).await;
                }
                Err(_) => {
                    let wait = THROTTLE_WAIT_FIRST.saturating_mul(1 << throttles).min(THROTTLE_WAIT_MAX);
                    throttles = (throttles + 1).min(16);
                    wait
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn age(&self) -> Duration {
        self.shared.ctx.clock.instant().duration_since(self.received)
    }

    async fn attempt(&mut self) -> Result<InvokeOutcome, ApiError> {
        let admitted = self.shared.admit(&self.function, self.payload.len())?;
        self.invokes += 1;
        let age_ms = self.age().as_secs_f64() * 1_000.0;
        self.shared.record(&self.function, "AsyncEventAge", "Milliseconds", age_ms);
        Ok(self.shared.run(admitted, self.payload.clone(), &self.request_id).await)
    }

    async fn succeed(&self, settings: &Settings, outcome: &InvokeOutcome) {
        if let Some(destination) = &settings.on_success {
            self.send_record(destination, "Success", Some(outcome)).await;
        }
    }

    async fn give_up(&self, settings: &Settings, condition: &str, last: Option<&InvokeOutcome>) {
        if let Some(destination) = &settings.on_failure {
            self.send_record(destination, condition, last).await;
        }
        if let Some(queue) = &settings.dead_letters {
            self.send_dead_letter(queue, last).await;
        }
        self.shared.record(&self.function, "AsyncEventsDropped", "Count", 1.0);
    }

    async fn send_record(&self, destination: &Destination, condition: &str, last: Option<&InvokeOutcome>) {
        let shared = &self.shared;
        let now_ms = shared.ctx.clock.now_ms();
        let record = self.record(now_ms, condition, last);
        let key = object_key(&format!("aws/lambda/async/{}", self.function), now_ms, &shared.uuid());
        if let Err(error) = destination.send(shared, &record, &key).await {
            tracing::warn!(?destination, %error, "an invocation record was not delivered");
            shared.record(&self.function, "DestinationDeliveryFailures", "Count", 1.0);
        }
    }

    /// Developer guide, "Capturing records of Lambda asynchronous invocations", example record.
    fn record(&self, now_ms: i64, condition: &str, last: Option<&InvokeOutcome>) -> Value {
        let mut record = json!({
            "version": "1.0",
            "timestamp": iso_ms(now_ms),
            "requestContext": {
                "requestId": self.request_id,
                "functionArn": format!("{}:$LATEST", self.shared.function_arn(&self.function)),
                "condition": condition,
                "approximateInvokeCount": self.invokes,
            },
            "requestPayload": document(&self.payload),
        });
        if let Some(outcome) = last {
            record["responseContext"] = json!({"statusCode": 200, "executedVersion": "$LATEST"});
            if outcome.failed {
                record["responseContext"]["functionError"] = "Unhandled".into();
            }
            record["responsePayload"] = document(&outcome.payload);
        }
        record
    }

    /// The event itself, with what went wrong in attributes.
    async fn send_dead_letter(&self, queue: &Destination, last: Option<&InvokeOutcome>) {
        let error = last.map_or(Value::Null, |outcome| document(&outcome.payload));
        let text = error["errorMessage"].as_str().unwrap_or("the function was not invoked");
        let end = (0..=text.len().min(DEAD_LETTER_ERROR_BYTES)).rev().find(|&i| text.is_char_boundary(i));
        let code = if last.is_some() { "200" } else { "429" };
        let mut attributes = Map::new();
        for (name, kind, value) in [
            ("RequestID", "String", self.request_id.as_str()),
            ("ErrorCode", "Number", code),
            ("ErrorMessage", "String", &text[..end.unwrap_or(0)]),
        ] {
            attributes.insert(name.to_owned(), json!({"DataType": kind, "StringValue": value}));
        }
        let body = String::from_utf8_lossy(&self.payload);
        if let Err(error) = queue.send_attributed(&self.shared, &body, Value::Object(attributes)).await {
            tracing::warn!(?queue, %error, "a dead letter was not delivered");
            self.shared.record(&self.function, "DeadLetterErrors", "Count", 1.0);
        }
    }
}

/// As JSON where it is some, otherwise as text.
fn document(payload: &[u8]) -> Value {
    serde_json::from_slice(payload)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(payload).into_owned()))
}
