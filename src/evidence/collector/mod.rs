//! Collects receipts from the queue while the load runs: several long polls at a time, one writer. A message
//! is deleted from the queue only after it is on disk; one that is deleted too late comes again and is
//! recognized. Messages of other runs go back to the queue.

mod commit;
mod live;
mod poll;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::append::AppendFile;
use super::error::EvidenceError;
use super::rundir::RunDir;
use super::sequences::SequenceSet;
use crate::platform::clock::Clock;
use crate::wire::run_id::RunId;

pub use live::{Extremes, LiveReceipts};

/// Batches of received messages that wait for the writer; polls wait when it is full.
const QUEUE_BATCHES: usize = 16;

/// When a receipt may be deleted from the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once the disk has it: it outlives the machine.
    Synced,
    /// Once the operating system has it: for rehearsals, whose queue dies with the process anyway and whose
    /// virtual hours must not wait for the disk.
    Written,
}

pub struct CollectorConfig {
    pub sqs: aws_sdk_sqs::Client,
    /// Empty where the function sends no receipts: then nothing is polled.
    pub queue_url: String,
    pub run: RunId,
    pub clock: Clock,
    pub durability: Durability,
    /// Concurrent long polls, 2 to 4: one carries a few hundred messages a second.
    pub pollers: usize,
    /// Sequences that the run has planned: a receipt that names a higher one does not count it as seen.
    pub planned_sequences: u64,
}

/// How collection ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionEnd {
    /// The queue was found empty after the stop, and all that was received is on disk.
    pub complete: bool,
    /// Distinct messages that could not be read.
    pub unreadable: u64,
    pub receipts: u64,
}

/// Sequences that receipts have named.
#[derive(Default)]
struct Named {
    /// Processed.
    seen: SequenceSet,
    /// In a batch that failed on them, or on one before them; they may have been processed since.
    failed: SequenceSet,
}

pub struct Collector {
    live: watch::Receiver<LiveReceipts>,
    named: Arc<Mutex<Named>>,
    stop: watch::Sender<bool>,
    pollers: JoinSet<bool>,
    writer: tokio::task::JoinHandle<bool>,
}

impl Collector {
    /// Starts polling; needs a tokio runtime.
    ///
    /// # Errors
    /// `receipts.jsonl` cannot be opened.
    pub fn start(dir: &RunDir, config: CollectorConfig) -> Result<Collector, EvidenceError> {
        let file = AppendFile::open(&dir.receipts_jsonl())?;
        let named = Arc::new(Mutex::new(Named::default()));
        let (live_sender, live) = watch::channel(LiveReceipts::default());
        let live_sender = Arc::new(live_sender);
        let (stop, stop_seen) = watch::channel(false);
        let (batches, received) = mpsc::channel(QUEUE_BATCHES);
        let mut pollers = JoinSet::new();
        let polling = if config.queue_url.is_empty() { 0 } else { config.pollers.max(1) };
        for _ in 0..polling {
            pollers.spawn(poll::poll(poll::Poller {
                sqs: config.sqs.clone(),
                queue_url: config.queue_url.clone(),
                stop: stop_seen.clone(),
                batches: batches.clone(),
                live: Arc::clone(&live_sender),
                clock: config.clock,
            }));
        }
        let writer = commit::Writer::new(config, file, Arc::clone(&named), live_sender);
        let writer = tokio::spawn(writer.run(received));
        Ok(Collector { live, named, stop, pollers, writer })
    }

    /// What is known so far; changes with every batch of receipts.
    pub fn live(&self) -> watch::Receiver<LiveReceipts> {
        self.live.clone()
    }

    /// Which of `acked` no receipt says were processed: none when the pipeline is drained.
    pub fn unseen_of(&self, acked: &SequenceSet) -> SequenceSet {
        acked.minus(&self.named.lock().unwrap_or_else(PoisonError::into_inner).seen)
    }

    /// On which of these, or on a record before them in their batch, the function has failed.
    pub fn failed_of(&self, sequences: &SequenceSet) -> SequenceSet {
        sequences.intersection(&self.named.lock().unwrap_or_else(PoisonError::into_inner).failed)
    }

    /// Polls until the queue is empty, at most for `bound`, writes what is there, and ends.
    pub async fn stop(mut self, bound: Duration) -> CollectionEnd {
        self.stop.send_replace(true);
        let pollers = &mut self.pollers;
        let writer = &mut self.writer;
        let ended = tokio::time::timeout(bound, async {
            let mut drained = true;
            while let Some(ended) = pollers.join_next().await {
                drained &= ended.unwrap_or(false);
            }
            // The last poller has dropped its end of the channel: the writer empties it and ends.
            writer.await.unwrap_or(false) && drained
        })
        .await;
        self.writer.abort();
        let live = self.live.borrow();
        CollectionEnd {
            complete: ended.unwrap_or(false),
            unreadable: live.unreadable,
            receipts: live.receipts,
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // The pollers are aborted with their set. Whatever was not written is still in the queue.
        self.writer.abort();
    }
}
