//! The process around the handler: Lambda's Runtime API on one side, SQS on the other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

use super::event::KinesisEvent;
use super::handler::{Handler, HandlerError, InvocationContext, OnPoison, ReceiptSender, Work};
use crate::platform::clock::Clock;
use crate::wire::envelope::EnvelopePath;

/// Variable with the URL of the queue that receipts go to; the stack sets it.
pub const QUEUE_URL_VARIABLE: &str = "STREAMGAUGE_RECEIPTS_QUEUE_URL";
/// Variable with the busy work of each batch, in ms; absent is none.
pub const WORK_VARIABLE: &str = "STREAMGAUGE_WORK_MS_PER_BATCH";
/// Variable with `fail_batch` (also when absent) or `report_item`: see [`OnPoison`].
pub const ON_POISON_VARIABLE: &str = "STREAMGAUGE_ON_POISON";
/// Variable with the paths, commas between them, at which envelopes are looked for before their default place.
pub const ENVELOPE_PATHS_VARIABLE: &str = "STREAMGAUGE_ENVELOPE_PATHS";
/// Variable that switches the line of embedded metrics on with `true`; absent is off.
pub const METRIC_VARIABLE: &str = "STREAMGAUGE_END_TO_END_METRIC";
/// Lambda developer guide, "Defined runtime environment variables".
const FUNCTION_NAME_VARIABLE: &str = "AWS_LAMBDA_FUNCTION_NAME";
/// Host and port of the Runtime API: Lambda developer guide, "Building a custom runtime".
const RUNTIME_API_VARIABLE: &str = "AWS_LAMBDA_RUNTIME_API";

/// A receipt is sent within this, retries and all, or the batch fails: well inside the shortest useful
/// function timeout, so that the reason reaches the log.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const SEND_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);

/// Why the function process could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    #[error("the variable {0} is not set")]
    Missing(&'static str),
    #[error("the variable {name} is '{value}', not a number of milliseconds up to 900000")]
    BadNumber { name: &'static str, value: String },
    #[error("the variable {name} is '{value}', not one of {expected}")]
    BadChoice { name: &'static str, value: String, expected: &'static str },
    #[error("the runtime could not be built: {0}")]
    Runtime(#[from] std::io::Error),
    #[error("the Runtime API is gone: {0}")]
    RuntimeApi(String),
}

/// Whether this process was started by Lambda, or by the local endpoint, as a function's bootstrap.
pub fn is_bootstrap() -> bool {
    let name = std::env::args_os().next();
    let named_bootstrap =
        name.as_deref().and_then(|name| Path::new(name).file_name()).is_some_and(|name| name == "bootstrap");
    named_bootstrap && std::env::var_os(RUNTIME_API_VARIABLE).is_some()
}

/// Serves invocations until the Runtime API goes away. Blocks; brings its own async runtime.
///
/// # Errors
/// A variable is missing or wrong, or the Runtime API went away: there is nobody left to serve, and the
/// process should end. A refused or closed connection is reported at once, it is not retried.
pub fn run() -> Result<(), ConsumerError> {
    let queue_url =
        std::env::var(QUEUE_URL_VARIABLE).map_err(|_| ConsumerError::Missing(QUEUE_URL_VARIABLE))?;
    if std::env::var_os(RUNTIME_API_VARIABLE).is_none() {
        return Err(ConsumerError::Missing(RUNTIME_API_VARIABLE));
    }
    let settings = Settings {
        queue_url,
        work: work_from(std::env::var(WORK_VARIABLE).ok())?,
        on_poison: on_poison_from(std::env::var(ON_POISON_VARIABLE).ok())?,
        envelope_paths: envelope_paths_from(std::env::var(ENVELOPE_PATHS_VARIABLE).ok())?,
        metric_of: metric_from(std::env::var(METRIC_VARIABLE).ok())?
            .then(|| std::env::var(FUNCTION_NAME_VARIABLE).ok())
            .flatten(),
    };
    // One invocation at a time needs one thread: that of the SDK's and the runtime's small talk.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(settings))
}

pub fn work_from(value: Option<String>) -> Result<Work, ConsumerError> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(Work::None) };
    match value.parse::<u32>() {
        Ok(0) => Ok(Work::None),
        // No function runs longer than 15 minutes.
        Ok(work_ms) if work_ms <= 900_000 => Ok(Work::Busy(Duration::from_millis(u64::from(work_ms)))),
        _ => Err(ConsumerError::BadNumber { name: WORK_VARIABLE, value }),
    }
}

/// How batches are to fail, from the variable's value.
///
/// # Errors
/// The value is neither of the two.
pub fn on_poison_from(value: Option<String>) -> Result<OnPoison, ConsumerError> {
    match value.as_deref() {
        None | Some("" | "fail_batch") => Ok(OnPoison::FailBatch),
        Some("report_item") => Ok(OnPoison::ReportItem),
        Some(other) => Err(ConsumerError::BadChoice {
            name: ON_POISON_VARIABLE,
            value: other.to_owned(),
            expected: "fail_batch, report_item",
        }),
    }
}

/// Where envelopes are looked for, from the variable's value.
///
/// # Errors
/// One of them is no path.
pub fn envelope_paths_from(value: Option<String>) -> Result<Vec<EnvelopePath>, ConsumerError> {
    let value = value.unwrap_or_default();
    EnvelopePath::list(&value).map_err(|_| ConsumerError::BadChoice {
        name: ENVELOPE_PATHS_VARIABLE,
        value,
        expected: "paths such as $.meta.trace, with commas between them",
    })
}

/// Whether the line of embedded metrics is printed, from the variable's value.
///
/// # Errors
/// The value is neither `true` nor `false`.
pub fn metric_from(value: Option<String>) -> Result<bool, ConsumerError> {
    match value.as_deref() {
        None | Some("" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(ConsumerError::BadChoice {
            name: METRIC_VARIABLE,
            value: other.to_owned(),
            expected: "true, false",
        }),
    }
}

/// What the variables say.
struct Settings {
    queue_url: String,
    work: Work,
    on_poison: OnPoison,
    envelope_paths: Vec<EnvelopePath>,
    metric_of: Option<String>,
}

async fn serve(settings: Settings) -> Result<(), ConsumerError> {
    let clock = Clock::start();
    let sqs = sqs_client(&settings.queue_url).await;
    let sender = SqsSender { sqs, queue_url: settings.queue_url };
    // Seeded by the operating system: two sandboxes that start in one microsecond must still differ.
    let seed = fastrand::u64(..);
    let mut handler = Handler::new(sender, Arc::new(move || clock.now_us()), settings.work, seed)
        .with_log(Arc::new(|line| eprintln!("{line}")))
        .on_poison(settings.on_poison)
        .envelope_paths(settings.envelope_paths);
    if let Some(function) = settings.metric_of {
        handler = handler.with_metric(function);
    }
    let handler = &handler;
    let function = service_fn(move |event: LambdaEvent<KinesisEvent>| async move {
        let context = InvocationContext {
            memory_limit_mb: event.context.env_config.memory.max(0) as u32,
            request_id: event.context.request_id,
            memory_used_mb: Arc::new(memory_used_mb),
        };
        let answer: Result<Value, HandlerError> = handler.handle(&event.payload, &context).await;
        answer.map_err(|error| {
            // The function's log shows what Lambda's error metric only counts.
            eprintln!("ERROR RequestId: {} {error}", context.request_id);
            Diagnostic { error_type: error.kind().to_owned(), error_message: error.to_string() }
        })
    });
    lambda_runtime::run(function).await.map_err(|error| ConsumerError::RuntimeApi(error.to_string()))
}

async fn sqs_client(queue_url: &str) -> aws_sdk_sqs::Client {
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(SEND_TIMEOUT)
        .operation_attempt_timeout(SEND_ATTEMPT_TIMEOUT)
        .build();
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .load()
        .await;
    let mut sqs = aws_sdk_sqs::config::Builder::from(&config);
    if config.endpoint_url().is_none() && std::env::var_os("AWS_ENDPOINT_URL_SQS").is_none() {
        sqs.set_endpoint_url(origin(queue_url).map(str::to_owned));
    }
    aws_sdk_sqs::Client::from_conf(sqs.build())
}

/// Where a queue is served: its own address says. On AWS that is the region's endpoint, which the SDK would take
/// anyway; elsewhere nothing else tells.
fn origin(queue_url: &str) -> Option<&str> {
    let authority = queue_url.find("://")? + "://".len();
    let path = queue_url[authority..].find('/').map_or(queue_url.len(), |at| authority + at);
    (path > authority).then(|| &queue_url[..path])
}

struct SqsSender {
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
}

impl ReceiptSender for SqsSender {
    async fn send(&self, message: String) -> Result<(), String> {
        let sent = self.sqs.send_message().queue_url(&self.queue_url).message_body(message).send().await;
        sent.map(drop).map_err(|error| DisplayErrorContext(error).to_string())
    }
}

/// Peak resident memory of this process, MB (rounded up); 0 where the system does not tell.
/// From `VmHWM` in `/proc/self/status`, see proc_pid_status(5).
pub fn memory_used_mb() -> u32 {
    std::fs::read_to_string("/proc/self/status").ok().and_then(|status| peak_mb(&status)).unwrap_or(0)
}

fn peak_mb(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    u32::try_from(kib.div_ceil(1_024)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_none_or_a_bounded_number_of_milliseconds() {
        assert!(matches!(work_from(None), Ok(Work::None)));
        assert!(matches!(work_from(Some("0".into())), Ok(Work::None)));
        assert!(matches!(work_from(Some("25".into())), Ok(Work::Busy(busy)) if busy.as_millis() == 25));
        for bad in ["-1", "25ms", "900001"] {
            assert!(work_from(Some(bad.into())).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_queue_is_served_where_its_address_says() {
        let aws = "https://sqs.eu-west-1.amazonaws.com/123456789012/receipts";
        assert_eq!(origin(aws), Some("https://sqs.eu-west-1.amazonaws.com"));
        assert_eq!(origin("http://127.0.0.1:4566/000000000000/receipts"), Some("http://127.0.0.1:4566"));
        assert_eq!(origin("receipts"), None);
        assert_eq!(origin("https:///receipts"), None);
    }

    #[test]
    fn choices_are_one_of_the_documented_words() {
        assert_eq!(on_poison_from(None).expect("absent"), OnPoison::FailBatch);
        assert_eq!(on_poison_from(Some("report_item".into())).expect("known"), OnPoison::ReportItem);
        assert!(on_poison_from(Some("ignore".into())).is_err());
        assert!(metric_from(Some("true".into())).expect("known"));
        assert!(!metric_from(None).expect("absent"));
        assert!(metric_from(Some("yes".into())).is_err());
    }

    #[test]
    fn peak_memory_is_read_from_the_status_file() {
        assert_eq!(peak_mb("Name:\tx\nVmHWM:\t   62465 kB\nVmRSS:\t 100 kB\n"), Some(62));
        assert_eq!(peak_mb("Name:\tx\n"), None);
        assert!(memory_used_mb() > 0, "this test runs on Linux");
    }
}
