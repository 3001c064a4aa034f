//! Progress on stderr: a status line on a terminal, plain lines (every few seconds) elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::session::progress::{LiveLevel, Progress};

/// Without a terminal a live line is printed this often at most.
const PLAIN_EVERY_S: f64 = 5.0;

pub struct Stderr {
    bar: Option<ProgressBar>,
    last_plain_s: Mutex<Option<(String, f64)>>,
}

impl Stderr {
    pub fn new() -> Stderr {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
            bar.set_style(
                ProgressStyle::with_template("{spinner} {msg}").expect("the template is a constant"),
            );
            bar
        });
        Stderr { bar, last_plain_s: Mutex::new(None) }
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
        let text = live_line(level);
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            bar.tick();
            return;
        }
        let mut last = self.last_plain_s.lock().expect("progress lock");
        let due = match &*last {
            Some((name, at_s)) => *name != level.level || level.elapsed_s - at_s >= PLAIN_EVERY_S,
            None => true,
        };
        if due {
            *last = Some((level.level.clone(), level.elapsed_s));
            eprintln!("{text}");
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

fn live_line(level: &LiveLevel) -> String {
    let ms = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    format!(
        "{} {:<18} target {:>6}/s  achieved {:>6.0}/s  put p50/p95 {}/{} ms  acked {}  failed {}  throttled {}  \
         delivered {}  iterator age {} ms  {:.0} s left",
        level.test,
        level.level,
        level.target_rps.map_or("-".to_owned(), |target| format!("{target:.0}")),
        level.achieved_rps,
        ms(level.put_p50_ms),
        ms(level.put_p95_ms),
        level.acked,
        level.failed,
        level.throttled,
        level.delivered,
        level.iterator_age_ms.map_or("-".to_owned(), |age| format!("{age:.0}")),
        (level.planned_s - level.elapsed_s).max(0.0),
    )
}
