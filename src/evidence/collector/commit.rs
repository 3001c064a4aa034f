//! The one writer: everything that has arrived goes to disk together, then it is deleted from the queue.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message};
use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};

use super::live::LiveReceipts;
use super::poll::requests_for;
use super::{CollectorConfig, Durability, Named};
use crate::evidence::append::AppendFile;
use crate::evidence::error::EvidenceError;
use crate::evidence::receipts::{PartId, ReceiptLine, part_id};
use crate::platform::refusals::plain;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::{Receipt, RecordOutcome};

/// Messages in one DeleteMessageBatch or ChangeMessageVisibilityBatch: SQS API reference.
const BATCH_MAX: usize = 10;
/// Batches that are written together at most.
const GROUP_MAX: usize = 64;
/// A message of another run is visible again after this: at once would make this collector receive it in a
/// circle.
const FOREIGN_VISIBLE_AFTER_S: i32 = 5;
/// Messages that are not receipts, remembered so that each counts once.
const UNREADABLE_KEPT: usize = 10_000;
const DISK_RETRY: Duration = Duration::from_secs(1);
/// Receipt parts that are remembered. SQS repeats a message soon after it was sent or not at all; one that is
/// written twice all the same counts once, because `receipts::ReceiptIndex` leaves repeated parts out.
const PARTS_KEPT: usize = 1 << 14;

/// The parts that came last, in bounded memory however many receipts a run has.
#[derive(Default)]
struct RecentParts {
    known: HashSet<PartId>,
    order: VecDeque<PartId>,
}

impl RecentParts {
    /// Whether it is not known.
    fn insert(&mut self, part: PartId) -> bool {
        if !self.known.insert(part) {
            return false;
        }
        self.order.push_back(part);
        if self.order.len() > PARTS_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    fn remove(&mut self, part: PartId) {
        self.known.remove(&part);
    }
}

pub(super) struct Writer {
    config: CollectorConfig,
    file: Arc<Mutex<AppendFile>>,
    named: Arc<Mutex<Named>>,
    live: Arc<watch::Sender<LiveReceipts>>,
    parts: RecentParts,
    unreadable: HashSet<String>,
    /// Received, and not yet on disk because writing failed.
    unwritten: HashSet<PartId>,
}

/// What a group of messages comes to.
#[derive(Default)]
struct Group {
    fresh: Vec<Receipt>,
    /// Receipt handles of what is on disk, or about to be.
    ours: Vec<String>,
    others: Vec<String>,
}

impl Writer {
    pub(super) fn new(
        config: CollectorConfig,
        file: AppendFile,
        named: Arc<Mutex<Named>>,
        live: Arc<watch::Sender<LiveReceipts>>,
    ) -> Writer {
        let file = Arc::new(Mutex::new(file));
        Writer {
            config,
            file,
            named,
            live,
            parts: RecentParts::default(),
            unreadable: HashSet::new(),
            unwritten: HashSet::new(),
        }
    }

    /// Ends when all pollers have. Whether all that was received is on disk.
    pub(super) async fn run(mut self, mut received: mpsc::Receiver<Vec<Message>>) -> bool {
        let mut batches = Vec::new();
        while received.recv_many(&mut batches, GROUP_MAX).await > 0 {
            let mut group = self.sort(batches.drain(..).flatten());
            match self.store(&group).await {
                Ok(()) => {
                    for receipt in &group.fresh {
                        self.unwritten.remove(&part_id(receipt));
                    }
                    self.publish(&group);
                    self.delete(group.ours).await;
                }
                Err(error) => {
                    // Not deleted: the queue keeps them, and they come again.
                    for receipt in &group.fresh {
                        self.parts.remove(part_id(receipt));
                        self.unwritten.insert(part_id(receipt));
                    }
                    group.others.append(&mut group.ours);
                    self.live.send_modify(|live| live.error(format!("writing receipts: {error}")));
                    tokio::time::sleep(DISK_RETRY).await;
                }
            }
            self.give_back(group.others).await;
        }
        self.unwritten.is_empty()
    }

    fn sort(&mut self, messages: impl Iterator<Item = Message>) -> Group {
        let mut group = Group::default();
        let now_us = self.config.clock.now_us();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        for message in messages {
            let body = message.body.unwrap_or_default();
            let handle = message.receipt_handle.unwrap_or_default();
            match Receipt::from_message(&body) {
                Ok(receipt) if receipt.run == self.config.run => {
                    group.ours.push(handle);
                    if self.parts.insert(part_id(&receipt)) {
                        file.line(&ReceiptLine::text(now_us, &body));
                        group.fresh.push(receipt);
                    }
                }
                Ok(_) => {
                    self.live.send_modify(|live| live.foreign += 1);
                    group.others.push(handle);
                }
                Err(error) => {
                    let id = message.message_id.unwrap_or_default();
                    if self.unreadable.len() < UNREADABLE_KEPT && self.unreadable.insert(id) {
                        self.live.send_modify(|live| {
                            live.unreadable += 1;
                            live.error(error.to_string());
                        });
                    }
                    group.others.push(handle);
                }
            }
        }
        group
    }

    async fn store(&self, group: &Group) -> Result<(), EvidenceError> {
        if group.fresh.is_empty() {
            return Ok(());
        }
        let file = Arc::clone(&self.file);
        let write = move |durability| {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let written = match durability {
                Durability::Synced => file.sync(),
                Durability::Written => file.write(),
            };
            written.inspect_err(|_| file.discard())
        };
        match self.config.durability {
            Durability::Written => write(Durability::Written),
            // A sync takes milliseconds: not on a thread that others' timers wait for.
            Durability::Synced => {
                tokio::task::spawn_blocking(move || write(Durability::Synced)).await.unwrap_or_else(|_| {
                    Err(EvidenceError::Io {
                        path: "receipts.jsonl".into(),
                        source: std::io::Error::other("the runtime is shutting down"),
                    })
                })
            }
        }
    }

    fn publish(&self, group: &Group) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut new, mut failed) = (0, 0);
        for record in group.fresh.iter().flat_map(|receipt| &receipt.records) {
            if record.level == PROBE_LEVEL || record.sequence >= self.config.planned_sequences {
                continue;
            }
            match record.outcome {
                RecordOutcome::Processed => new += u64::from(named.seen.insert(record.sequence)),
                RecordOutcome::Failed => {
                    failed += 1;
                    named.failed.insert(record.sequence);
                }
            }
        }
        drop(named);
        let now_us = self.config.clock.now_us();
        self.live.send_modify(|live| {
            live.records_seen += new;
            live.records_failed += failed;
            for receipt in &group.fresh {
                live.take(receipt, now_us);
            }
        });
    }

    /// What cannot be deleted comes again, is recognized, and is deleted then.
    async fn delete(&self, handles: Vec<String>) {
        let calls = handles.chunks(BATCH_MAX).map(|chunk| {
            let entries = chunk.iter().enumerate().filter_map(|(index, handle)| {
                let entry = DeleteMessageBatchRequestEntry::builder();
                entry.id(index.to_string()).receipt_handle(handle).build().ok()
            });
            let call = self.config.sqs.delete_message_batch().queue_url(&self.config.queue_url);
            call.set_entries(Some(entries.collect())).send()
        });
        for answer in join_all(calls).await {
            self.note_call("deleting receipts", answer.map(|answer| answer.failed));
        }
    }

    async fn give_back(&self, handles: Vec<String>) {
        let calls = handles.chunks(BATCH_MAX).map(|chunk| {
            let entries = chunk.iter().enumerate().filter_map(|(index, handle)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder();
                let entry = entry.visibility_timeout(FOREIGN_VISIBLE_AFTER_S);
                entry.id(index.to_string()).receipt_handle(handle).build().ok()
            });
            let call = self.config.sqs.change_message_visibility_batch().queue_url(&self.config.queue_url);
            call.set_entries(Some(entries.collect())).send()
        });
        for answer in join_all(calls).await {
            self.note_call("giving back other receipts", answer.map(|answer| answer.failed));
        }
    }

    fn note_call<E, R>(
        &self,
        what: &str,
        answer: Result<Vec<aws_sdk_sqs::types::BatchResultErrorEntry>, SdkError<E, R>>,
    ) where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug + 'static,
    {
        self.live.send_modify(|live| {
            live.sqs_requests += requests_for(0);
            match answer {
                Ok(failed) => {
                    if let Some(first) = failed.first() {
                        let message = first.message().unwrap_or_default();
                        live.error(format!("{what}: {} refused: {} {message}", failed.len(), first.code()));
                    }
                }
                Err(error) => live.error(format!("{what}: {}", plain(&error))),
            }
        });
    }
}
