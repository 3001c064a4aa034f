//! Progress on stderr: a block that is drawn in place on a terminal, plain lines (every few seconds) elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::live_text::{Look, block, ended, plain, virtual_times};
use crate::platform::clock::Stopwatch;
use crate::session::progress::{LiveLevel, Progress};

/// Without a terminal a live line is printed this often at most.
const PLAIN_EVERY_S: f64 = 10.0;

pub struct Stderr {
    bar: Option<ProgressBar>,
    colour: bool,
    last_plain: Mutex<Option<(String, f64)>>,
}

impl Stderr {
    pub fn new() -> Stderr {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        // A dumb terminal cannot move its cursor. https://no-color.org: any value that is not empty.
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let bar = (std::io::stderr().is_terminal() && !dumb).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
            bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is a constant"));
            bar
        });
        Stderr { bar, colour: !set("NO_COLOR"), last_plain: Mutex::new(None) }
    }

    /// Whether lines are drawn in place.
    pub fn is_drawn(&self) -> bool {
        self.bar.is_some()
    }

    fn look(&self) -> Look {
        // The last column stays free: some terminals wrap when it is written.
        let (_, width) = Term::stderr().size();
        Look { width: usize::from(width).saturating_sub(1), colour: self.colour }
    }

    fn is_due(&self, level: &LiveLevel) -> bool {
        let mut last = self.last_plain.lock().expect("progress lock");
        let due = match &*last {
            Some((name, at_s)) => *name != level.level || level.elapsed_s - at_s >= PLAIN_EVERY_S,
            None => true,
        };
        if due {
            *last = Some((level.level.clone(), level.elapsed_s));
        }
        due
    }
}

/// Progress of a rehearsal: how far virtual time is, and how long that took.
pub struct Virtual {
    inner: Stderr,
    watch: Stopwatch,
    shown_at: Mutex<Duration>,
}

/// A live line is made this often, in wall time: virtual seconds pass by the thousand.
const LIVE_EVERY: Duration = Duration::from_millis(250);
/// And without a terminal this often.
const LIVE_PLAIN_EVERY: Duration = Duration::from_secs(5);

impl Virtual {
    pub fn new() -> Virtual {
        Virtual { inner: Stderr::new(), watch: Stopwatch::start(), shown_at: Mutex::default() }
    }
}

impl Progress for Virtual {
    fn step(&self, line: &str) {
        self.inner.step(line);
    }

    fn live(&self, level: &LiveLevel) {
        let wall = self.watch.elapsed();
        let every = if self.inner.bar.is_some() { LIVE_EVERY } else { LIVE_PLAIN_EVERY };
        let mut shown_at = self.shown_at.lock().expect("progress lock");
        if level.level.is_empty() || wall.saturating_sub(*shown_at) < every {
            return;
        }
        *shown_at = wall;
        let times = virtual_times(level, wall);
        match &self.inner.bar {
            Some(bar) => {
                bar.set_message(format!("{}\n{times}", block(level, self.inner.look())));
                bar.tick();
            }
            None => eprintln!("{times}; {}", plain(level)),
        }
    }

    fn level_ended(&self, level: &LiveLevel) {
        self.inner.level_ended(level);
    }

    fn step_live(&self, line: &str) {
        self.inner.step_live(line);
    }

    fn settle(&self) {
        self.inner.settle();
    }
}

impl Default for Stderr {
    fn default() -> Stderr {
        Stderr::new()
    }
}

impl Progress for Stderr {
    fn step(&self, line: &str) {
        match &self.bar {
            Some(bar) => {
                bar.suspend(|| eprintln!("{line}"));
                bar.set_message(line.to_owned());
                bar.enable_steady_tick(Duration::from_millis(250));
            }
            None => eprintln!("{line}"),
        }
    }

    fn live(&self, level: &LiveLevel) {
        // Asked for, but not begun.
        if level.level.is_empty() {
            return;
        }
        match &self.bar {
            Some(bar) => {
                bar.set_message(block(level, self.look()));
                bar.tick();
            }
            None if self.is_due(level) => eprintln!("{}", plain(level)),
            None => {}
        }
    }

    fn level_ended(&self, level: &LiveLevel) {
        match &self.bar {
            Some(bar) => {
                let line = ended(level, self.look());
                bar.suspend(|| eprintln!("{line}"));
            }
            None => eprintln!("level ended: {}", plain(level)),
        }
    }

    fn step_live(&self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(line.to_owned());
        }
    }

    fn settle(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
