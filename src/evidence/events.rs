//! `events.jsonl`: what happened during a run, in order. One JSON object a line,
//! `{"v":1,"at_us":...,"event":"level_started",...}`; a reader skips, with a note, what it does not know.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::append::{AppendFile, read_lines};
use super::error::EvidenceError;
use super::plausible::{Plausible, is_time_us};
use crate::plan::Flag;
use crate::platform::clock::WallUs;

const VERSION: u64 = 1;

/// First and last of a range of sequences, both inclusive.
pub type Range = (u64, u64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    RunStarted {
        /// Indexes into `plan.tests()` of the tests that this run is to make, in order.
        tests: Vec<usize>,
    },
    /// The environment is complete.
    StackUp {
        environment: String,
    },
    /// The environment is gone.
    StackDown {
        environment: String,
    },
    /// A probe came through the pipeline; this many were acked until then. They are never counted.
    Ready {
        probes_acked: u64,
    },
    TestStarted {
        /// Index into `plan.tests()`.
        test_index: usize,
        id: String,
        /// Index within the run of the test's first level; its stages follow in order.
        first_level: u32,
        /// Sequence of the test's first record.
        first_sequence: u64,
    },
    LevelStarted {
        level: u32,
        /// When the level's schedule begins.
        starts_us: WallUs,
        from_rps: f64,
        target_rps: f64,
        duration_s: f64,
        /// Sequences `first_sequence .. first_sequence + count` are planned for the level.
        first_sequence: u64,
        count: u64,
    },
    LevelEnded {
        level: u32,
        /// The schedule ran to its end.
        complete: bool,
    },
    TestEnded {
        /// From the last record sent to the last acked record seen; `None` when it never drained.
        drained_s: Option<f64>,
        /// All levels ran to their end.
        complete: bool,
    },
    /// A red flag, by its name in a plan (`iterator_age_growing`).
    Flag {
        flag: String,
        level: Option<u32>,
        detail: String,
        stopped: bool,
    },
    Error {
        what: String,
        detail: String,
    },
    Note {
        text: String,
    },
    CollectionEnded {
        /// Every receipt that was there has been collected.
        complete: bool,
        /// Distinct messages that could not be read as receipts.
        unreadable: u64,
    },
    /// Missing sequences were looked for in the stream itself.
    Confirmed {
        absent: Vec<Range>,
        present: Vec<Range>,
        /// Absent because the stream forgot them before the function was handed them; none of `absent`. Not in runs of
        /// older versions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        expired: Vec<Range>,
        /// Why some were not looked for, if so.
        incomplete: Option<String>,
    },
    /// Sequences in the ranges that messages of the on-failure destination name. What one look found: a later
    /// one may find more.
    DeadLettered {
        ranges: Vec<Range>,
        /// One for each message; absent in runs of older versions.
        #[serde(default)]
        batches: Vec<DeadBatch>,
    },
    /// CloudWatch and the on-failure queue were asked beside the load, since the last event of this kind: what that
    /// costs is a line of the test.
    Watched {
        metrics_requested: u64,
        queue_requests: u64,
        /// Messages in the on-failure queue when it last answered; `None` until it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dlq_depth: Option<u64>,
    },
    /// A setting of an existing pipeline is another than at the look before, at `from_us`.
    Changed {
        from_us: WallUs,
        /// For example `mapping.batch_size`.
        setting: String,
        before: Option<String>,
        after: Option<String>,
    },
    /// How an action of a stage fares.
    Action {
        level: u32,
        /// Index in the actions of the level's stage.
        action: u32,
        /// As the plan writes it: `disable_mapping`.
        kind: String,
        step: ActionStep,
        detail: Option<String>,
    },
    RunEnded {
        end: End,
        generator_peak_mb: Option<f64>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionStep {
    /// Written before anything is asked for.
    Started,
    /// The service has done it.
    InForce,
    /// The service would not: nothing has changed.
    Refused,
    /// Written before what stood before is asked for.
    Reverting,
    /// What stood before stands again; with a detail: it was asked for, and not seen to stand.
    Reverted,
    NotReverted,
}

/// A batch that the mapping gave up, and which records of the run its range turned out to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadBatch {
    pub shard: String,
    /// Kinesis sequence numbers.
    pub first: String,
    pub last: String,
    /// `RetryAttemptsExhausted` or `RecordAgeExceeded`.
    pub condition: String,
    /// When the mapping gave it up, on the service's clock; `None` where the message does not say.
    pub given_up_us: Option<WallUs>,
    pub ranges: Vec<Range>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum End {
    Completed,
    Stopped { reason: String },
}

/// An event and when it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    pub at_us: WallUs,
    pub event: Event,
}

/// The log of one run; clones write to the same file.
#[derive(Clone)]
pub struct EventLog {
    file: Arc<Mutex<AppendFile>>,
}

impl EventLog {
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<EventLog, EvidenceError> {
        Ok(EventLog { file: Arc::new(Mutex::new(AppendFile::open(path)?)) })
    }

    /// Appends one event. It reaches the operating system at once, the disk within a second of wall time
    /// if [`EventLog::sync_if_due`] goes on being called.
    ///
    /// # Errors
    /// The disk is full, for example; the event is kept and tried again with the next call.
    pub fn append(&self, at_us: WallUs, event: &Event) -> Result<(), EvidenceError> {
        let body = serde_json::to_string(event).expect("plain members always serialize");
        let mut file = self.lock();
        // The members of the event follow in the same object.
        file.line(&format!("{{\"v\":{VERSION},\"at_us\":{at_us},{}", &body[1..]));
        file.sync_if_due()
    }

    /// Called once a second.
    ///
    /// # Errors
    /// As [`EventLog::append`].
    pub fn sync_if_due(&self) -> Result<(), EvidenceError> {
        self.lock().sync_if_due()
    }

    /// Called at the end.
    ///
    /// # Errors
    /// As [`EventLog::append`].
    pub fn sync(&self) -> Result<(), EvidenceError> {
        self.lock().sync()
    }

    fn lock(&self) -> MutexGuard<'_, AppendFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every flag and its name, as in `flags:` of a plan.
const FLAGS: [(Flag, &str); 8] = [
    (Flag::IteratorAgeGrowing, "iterator_age_growing"),
    (Flag::LambdaThrottles, "lambda_throttles"),
    (Flag::WriteThroughputExceeded, "write_throughput_exceeded"),
    (Flag::ReadThroughputExceeded, "read_throughput_exceeded"),
    (Flag::ErrorRate, "error_rate"),
    (Flag::LambdaDuration, "lambda_duration"),
    (Flag::DlqFilling, "dlq_filling"),
    (Flag::Memory, "memory"),
];

/// The name under which [`Event::Flag`] keeps a flag.
pub fn flag_name(flag: Flag) -> &'static str {
    FLAGS.iter().find(|(known, _)| *known == flag).map_or("", |(_, name)| name)
}

pub fn flag_of(name: &str) -> Option<Flag> {
    FLAGS.iter().find(|(_, known)| *known == name).map(|(flag, _)| *flag)
}

#[derive(Deserialize)]
struct Stamp {
    v: u64,
    at_us: WallUs,
}

/// All events of a log, in order. What cannot be read becomes a note.
///
/// # Errors
/// The file cannot be read at all.
pub fn read_events(path: &Path, notes: &mut Vec<String>) -> Result<Vec<Logged>, EvidenceError> {
    let mut events = Vec::new();
    let mut number = 0;
    let torn = read_lines(path, |_, line| {
        number += 1;
        match read_event(line) {
            Ok(logged) => events.push(logged),
            Err(reason) => notes.push(format!("events.jsonl:{number}: left out: {reason}")),
        }
    })?;
    if torn {
        notes.push("events.jsonl: the last line was torn and is left out".into());
    }
    Ok(events)
}

fn read_event(line: &[u8]) -> Result<Logged, String> {
    let stamp: Stamp = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if stamp.v != VERSION {
        return Err(format!("format {}; this version reads format {VERSION}", stamp.v));
    }
    let event: Event = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if !is_time_us(stamp.at_us) || !event.is_plausible() {
        return Err("a number in it is beyond what a run can have".to_owned());
    }
    Ok(Logged { at_us: stamp.at_us, event })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_and_strange_ones_are_noted() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("events.jsonl");
        let log = EventLog::open(&path).expect("open");
        let started = Event::LevelStarted {
            level: 2,
            starts_us: 1_000,
            from_rps: 0.0,
            target_rps: 50.0,
            duration_s: 30.0,
            first_sequence: 100,
            count: 750,
        };
        let ended =
            Event::RunEnded { end: End::Stopped { reason: "budget".into() }, generator_peak_mb: None };
        log.append(5, &started).expect("append");
        log.append(6, &ended).expect("append");
        let text = fs_err::read_to_string(&path).expect("read");
        assert!(text.starts_with(
            r#"{"v":1,"at_us":5,"event":"level_started","level":2,"starts_us":1000,"from_rps":0.0,"#
        ));
        let strange = concat!(
            "{\"v\":1,\"at_us\":7,\"event\":\"eclipse\"}\n",
            "{\"v\":2,\"at_us\":7,\"event\":\"note\",\"text\":\"\"}\n{\"v\":1"
        );
        fs_err::write(&path, text + strange).expect("write");
        let mut notes = Vec::new();
        let events = read_events(&path, &mut notes).expect("read");
        assert_eq!(events, [Logged { at_us: 5, event: started }, Logged { at_us: 6, event: ended }]);
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].contains("eclipse") && notes[1].contains("format 2") && notes[2].contains("torn"));
    }
}
