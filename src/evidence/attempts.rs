//! What became of the tests of one run, for its campaign: from its event log alone, whatever ended the run.

use std::fs::{File, TryLockError};

use super::error::EvidenceError;
use super::events::{Event, read_events};
use super::rundir::RunDir;
use crate::platform::clock::WallUs;

/// A test that was begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub id: String,
    pub started_us: WallUs,
    /// `None`: the process ended before the test did.
    pub ended_us: Option<WallUs>,
    /// All its levels ran to their end, and it was waited for its records.
    pub complete: bool,
}

/// The tests of a run that were begun, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attempts {
    pub list: Vec<Attempt>,
    /// When the run's end was written; `None`: it goes on, or was killed.
    pub ended_us: Option<WallUs>,
}

impl Attempts {
    /// # Errors
    /// The event log is there and cannot be read. Single lines that cannot be read become notes.
    pub fn read(dir: &RunDir, notes: &mut Vec<String>) -> Result<Attempts, EvidenceError> {
        let mut attempts = Attempts::default();
        for logged in read_events(&dir.events_jsonl(), notes)? {
            match logged.event {
                Event::TestStarted { id, .. } => attempts.list.push(Attempt {
                    id,
                    started_us: logged.at_us,
                    ended_us: None,
                    complete: false,
                }),
                Event::TestEnded { complete, .. } => {
                    if let Some(last) = attempts.list.last_mut() {
                        (last.ended_us, last.complete) = (Some(logged.at_us), complete);
                    }
                }
                Event::RunEnded { .. } => attempts.ended_us = Some(logged.at_us),
                _ => {}
            }
        }
        Ok(attempts)
    }
}

/// Says that the run goes on, for as long as it is kept. The operating system's: it goes with the process, however
/// that ends.
#[derive(Debug)]
pub struct Alive {
    _run_json: File,
}

impl RunDir {
    /// `None` where the file system knows no locks: the run is then taken for one that was killed.
    ///
    /// # Errors
    /// There is no `run.json`.
    pub fn hold(&self) -> Result<Option<Alive>, EvidenceError> {
        let path = self.run_json();
        let file = File::open(&path).map_err(EvidenceError::io(&path))?;
        Ok(file.try_lock().is_ok().then_some(Alive { _run_json: file }))
    }

    /// Whether a process works on the run.
    pub fn is_alive(&self) -> bool {
        // A shared lock: looking must not be in the way of another look, and the run took its own long ago.
        let held = File::open(self.run_json()).map(|file| file.try_lock_shared());
        matches!(held, Ok(Err(TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_alive_while_it_is_held_and_its_tests_are_read_back_up_to_a_torn_line() {
        let root = tempfile::tempdir().expect("tempdir");
        let run = "20261121-013240-k3f9".parse().expect("well formed");
        let dir = RunDir::create(root.path(), &run).expect("create");
        assert!(!dir.is_alive() && dir.hold().is_err(), "there is no run yet");
        fs_err::write(dir.run_json(), "{}").expect("write");
        let held = dir.hold().expect("hold").expect("tmp has locks");
        assert!(dir.is_alive());
        drop(held);
        assert!(!dir.is_alive());

        let mut notes = Vec::new();
        let none = Attempts::read(&dir, &mut notes).expect("an event log that was never begun");
        assert_eq!((none, notes.len()), (Attempts::default(), 0));
        let log = dir.event_log().expect("log");
        for (at_us, id, complete) in [(10, "a", Some(true)), (20, "b", Some(false)), (30, "c", None)] {
            let id = id.to_owned();
            let started = Event::TestStarted { test_index: 0, id, first_level: 0, first_sequence: 0 };
            log.append(at_us, &started).expect("append");
            if let Some(complete) = complete {
                log.append(at_us + 1, &Event::TestEnded { drained_s: None, complete }).expect("append");
            }
        }
        let text = fs_err::read_to_string(dir.events_jsonl()).expect("read");
        fs_err::write(dir.events_jsonl(), text + "{\"v\":1,\"at_us\":31,\"event\":\"test_en").expect("write");
        let read = Attempts::read(&dir, &mut notes).expect("read");
        let of = |id: &str, started_us, ended_us, complete| Attempt {
            id: id.to_owned(),
            started_us,
            ended_us,
            complete,
        };
        assert_eq!(
            read.list,
            [of("a", 10, Some(11), true), of("b", 20, Some(21), false), of("c", 30, None, false)]
        );
        assert_eq!((read.ended_us, notes.len()), (None, 1), "{notes:?}");
    }
}
