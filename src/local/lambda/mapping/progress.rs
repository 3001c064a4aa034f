//! What a mapping's tasks and its API share: its state, and how far each shard is.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// States of a mapping. Lambda API reference, EventSourceMappingConfiguration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Creating,
    Enabling,
    Enabled,
    Disabling,
    Disabled,
    Updating,
    Deleting,
}

/// Shared by the tasks of one mapping and the API.
pub struct Progress {
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    last_result: String,
    shards: BTreeMap<String, Shard>,
    /// Whether the shards that the mapping began with were found: later ones are read from their start.
    begun: bool,
    /// How long the stream keeps records, ms; `None` until it told.
    retention_ms: Option<i64>,
}

/// How far one shard is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shard {
    /// Every record up to this sequence number is done with.
    pub position: Option<String>,
    /// Found after the mapping had begun: a child of a split or a merge.
    pub late: bool,
    /// When it was first read, ms since the epoch.
    pub since_ms: i64,
    /// It was read, or known, before: since `since_ms`.
    pub resumed: bool,
    /// Closed and read to its end.
    pub finished: bool,
}

impl Progress {
    pub fn new(state: State) -> Progress {
        let last_result = "No records processed".to_owned();
        let inner = Inner { state, last_result, shards: BTreeMap::new(), begun: false, retention_ms: None };
        Progress { inner: Mutex::new(inner) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().expect("progress lock"))
    }

    pub fn retention_ms(&self) -> Option<i64> {
        self.with(|inner| inner.retention_ms)
    }

    pub fn set_retention_ms(&self, retention_ms: i64) {
        self.with(|inner| inner.retention_ms = Some(retention_ms));
    }

    pub fn state(&self) -> State {
        self.with(|inner| inner.state)
    }

    pub fn set_state(&self, state: State) {
        self.with(|inner| inner.state = state);
    }

    /// Becomes Enabled unless something newer was asked for meanwhile.
    pub fn set_running(&self) {
        self.with(|inner| {
            if matches!(inner.state, State::Creating | State::Enabling | State::Updating) {
                inner.state = State::Enabled;
            }
        });
    }

    pub fn last_result(&self) -> String {
        self.with(|inner| inner.last_result.clone())
    }

    pub fn note(&self, result: &str) {
        self.with(|inner| {
            if inner.last_result != result {
                inner.last_result = result.to_owned();
            }
        });
    }

    /// The shard as it stands.
    pub fn shard(&self, id: &str) -> Shard {
        self.with(|inner| match inner.shards.get(id) {
            Some(shard) => shard.clone(),
            None => Shard { late: inner.begun, ..Shard::default() },
        })
    }

    /// A poller starts on the shard, as it stands in `from`.
    pub fn set_started(&self, id: &str, from: &Shard, now_ms: i64) {
        let since_ms = if from.resumed { from.since_ms } else { now_ms };
        let started = Shard { since_ms, resumed: true, ..from.clone() };
        self.with(|inner| inner.shards.insert(id.to_owned(), started));
    }

    pub fn is_finished(&self, id: &str) -> bool {
        self.with(|inner| inner.shards.get(id).is_some_and(|shard| shard.finished))
    }

    /// The first list of shards was seen whole. Those of them that wait for their parents were there from the
    /// beginning too: they will be read from what the mapping's start means now, not when their turn comes.
    pub fn set_begun<'a>(&self, ids: impl IntoIterator<Item = &'a String>, now_ms: i64) {
        self.with(|inner| {
            if inner.begun {
                return;
            }
            inner.begun = true;
            for id in ids {
                let waiting = || Shard { since_ms: now_ms, resumed: true, ..Shard::default() };
                inner.shards.entry(id.clone()).or_insert_with(waiting);
            }
        });
    }

    pub fn set_position(&self, id: &str, position: &str) {
        self.with(|inner| {
            if let Some(shard) = inner.shards.get_mut(id) {
                shard.position = Some(position.to_owned());
            }
        });
    }

    pub fn set_finished(&self, id: &str) {
        self.with(|inner| {
            if let Some(shard) = inner.shards.get_mut(id) {
                shard.finished = true;
            }
        });
    }
}
