//! The look at the live figures, once a second: what happened is written, red flags are looked for, all is shown.

use crate::evidence::events::Event;

use super::SessionError;
use super::credentials::Pause;
use super::flags::{Raised, Second};
use super::live::LiveState;
use super::progress::LiveLevel;
use super::run::Running;
use super::stop::Stop;

const MINUTE_MS: i64 = 60_000;

impl Running {
    /// Once a second: write what happened, look for red flags, show it.
    pub(super) fn tick(&mut self, live: &mut LiveState) -> Result<Option<Stop>, SessionError> {
        let now_us = self.request.clock.now_us();
        self.recorder.tick(now_us)?;
        self.events.sync_if_due()?;
        let load = self.recorder.live();
        let receipts = self.collector.live();
        let receipts = receipts.borrow();
        let mut second = live.second(now_us, &load);
        second.iterator_age_ms = receipts.iterator_age_ms;
        second.extremes = receipts.extremes.clone();
        let standing = self.request.clock.instant() - self.load_started;
        let spent = self.budget.look(standing, &load, &receipts, self.lookout.metrics_requested());
        let shown = LiveLevel {
            elapsed_s: standing.as_secs_f64(),
            planned_s: self.planned.as_secs_f64(),
            delivered: receipts.records_seen,
            e2e_p95_ms: receipts.e2e_p95_ms,
            cost_usd: spent.so_far_usd,
            ..live.figures(&load, &second)
        };
        drop(receipts);
        if load.level != live.before.level {
            self.level_ended(live);
        }
        self.request.progress.live(&shown);
        (live.before, live.shown) = (load, shown);
        let flagged = self.flags(&second)?;
        let watched = self.watched(second.level)?;
        Ok(spent.over.map(Stop::Budget).or(flagged).or(watched))
    }

    /// The line that stays of the level that ran at the last look.
    pub(super) fn level_ended(&self, live: &LiveState) {
        let ended = live
            .before
            .level
            .and_then(|level| live.of_level(level, &self.recorder.live_of(level), &live.shown));
        if let Some(ended) = ended {
            self.request.progress.level_ended(&ended);
        }
    }

    fn flags(&mut self, second: &Second) -> Result<Option<Stop>, SessionError> {
        let raised = self.watch.second(second);
        let mut stop = self.raise(raised)?;
        if self.watch.environment_gone(second) {
            stop = Some(Stop::EnvironmentGone("no record could be sent for 5 s".to_owned()));
        }
        if let Some(pause) = self.watch.credentials.second(second, self.request.clock.instant()) {
            self.request.progress.step(&pause.to_string());
            self.note(pause.to_string())?;
            if let Pause::GaveUp = pause {
                stop = Some(Stop::EnvironmentGone(pause.to_string()));
            }
        }
        Ok(self.watch.denials.given_up(second).map(Stop::Denied).or(stop))
    }

    /// Flags from what CloudWatch and the on-failure queue told since the last look.
    fn watched(&mut self, level: Option<u32>) -> Result<Option<Stop>, SessionError> {
        let Some(seen) = self.lookout.news() else { return Ok(None) };
        let (cost, problem) = self.lookout.untold(&seen);
        self.event(&cost)?;
        if let Some(problem) = problem {
            self.request.progress.step(&problem);
            self.note(problem)?;
        }
        let mut raised = Vec::from_iter(seen.dlq_depth.and_then(|depth| self.watch.dlq(depth, level)));
        for (at_ms, minute) in &seen.peeked.minutes {
            let own_reads = !self.lookout.within_load(*at_ms);
            raised.extend(self.watch.minute(*at_ms, minute, self.lookout.level_of(*at_ms), own_reads));
        }
        if !self.request.has_receipts() {
            let now_ms = self.request.clock.now_us() / 1_000;
            // A minute that is not over may still show a higher age.
            let whole = seen.peeked.minutes.range(..=now_ms - MINUTE_MS);
            let ages: Vec<f64> = whole.filter_map(|(_, minute)| minute.iterator_age_max_ms).collect();
            raised.extend(self.watch.ages_by_minute(&ages, level));
        }
        self.raise(raised)
    }

    /// A last look after a test: what its last minute shows would otherwise be another test's.
    pub(super) async fn look_again(&mut self) -> Result<Option<Stop>, SessionError> {
        self.lookout.look_now().await;
        self.watched(None)
    }

    fn raise(&self, raised: Vec<Raised>) -> Result<Option<Stop>, SessionError> {
        let mut stop = None;
        for Raised { flag, level, detail, stop: stops } in raised {
            self.request.progress.step(&format!("red flag: {detail}"));
            let (flag, detail_kept) = (flag.as_str().to_owned(), detail.clone());
            self.event(&Event::Flag { flag, level, detail: detail_kept, stopped: stops })?;
            if stops {
                stop.get_or_insert(Stop::RedFlag(detail));
            }
        }
        Ok(stop)
    }
}
