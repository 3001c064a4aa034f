//! The Kinesis driver: one PutRecord or PutRecords call an attempt, through the AWS SDK.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::put_records::PutRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::driver::{Driver, OutRecord, PutResult};
use crate::plan::PutMode;

/// Refusals for throughput, as Kinesis names them (API reference, PutRecord and PutRecords), and as AWS's
/// front door does for any service ("Common Errors").
const THROTTLE_CODES: [&str; 4] =
    ["ProvisionedThroughputExceededException", "ThrottlingException", "Throttling", "RequestLimitExceeded"];
/// Other errors that a second try may mend. `InternalFailure` is the code of a record in PutRecords.
const RETRYABLE_CODES: [&str; 6] = [
    "InternalFailure",
    "InternalFailureException",
    "InternalServerError",
    "KMSThrottlingException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
];

/// Credentials that ended or were taken back (API reference, "Common Errors"; STS tokens). The first try of a run
/// shows whether they were ever right, so that later these mean a pause.
const CREDENTIAL_CODES: [&str; 5] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "RequestExpired",
    "UnrecognizedClientException",
];

/// Puts records into one stream.
pub struct KinesisDriver {
    client: Client,
    stream_name: String,
    put: PutMode,
}

impl KinesisDriver {
    /// Takes the connection, the credentials and the region of `client`. The SDK's own retries and timeouts
    /// are switched off, so that one attempt is one request: the load counts attempts and times them out.
    pub fn new(client: Client, stream_name: impl Into<String>, put: PutMode) -> KinesisDriver {
        let config = client.config().to_builder();
        let config =
            config.retry_config(RetryConfig::disabled()).timeout_config(TimeoutConfig::disabled()).build();
        KinesisDriver { client: Client::from_conf(config), stream_name: stream_name.into(), put }
    }

    async fn put_record(&self, record: &OutRecord) -> PutResult {
        let request = self
            .client
            .put_record()
            .stream_name(&self.stream_name)
            .partition_key(&record.key)
            .set_explicit_hash_key(record.hash_key.as_deref().map(str::to_owned))
            .data(Blob::new(record.data.as_ref()));
        match request.send().await {
            Ok(_) => PutResult::Acked,
            Err(error) => result_of(&error),
        }
    }

    async fn put_records(&self, records: &[OutRecord]) -> Vec<PutResult> {
        let entries = records.iter().map(|record| {
            PutRecordsRequestEntry::builder()
                .partition_key(&record.key)
                .set_explicit_hash_key(record.hash_key.as_deref().map(str::to_owned))
                .data(Blob::new(record.data.as_ref()))
                .build()
                .expect("data and partition key, all that is required, are set")
        });
        let request = self.client.put_records().stream_name(&self.stream_name);
        match request.set_records(Some(entries.collect())).send().await {
            Ok(output) => results_of(&output, records.len()),
            Err(error) => vec![result_of(&error); records.len()],
        }
    }
}

impl Driver for KinesisDriver {
    fn put<'a>(
        &'a self,
        records: &'a [OutRecord],
    ) -> Pin<Box<dyn Future<Output = Vec<PutResult>> + Send + 'a>> {
        Box::pin(async move {
            match (self.put, records) {
                (_, []) => Vec::new(),
                (PutMode::Record, [record]) => vec![self.put_record(record).await],
                _ => self.put_records(records).await,
            }
        })
    }
}

/// The answer has a result for each record, in order; a shorter one leaves the rest unknown.
fn results_of(output: &PutRecordsOutput, records: usize) -> Vec<PutResult> {
    let unanswered = || PutResult::Unknown { message: "the answer has no result for this record".to_owned() };
    let mut results: Vec<PutResult> = output.records().iter().map(result_of_entry).collect();
    results.resize_with(records, unanswered);
    results
}

fn result_of_entry(entry: &PutRecordsResultEntry) -> PutResult {
    match entry.error_code() {
        None => PutResult::Acked,
        Some(code) => refused(code, entry.error_message().unwrap_or_default(), false),
    }
}

fn refused(code: &str, message: &str, is_server_fault: bool) -> PutResult {
    if THROTTLE_CODES.contains(&code) {
        return PutResult::Throttled;
    }
    if CREDENTIAL_CODES.contains(&code) {
        return PutResult::NoCredentials { message: format!("{code}: {message}") };
    }
    let retryable = is_server_fault || RETRYABLE_CODES.contains(&code);
    PutResult::Failed { code: code.to_owned(), message: message.to_owned(), retryable }
}

/// What a call without an answer for each record means for all of its records.
fn result_of<E>(error: &SdkError<E, HttpResponse>) -> PutResult
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let message = || DisplayErrorContext(error).to_string();
    match error {
        SdkError::ServiceError(context) => {
            let (service, status) = (context.err(), context.raw().status());
            let code = service.code().map_or_else(|| status.to_string(), str::to_owned);
            refused(&code, service.message().unwrap_or_default(), status.is_server_error())
        }
        _ if lacks_credentials(error) => PutResult::NoCredentials { message: message() },
        SdkError::ConstructionFailure(_) => PutResult::NotSent { message: message() },
        SdkError::DispatchFailure(failure) => {
            let connector = failure.as_connector_error();
            let is_user = connector.is_some_and(|connector| connector.is_user());
            if is_user || connector.is_some_and(|connector| never_left(connector)) {
                PutResult::NotSent { message: message() }
            } else {
                PutResult::Unknown { message: message() }
            }
        }
        // A timeout, or an answer that cannot be read: the record may have been taken in.
        _ => PutResult::Unknown { message: message() },
    }
}

/// Whether there was nothing to sign with.
fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source()).any(|cause| cause.is::<CredentialsError>())
}

/// Whether the cause shows that nothing was sent: there was no connection.
fn never_left(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source()).any(|cause| {
        let no_connection = cause
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect);
        let refused = cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused);
        no_connection || refused
    })
}

#[cfg(test)]
#[path = "kinesis_tests.rs"]
mod tests;
