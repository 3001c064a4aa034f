//! A pipeline that stands already: `environment.existing`, `environment.from_outputs`. What the stream and the
//! function are is looked up when the plan runs; here only the shapes are checked.

use schemars::JsonSchema;
use serde::Deserialize;

use super::errors::quoted;
use super::model::{Flag, FlagAction, FlagPolicy};
use super::resolve::{Place, Resolver};
use super::typed::{EnvironmentDoc, FlagsDoc};

/// A pipeline that is there: streamgauge makes and deletes nothing of it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Existing")]
pub(super) struct ExistingDoc {
    /// Name or ARN of the Kinesis stream. Not with `from_outputs`.
    pub stream: Option<String>,
    /// Name or ARN of the function that reads it. Not with `from_outputs`.
    pub function: Option<String>,
    /// With `from_outputs`: the output that names the stream. Default: the only output that is a stream's ARN.
    pub stream_output: Option<String>,
    /// With `from_outputs`: the output that names the function. Default: the only output that is a function's ARN.
    pub function_output: Option<String>,
    /// URL of the SQS queue to which the function sends receipts (docs/receipts.md). Default: none, and delivery
    /// is not measured.
    pub receipts_queue: Option<String>,
}

/// The pipeline of a plan that names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    pub pipeline: PipelineSource,
    /// Where the function sends receipts; `None`: nothing is known about single records.
    pub receipts_queue_url: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipelineSource {
    /// Names or ARNs.
    Named { stream: String, function: String },
    /// A file of a deployment tool, relative to the plan, and which of its outputs are meant where it says.
    Outputs { file: String, stream_output: Option<String>, function_output: Option<String> },
}

const STREAM: &str = "the name or the ARN of a Kinesis stream";
const FUNCTION: &str = "the name or the ARN of a Lambda function";

impl Resolver<'_> {
    /// Takes what is said about an existing pipeline out of the environment; what is left would be made.
    pub(super) fn existing(
        &mut self,
        environment: Option<&mut EnvironmentDoc>,
        at: &Place<'_>,
    ) -> Option<Existing> {
        let environment = environment?;
        let (document, file) = (environment.existing.take(), environment.from_outputs.take());
        if document.is_none() && file.is_none() {
            return None;
        }
        let made = [
            ("stream", environment.stream.is_some()),
            ("function", environment.function.is_some()),
            ("alarms", environment.alarms.is_some()),
            ("account", environment.account.is_some()),
        ];
        for (key, _) in made.into_iter().filter(|(_, given)| *given) {
            self.unexpected(&at.key(key), "nothing: an existing pipeline is taken as it is");
        }
        let document = document.unwrap_or_default();
        let within = at.key("existing");
        let receipts_queue_url = document.receipts_queue.clone();
        if let Some(url) = &receipts_queue_url
            && !(url.starts_with("https://") || url.starts_with("http://"))
        {
            self.unexpected(&within.key("receipts_queue"), "the URL of an SQS queue");
        }
        let pipeline = match file {
            Some(file) => self.with_outputs(document, file, at),
            None => self.named(document, &within),
        };
        Some(Existing { pipeline, receipts_queue_url })
    }

    fn named(&mut self, document: ExistingDoc, at: &Place<'_>) -> PipelineSource {
        let outputs =
            [("stream_output", document.stream_output), ("function_output", document.function_output)];
        for (key, _) in outputs.into_iter().filter(|(_, given)| given.is_some()) {
            self.unexpected(&at.key(key), "nothing without environment.from_outputs");
        }
        let mut one = |given: Option<String>, key: &str, fits: fn(&str) -> bool, expected: &str| {
            match given {
                Some(text) if fits(&text) => return text,
                Some(_) => self.unexpected(&at.key(key), expected),
                None => self.missing(&at.key(key), expected),
            }
            String::new()
        };
        PipelineSource::Named {
            stream: one(document.stream, "stream", is_stream, STREAM),
            function: one(document.function, "function", is_function, FUNCTION),
        }
    }

    fn with_outputs(&mut self, document: ExistingDoc, file: String, at: &Place<'_>) -> PipelineSource {
        if file.trim().is_empty() {
            self.wrong(&at.key("from_outputs"), quoted(&file), "the path of a file of outputs");
        }
        let named = [("stream", document.stream), ("function", document.function)];
        for (key, _) in named.into_iter().filter(|(_, given)| given.is_some()) {
            let expected = format!("nothing beside from_outputs; {key}_output says which output it is");
            self.unexpected(&at.key("existing").key(key), expected);
        }
        let (stream_output, function_output) = (document.stream_output, document.function_output);
        PipelineSource::Outputs { file, stream_output, function_output }
    }
}

/// Kinesis API reference, CreateStream: `[a-zA-Z0-9_.-]{1,128}`; or a stream's ARN.
pub fn is_stream(text: &str) -> bool {
    let name = match text.starts_with("arn:") {
        true => arn_resource(text, "kinesis").and_then(|resource| resource.strip_prefix("stream/")),
        false => Some(text),
    };
    name.is_some_and(|name| is_name(name, 128, "_.-"))
}

/// Lambda API reference, CreateFunction: `[a-zA-Z0-9-_]{1,64}`, or a function's ARN. No version or alias: what is
/// measured is what the mapping calls, and the mapping tells.
pub fn is_function(text: &str) -> bool {
    let name = match text.starts_with("arn:") {
        true => arn_resource(text, "lambda").and_then(|resource| resource.strip_prefix("function:")),
        false => Some(text),
    };
    name.is_some_and(|name| is_name(name, 64, "_-"))
}

/// What follows the account in the ARN of a service's resource that has a region and an account.
fn arn_resource<'a>(arn: &'a str, service: &str) -> Option<&'a str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let &["arn", partition, found, region, account, resource] = parts.as_slice() else { return None };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    (partition.starts_with("aws") && found == service && !region.is_empty() && is_account).then_some(resource)
}

fn is_name(name: &str, longest: usize, also: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
    (1..=longest).contains(&name.len()) && name.chars().all(allowed)
}

/// What a red flag does unless the plan says otherwise: somebody works with a pipeline that was there before.
pub(super) fn stop_unless_told(policies: &mut [FlagPolicy], told: &FlagsDoc) {
    let said = [
        (Flag::IteratorAgeGrowing, told.iterator_age_growing.is_some()),
        (Flag::LambdaThrottles, told.lambda_throttles.is_some()),
        (Flag::WriteThroughputExceeded, told.write_throughput_exceeded.is_some()),
        (Flag::ReadThroughputExceeded, told.read_throughput_exceeded.is_some()),
        (Flag::ErrorRate, told.error_rate.is_some()),
        (Flag::LambdaDuration, told.lambda_duration.is_some()),
        (Flag::DlqFilling, told.dlq_filling.is_some()),
        (Flag::Memory, told.memory.is_some()),
    ];
    for policy in policies {
        if said.contains(&(policy.flag, false)) {
            policy.action = FlagAction::Stop;
        }
    }
}
