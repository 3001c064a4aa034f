//! Progress of a grid of rehearsals: how many are done, and how far virtual time is over all of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::progress::Stderr;
use crate::platform::clock::Stopwatch;
use crate::report::span;
use crate::session::progress::{LiveLevel, Progress};

/// A live line is made this often, in wall time.
const LIVE_EVERY: Duration = Duration::from_millis(250);
/// And without a terminal this often.
const LIVE_PLAIN_EVERY: Duration = Duration::from_secs(5);

pub struct GridProgress {
    inner: Stderr,
    watch: Stopwatch,
    state: Mutex<State>,
}

struct State {
    /// Of each setting, how far its load is, seconds of virtual time.
    elapsed_s: Vec<f64>,
    /// Of one setting.
    planned_s: f64,
    done: usize,
    shown_at: Duration,
}

impl GridProgress {
    pub fn new(settings: usize) -> GridProgress {
        let state =
            State { elapsed_s: vec![0.0; settings], planned_s: 0.0, done: 0, shown_at: Duration::ZERO };
        GridProgress { inner: Stderr::new(), watch: Stopwatch::start(), state: Mutex::new(state) }
    }

    /// A setting came to its end: one line, kept.
    pub fn done(&self, index: usize, told: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.elapsed_s[index] = state.planned_s;
        state.done += 1;
        let (done, all) = (state.done, state.elapsed_s.len());
        drop(state);
        self.inner
            .step(&format!("{done} of {all} settings: {told}, after {} s", self.watch.elapsed().as_secs()));
    }

    pub fn settle(&self) {
        self.inner.settle();
    }

    fn live(&self, index: usize, level: &LiveLevel) {
        let wall = self.watch.elapsed();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.elapsed_s[index] = level.elapsed_s;
        state.planned_s = level.planned_s;
        let every = if self.inner.is_drawn() { LIVE_EVERY } else { LIVE_PLAIN_EVERY };
        if wall.saturating_sub(state.shown_at) < every {
            return;
        }
        state.shown_at = wall;
        let all = state.elapsed_s.len();
        let line = format!(
            "{} of {all} settings; virtual time {} of {} in {} s",
            state.done,
            span(state.elapsed_s.iter().sum()),
            span(state.planned_s * all as f64),
            wall.as_secs()
        );
        drop(state);
        match self.inner.is_drawn() {
            true => self.inner.step_live(&line),
            false => self.inner.step(&line),
        }
    }
}

/// What one of the rehearsals tells: only how far it is.
pub struct OfOne {
    pub grid: Arc<GridProgress>,
    pub index: usize,
}

impl Progress for OfOne {
    fn step(&self, _: &str) {}
    fn live(&self, level: &LiveLevel) {
        self.grid.live(self.index, level);
    }
    fn step_live(&self, _: &str) {}
    fn settle(&self) {}
}
