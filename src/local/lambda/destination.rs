//! Where Lambda sends what it gives up: a queue or a bucket, for mappings and asynchronous invocations alike.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::state::{Shared, invalid};
use super::{Peers, iso_ms};
use crate::local::service::ApiError;

/// How long sending may take. AWS documents no number.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Queue { name: String, account: String },
    Bucket(String),
}

impl Destination {
    /// Reads an ARN; `None` when there is none.
    ///
    /// # Errors
    /// When it names a kind of destination that is not modelled.
    pub fn read(arn: &Value) -> Result<Option<Destination>, ApiError> {
        let Some(arn) = arn.as_str().filter(|arn| !arn.is_empty()) else { return Ok(None) };
        match arn.split(':').collect::<Vec<_>>().as_slice() {
            ["arn", _, "sqs", _, account, name] if !name.ends_with(".fifo") => {
                Ok(Some(Destination::Queue { name: (*name).to_owned(), account: (*account).to_owned() }))
            }
            ["arn", _, "s3", "", "", bucket] if !bucket.contains('/') => {
                Ok(Some(Destination::Bucket((*bucket).to_owned())))
            }
            _ => Err(invalid(format!(
                "the local endpoint delivers to standard SQS queues and S3 buckets only, not to {arn}"
            ))),
        }
    }

    /// Sends a document: to a queue as a message, to a bucket as an object of this key.
    pub async fn send(&self, shared: &Shared, document: &Value, key: &str) -> Result<(), ApiError> {
        let body = document.to_string();
        let sending = async {
            match self {
                Destination::Queue { .. } => self.send_message(&shared.peers, &body, json!({})).await,
                Destination::Bucket(bucket) => {
                    let input = json!({
                        "Bucket": bucket, "Key": key, "Body": STANDARD.encode(body),
                        "ContentType": "application/json",
                    });
                    shared.peers.s3.call("PutObject", input).await.map(drop)
                }
            }
        };
        in_time(sending).await
    }

    /// Sends a message with attributes (`{name: {DataType, StringValue}}`). A bucket takes none.
    pub async fn send_attributed(
        &self,
        shared: &Shared,
        body: &str,
        attributes: Value,
    ) -> Result<(), ApiError> {
        in_time(self.send_message(&shared.peers, body, attributes)).await
    }

    async fn send_message(&self, peers: &Peers, body: &str, attributes: Value) -> Result<(), ApiError> {
        let Destination::Queue { name, account } = self else {
            return Err(invalid("only a queue takes messages"));
        };
        let named = json!({"QueueName": name, "QueueOwnerAWSAccountId": account});
        let url = peers.sqs.call("GetQueueUrl", named).await?;
        let mut message = json!({"QueueUrl": url["QueueUrl"], "MessageBody": body});
        if attributes.as_object().is_some_and(|attributes| !attributes.is_empty()) {
            message["MessageAttributes"] = attributes;
        }
        peers.sqs.call("SendMessage", message).await.map(drop)
    }
}

async fn in_time(sending: impl Future<Output = Result<(), ApiError>>) -> Result<(), ApiError> {
    match tokio::time::timeout(SEND_TIMEOUT, sending).await {
        Ok(sent) => sent,
        Err(_) => Err(ApiError::new(504, "Timeout", "the destination did not answer in time")),
    }
}

/// `<prefix>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<UUID>`. Developer guide, "Retain discarded batch records" and
/// "Capturing records of Lambda asynchronous invocations".
pub fn object_key(prefix: &str, now_ms: i64, uuid: &str) -> String {
    let at = iso_ms(now_ms);
    let day = at.get(..10).unwrap_or_default().replace('-', "/");
    let second = at.get(..19).unwrap_or_default().replace(':', ".");
    format!("{prefix}/{day}/{second}-{uuid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_read_and_others_refused_by_name() {
        let queue = Destination::read(&json!("arn:aws:sqs:us-east-1:000000000000:dlq")).unwrap();
        assert_eq!(queue, Some(Destination::Queue { name: "dlq".into(), account: "000000000000".into() }));
        let bucket = Destination::read(&json!("arn:aws:s3:::lost")).unwrap();
        assert_eq!(bucket, Some(Destination::Bucket("lost".into())));
        assert_eq!(Destination::read(&json!("")).unwrap(), None);
        for arn in ["arn:aws:sns:us-east-1:0:t", "arn:aws:sqs:us-east-1:0:q.fifo", "arn:aws:s3:::b/k", "x"] {
            assert!(Destination::read(&json!(arn)).unwrap_err().message.ends_with(arn));
        }
    }

    #[test]
    fn keys_are_laid_out_as_documented() {
        assert_eq!(
            object_key("aws/lambda/u/shardId-000000000000", 1_700_000_000_123, "id"),
            "aws/lambda/u/shardId-000000000000/2023/11/14/2023-11-14T22.13.20-id"
        );
    }
}
