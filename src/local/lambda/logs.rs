//! What functions log, on its way to CloudWatch Logs: one bounded queue and one writer for all of them.
//!
//! A full queue makes the writers of lines wait, and through its pipe the function: nothing is dropped for
//! being too fast. What CloudWatch Logs refuses is dropped with a warning.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::local::service::Service;
use crate::platform::clock::Clock;

/// Lines that wait to be written.
const QUEUE_LINES: usize = 1_000;
/// How long the writer gathers lines before it writes them.
const GATHER: Duration = Duration::from_millis(50);
/// Events of one PutLogEvents call, and their bytes (message plus 26 each). API reference, PutLogEvents.
const PUT_EVENTS_MAX: usize = 10_000;
const PUT_BYTES_MAX: usize = 1_048_576;
const EVENT_OVERHEAD_BYTES: usize = 26;
/// What `LogType: Tail` gives back at most. Lambda API reference, Invoke.
pub const TAIL_BYTES: usize = 4_096;
/// Longest line kept whole; Lambda cuts log lines at 256 KB (developer guide, "Lambda quotas").
pub const LINE_MAX_BYTES: usize = 256 * 1_024 - EVENT_OVERHEAD_BYTES;

/// The log stream of one sandbox.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Target {
    group: String,
    stream: String,
    /// Whether a missing group is created: so for Lambda's own default group only. A group that the
    /// function's configuration names belongs to whoever declared it; a late line must not bring it back.
    creates_group: bool,
}

enum Entry {
    Line { target: Arc<Target>, at_ms: i64, message: String },
    Flush(oneshot::Sender<()>),
}

/// The way in. Cheap to clone; the writer ends with the last clone.
#[derive(Clone)]
pub struct Logs {
    queue: mpsc::Sender<Entry>,
    clock: Clock,
}

impl Logs {
    /// Starts the writer; must be called inside a tokio runtime.
    pub fn start(service: Arc<dyn Service>, clock: Clock) -> Logs {
        let (queue, entries) = mpsc::channel(QUEUE_LINES);
        tokio::spawn(Writer { service, known: BTreeSet::new() }.run(entries));
        Logs { queue, clock }
    }

    /// A stream to write lines to. Nothing is created before the first line.
    pub fn stream(&self, group: &str, stream: String, creates_group: bool) -> LogStream {
        let target = Arc::new(Target { group: group.to_owned(), stream, creates_group });
        LogStream { logs: self.clone(), target, tail: Vec::new() }
    }

    /// Resolves when everything queued so far was handed to CloudWatch Logs.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.queue.send(Entry::Flush(done)).await.is_ok() {
            // An error means that the writer ended: then nothing is left to wait for.
            let _ = flushed.await;
        }
    }
}

/// Writes to one log stream and remembers the tail of the current invocation.
pub struct LogStream {
    logs: Logs,
    target: Arc<Target>,
    tail: Vec<u8>,
}

impl LogStream {
    pub fn name(&self) -> &str {
        &self.target.stream
    }

    /// Waits while the queue is full.
    pub async fn write(&mut self, mut message: String) {
        if message.len() > LINE_MAX_BYTES {
            message.truncate(floor_char_boundary(&message, LINE_MAX_BYTES));
        }
        self.tail.extend_from_slice(message.as_bytes());
        self.tail.push(b'\n');
        if self.tail.len() > 2 * TAIL_BYTES {
            self.tail.drain(..self.tail.len() - TAIL_BYTES);
        }
        let entry = Entry::Line { target: self.target.clone(), at_ms: self.logs.clock.now_ms(), message };
        // An error means that the endpoint is shutting down.
        let _ = self.logs.queue.send(entry).await;
    }

    /// What was written since this was last called, at most the last 4 KB.
    pub fn take_tail(&mut self) -> Vec<u8> {
        let mut tail = std::mem::take(&mut self.tail);
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
        tail
    }
}

/// The last character boundary at or before `at`.
fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

struct Writer {
    service: Arc<dyn Service>,
    /// Streams that exist.
    known: BTreeSet<(String, String)>,
}

type Gathered = IndexMap<Arc<Target>, Vec<(i64, String)>>;

impl Writer {
    async fn run(mut self, mut entries: mpsc::Receiver<Entry>) {
        while let Some(first) = entries.recv().await {
            let (gathered, flushes) = gather(first, &mut entries).await;
            for (target, mut lines) in gathered {
                // Events of one call must be in order of time; threads may have queued them a little out of it.
                lines.sort_by_key(|(at_ms, _)| *at_ms);
                self.write(&target, lines).await;
            }
            for flush in flushes {
                let _ = flush.send(());
            }
        }
    }

    async fn write(&mut self, target: &Target, lines: Vec<(i64, String)>) {
        let key = (target.group.clone(), target.stream.clone());
        if !self.known.contains(&key) {
            if let Err(error) = self.create(target).await {
                let dropped = lines.len();
                tracing::warn!(group = target.group, %error, dropped, "log lines of a function were dropped");
                return;
            }
            self.known.insert(key.clone());
        }
        for events in in_calls(lines) {
            let input = json!({
                "logGroupName": target.group, "logStreamName": target.stream, "logEvents": events,
            });
            if let Err(error) = self.service.call("PutLogEvents", input).await {
                tracing::warn!(group = target.group, %error, "log lines of a function were dropped");
                // Perhaps the group was deleted: look again at the next line.
                self.known.remove(&key);
                return;
            }
        }
    }

    async fn create(&self, target: &Target) -> Result<(), crate::local::service::ApiError> {
        let stream = json!({"logGroupName": target.group, "logStreamName": target.stream});
        match self.service.call("CreateLogStream", stream.clone()).await {
            Err(error) if error.code == "ResourceNotFoundException" && target.creates_group => {
                let group = json!({"logGroupName": target.group});
                exists(self.service.call("CreateLogGroup", group).await)?;
                exists(self.service.call("CreateLogStream", stream).await)
            }
            answer => exists(answer),
        }
    }
}

/// That it exists already is as good.
fn exists(answer: crate::local::service::ApiResult) -> Result<(), crate::local::service::ApiError> {
    match answer {
        Err(error) if error.code != "ResourceAlreadyExistsException" => Err(error),
        _ => Ok(()),
    }
}

/// Everything that comes within [`GATHER`] of the first entry, or up to a flush.
async fn gather(first: Entry, entries: &mut mpsc::Receiver<Entry>) -> (Gathered, Vec<oneshot::Sender<()>>) {
    let mut gathered = Gathered::new();
    let mut flushes = Vec::new();
    let mut lines = 0;
    let window = tokio::time::sleep(GATHER);
    tokio::pin!(window);
    let mut next = Some(first);
    while let Some(entry) = next {
        match entry {
            Entry::Line { target, at_ms, message } => {
                gathered.entry(target).or_default().push((at_ms, message));
                lines += 1;
            }
            Entry::Flush(done) => flushes.push(done),
        }
        if !flushes.is_empty() || lines >= QUEUE_LINES {
            break;
        }
        next = tokio::select! {
            biased;
            entry = entries.recv() => entry,
            () = &mut window => None,
        };
    }
    (gathered, flushes)
}

/// Splits lines at the limits of one PutLogEvents call.
fn in_calls(lines: Vec<(i64, String)>) -> Vec<Vec<Value>> {
    let mut calls: Vec<Vec<Value>> = Vec::new();
    let mut bytes = 0;
    for (at_ms, message) in lines {
        let size = message.len() + EVENT_OVERHEAD_BYTES;
        let full =
            calls.last().is_none_or(|call| call.len() == PUT_EVENTS_MAX) || bytes + size > PUT_BYTES_MAX;
        if full {
            calls.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        let call = calls.last_mut().expect("one was pushed above");
        call.push(json!({"timestamp": at_ms, "message": message}));
    }
    calls
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::local::service::{ApiError, ApiResult, BoxFuture};

    /// Knows groups and streams, and keeps the messages.
    #[derive(Default)]
    struct FakeLogs {
        groups: Mutex<BTreeSet<String>>,
        messages: Mutex<Vec<String>>,
        calls: Mutex<usize>,
    }

    impl Service for FakeLogs {
        fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
            Box::pin(async move {
                let group = input["logGroupName"].as_str().unwrap().to_owned();
                let missing = || ApiError::invalid("ResourceNotFoundException", "no group");
                match operation {
                    "CreateLogGroup" => {
                        self.groups.lock().unwrap().insert(group);
                    }
                    "CreateLogStream" if !self.groups.lock().unwrap().contains(&group) => {
                        return Err(missing());
                    }
                    "PutLogEvents" => {
                        *self.calls.lock().unwrap() += 1;
                        let events = input["logEvents"].as_array().unwrap();
                        let messages = events.iter().map(|e| e["message"].as_str().unwrap().to_owned());
                        self.messages.lock().unwrap().extend(messages);
                    }
                    _ => {}
                }
                Ok(json!({}))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn creates_the_default_group_but_never_a_declared_one() {
        let fake = Arc::new(FakeLogs::default());
        let logs = Logs::start(fake.clone(), Clock::starting_at(0));
        let mut declared = logs.stream("/declared", "s".to_owned(), false);
        declared.write("lost".to_owned()).await;
        let mut default = logs.stream("/aws/lambda/f", "s".to_owned(), true);
        default.write("one".to_owned()).await;
        default.write("two".to_owned()).await;
        logs.flush().await;
        assert_eq!(*fake.messages.lock().unwrap(), ["one", "two"]);
        assert_eq!(*fake.calls.lock().unwrap(), 1, "gathered into one call");
        assert_eq!(default.take_tail(), b"one\ntwo\n");
        assert!(!fake.groups.lock().unwrap().contains("/declared"));
    }

    #[tokio::test]
    async fn the_tail_and_the_calls_are_bounded() {
        let fake = Arc::new(FakeLogs::default());
        let logs = Logs::start(fake.clone(), Clock::starting_at(0));
        let mut stream = logs.stream("/aws/lambda/f", "s".to_owned(), true);
        for _ in 0..9 {
            stream.write("x".repeat(LINE_MAX_BYTES + 7)).await;
        }
        logs.flush().await;
        assert_eq!(stream.take_tail().len(), TAIL_BYTES);
        assert!(fake.messages.lock().unwrap().iter().all(|m| m.len() == LINE_MAX_BYTES));
        assert!(*fake.calls.lock().unwrap() >= 3, "four such lines fill one call");
    }
}
