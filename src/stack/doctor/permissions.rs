//! What can be tried without doing it: puts that are only checked, templates that are only read.

use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::Blob;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::super::StackError;
use super::super::error::failed;
use super::super::templates::Templates;
use super::finding::Finding;
use super::{Unanswered, bounded};
use crate::platform::clients::Clients;

/// PutRecord and PutRecords with `DryRun`: the service says whether it would have taken the record.
pub(super) async fn dry_runs(clients: &Clients, stream_name: &str) -> Vec<Finding> {
    let entry = PutRecordsRequestEntry::builder().data(Blob::new("{}")).partition_key("dry-run").build();
    let entry = entry.expect("data and key are given");
    let client = &clients.kinesis;
    let record = client.put_record().stream_name(stream_name).partition_key("dry-run").data(Blob::new("{}"));
    let records = client.put_records().stream_name(stream_name).records(entry);
    let (record, records) = tokio::join!(
        bounded(async { tried("PutRecord", record.dry_run(true).send().await) }),
        bounded(async { tried("PutRecords", records.dry_run(true).send().await) }),
    );
    vec![judge("may-put-record", record), judge("may-put-records", records)]
}

fn judge(check: &'static str, tried: Result<Tried, Unanswered>) -> Finding {
    match tried {
        Ok(Tried::Allowed(what)) => Finding::ok(check, what),
        Ok(Tried::Ignored(what)) => {
            Finding::warning(check, what, "this endpoint does not know DryRun: it took an empty record")
        }
        Ok(Tried::Denied(error)) => Finding::stop(check, error.to_string(), error.hint()),
        Err(unanswered) => unanswered.warning(check),
    }
}

/// How a dry run ended.
enum Tried {
    Allowed(String),
    Ignored(String),
    Denied(StackError),
}

/// A stream that is not there is only told to a caller who may ask for it: permissions are checked first. (Observed
/// behaviour of AWS services; no page of the Kinesis guide promises it.)
fn tried<T, E, R>(operation: &'static str, answer: Result<T, SdkError<E, R>>) -> Result<Tried, StackError>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let error = match answer {
        Ok(_) => return Ok(Tried::Ignored(format!("{operation} was done, not only tried"))),
        Err(error) => error,
    };
    let code = error.as_service_error().and_then(|error| error.code()).unwrap_or_default();
    match code {
        "DryRunOperationException" => Ok(Tried::Allowed(format!("{operation} is allowed (dry run)"))),
        "ResourceNotFoundException" => {
            Ok(Tried::Allowed(format!("{operation} is not denied (dry run; the stream is not there yet)")))
        }
        _ => match failed("Kinesis", format!("call {operation}"), error) {
            denied @ StackError::Denied { .. } => Ok(Tried::Denied(denied)),
            other => Err(other),
        },
    }
}

/// ValidateTemplate of every template: creates nothing.
pub(super) async fn templates(clients: &Clients) -> Finding {
    const CHECK: &str = "templates";
    let shipped = Templates::embedded();
    let texts = [
        ("artifacts", shipped.artifacts),
        ("pipeline", shipped.pipeline),
        ("observability", shipped.observability),
    ];
    for (name, text) in texts {
        let answer = bounded(async {
            let answer = clients.cloudformation.validate_template().template_body(text).send().await;
            answer.map_err(|error| failed("CloudFormation", format!("check the template {name}"), error))
        });
        let Err(unanswered) = answer.await else { continue };
        return match unanswered.why.contains("ValidationError") {
            true => unanswered.stop(CHECK),
            // `up` itself does not need this permission.
            false => unanswered.warning(CHECK),
        };
    }
    Finding::ok(CHECK, "CloudFormation reads all of them")
}
