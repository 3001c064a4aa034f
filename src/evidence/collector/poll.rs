//! One long poll after the other.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::types::Message;
use tokio::sync::{mpsc, watch};

use super::live::LiveReceipts;
use crate::platform::clock::{Clock, WallUs};
use crate::platform::refusals::plain;

/// SQS lets a poll wait for 20 s (ReceiveMessage, `WaitTimeSeconds`); the stop has to wait for the poll, and a
/// request every two seconds costs next to nothing.
const WAIT_S: i32 = 2;
/// After the stop: still a long poll, which asks every server of the queue.
const LAST_WAIT_S: i32 = 1;
/// A received message comes back when it is not deleted within this.
const VISIBILITY_S: i32 = 60;
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_LONGEST: Duration = Duration::from_secs(10);
/// Failures in a row after the stop that end a poller without having found the queue empty.
const LAST_FAILURES: u32 = 5;

pub(super) struct Poller {
    pub sqs: aws_sdk_sqs::Client,
    pub queue_url: String,
    pub stop: watch::Receiver<bool>,
    pub batches: mpsc::Sender<Vec<Message>>,
    pub live: Arc<watch::Sender<LiveReceipts>>,
    pub clock: Clock,
}

/// A poll that failed.
struct Failure {
    text: String,
    /// The queue may have handed messages out with an answer that was lost: they are hidden for
    /// [`VISIBILITY_S`], and an empty poll before that proves nothing.
    may_hide_messages: bool,
}

/// Polls until a poll that began after the stop comes back empty. Whether it did.
pub(super) async fn poll(mut poller: Poller) -> bool {
    let mut failures = 0;
    let mut proven_from_us = WallUs::MIN;
    loop {
        let stopping = *poller.stop.borrow_and_update();
        match poller.receive(if stopping { LAST_WAIT_S } else { WAIT_S }).await {
            Ok(messages) if messages.is_empty() && stopping && poller.clock.now_us() >= proven_from_us => {
                return true;
            }
            Ok(messages) => {
                failures = 0;
                if !messages.is_empty() && poller.batches.send(messages).await.is_err() {
                    return false; // The writer is gone.
                }
            }
            Err(failure) => {
                failures += 1;
                if failure.may_hide_messages {
                    proven_from_us = poller.clock.now_us() + i64::from(VISIBILITY_S) * 1_000_000;
                }
                let text = failure.text;
                poller.live.send_modify(|live| live.error(format!("receiving receipts: {text}")));
                if stopping && failures >= LAST_FAILURES {
                    return false;
                }
                poller.back_off(failures).await;
            }
        }
    }
}

impl Poller {
    async fn receive(&self, wait_s: i32) -> Result<Vec<Message>, Failure> {
        let received = self
            .sqs
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(10)
            .wait_time_seconds(wait_s)
            .visibility_timeout(VISIBILITY_S)
            .send()
            .await;
        let bytes = received.as_ref().map_or(0, |received| {
            received.messages().iter().map(|message| message.body().map_or(0, str::len)).sum()
        });
        self.live.send_modify(|live| live.sqs_requests += requests_for(bytes));
        received.map(|received| received.messages.unwrap_or_default()).map_err(|error| Failure {
            may_hide_messages: !matches!(error, SdkError::ServiceError(_)),
            text: plain(&error),
        })
    }

    /// Waits before the next try, or until the stop.
    async fn back_off(&mut self, failures: u32) {
        let wait = BACKOFF_FIRST.saturating_mul(1 << failures.min(10).saturating_sub(1)).min(BACKOFF_LONGEST);
        if *self.stop.borrow() {
            // Bounded by the caller of the stop, and by LAST_FAILURES.
            tokio::time::sleep(wait.min(Duration::from_secs(1))).await;
        } else {
            let _ = tokio::time::timeout(wait, self.stop.changed()).await;
        }
    }
}

/// Requests that SQS bills for a payload.
pub(super) fn requests_for(bytes: usize) -> u64 {
    (bytes as u64).max(1).div_ceil(crate::platform::limits::SQS_BILLED_CHUNK_BYTES)
}
