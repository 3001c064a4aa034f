//! Reads records of the stream again, beside the function: slowly, bounded, and with patience for refusals.

use std::ops::ControlFlow;
use std::time::Duration;

use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::get_records::GetRecordsError;
use aws_sdk_kinesis::types::{Record, Shard, ShardIteratorType};
use aws_smithy_types::DateTime;
use tokio::time::Instant;

use crate::platform::clock::WallUs;
use crate::platform::limits::SHARD_READ_CALLS_PER_S;
use crate::platform::refusals::plain;

/// A shard answers five reads a second, shared with the function's mapping: half of them are left to it.
const READ_EVERY: Duration = Duration::from_millis(2 * 1_000 / SHARD_READ_CALLS_PER_S);
const FAILURES_MAX: u32 = 8;

/// Where in a shard reading begins.
pub(super) enum Begin<'a> {
    At(WallUs),
    Sequence(&'a str),
}

pub(super) struct StreamReader<'a> {
    pub kinesis: &'a aws_sdk_kinesis::Client,
    pub stream_arn: &'a str,
    /// Everything ends here.
    pub deadline: Instant,
}

impl StreamReader<'_> {
    /// Ids of all shards, closed ones included.
    pub(super) async fn shards(&self) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        let mut token: Option<String> = None;
        loop {
            // With a token the stream must not be named: Kinesis API reference, ListShards.
            let request = self.kinesis.list_shards();
            let request = match token {
                Some(token) => request.next_token(token),
                None => request.stream_arn(self.stream_arn),
            };
            let answer = self.within(request.send()).await?;
            let answer = answer.map_err(|error| plain(&error))?;
            ids.extend(answer.shards().iter().map(Shard::shard_id).map(str::to_owned));
            token = answer.next_token;
            if token.is_none() {
                return Ok(ids);
            }
        }
    }

    /// How long the stream keeps records now.
    pub(super) async fn retention(&self) -> Result<Duration, String> {
        let call = self.kinesis.describe_stream_summary().stream_arn(self.stream_arn).send();
        let answer = self.within(call).await?.map_err(|error| plain(&error))?;
        let hours = answer.stream_description_summary().map_or(0, |stream| stream.retention_period_hours());
        Ok(Duration::from_secs(3_600 * hours.max(0) as u64))
    }

    /// Gives every record from `begin` on to `each`, until it breaks, or the shard's tip or end is reached.
    pub(super) async fn read(
        &self,
        shard: &str,
        begin: Begin<'_>,
        mut each: impl FnMut(&Record) -> ControlFlow<()>,
    ) -> Result<(), String> {
        let mut iterator = self.iterator(shard, begin).await?;
        let mut failures = 0;
        // A closed shard ends without an iterator.
        while let Some(at) = iterator.take() {
            let call = self.kinesis.get_records().stream_arn(self.stream_arn).shard_iterator(&at).send();
            match self.within(call).await? {
                Ok(answer) => {
                    failures = 0;
                    if answer.records().iter().any(|record| each(record).is_break())
                        || answer.millis_behind_latest() == Some(0)
                    {
                        return Ok(());
                    }
                    iterator = answer.next_shard_iterator;
                }
                Err(error) if failures < FAILURES_MAX && is_worth_another_try(&error) => {
                    failures += 1;
                    iterator = Some(at);
                }
                Err(error) => return Err(format!("{shard}: {}", plain(&error))),
            }
            self.within(tokio::time::sleep(READ_EVERY * (1 << failures.min(4)))).await?;
        }
        Ok(())
    }

    async fn iterator(&self, shard: &str, begin: Begin<'_>) -> Result<Option<String>, String> {
        let request = self.kinesis.get_shard_iterator().stream_arn(self.stream_arn).shard_id(shard);
        let request = match begin {
            Begin::At(from_us) => {
                let from =
                    DateTime::from_nanos(i128::from(from_us) * 1_000).map_err(|error| error.to_string())?;
                request.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(from)
            }
            Begin::Sequence(number) => request
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(number),
        };
        let answer = self.within(request.send()).await?;
        answer.map(|answer| answer.shard_iterator).map_err(|error| format!("{shard}: {}", plain(&error)))
    }

    async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T, String> {
        tokio::time::timeout_at(self.deadline, future)
            .await
            .map_err(|_| "reading the stream again took longer than it may".to_owned())
    }
}

fn is_worth_another_try(error: &SdkError<GetRecordsError>) -> bool {
    match error {
        SdkError::ServiceError(context) => {
            context.err().is_provisioned_throughput_exceeded_exception()
                || context.raw().status().is_server_error()
        }
        SdkError::ConstructionFailure(_) => false,
        _ => true,
    }
}
