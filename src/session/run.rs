//! One run: run directory, collector, readiness, tests in order, drain, confirmation, metrics.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::cost::PriceBook;
use crate::evidence::collector::{Collector, CollectorConfig, Durability};
use crate::evidence::events::{End, Event, EventLog};
use crate::evidence::existing::as_it_stood;
use crate::evidence::model::RunEnd;
use crate::evidence::recorder::{LevelRate, LoadRecorder};
use crate::evidence::rundir::RunDir;
use crate::load::driver::Driver;
use crate::load::kinesis::KinesisDriver;
use crate::load::outcome::Recorder;
use crate::load::schedule::Schedule;
use crate::load::{Job, LevelEvent, run_test};
use crate::plan::{Plan, PutMode, Test};
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;
use crate::stack::Standing;
use crate::wire::run_id::RunId;

use super::actions::{Actions, Pending};
use super::budget::Budget;
use super::campaign::Lineage;
use super::cloudwatch_watch::Lookout;
use super::drain::{DrainSpec, Drained, Patience, drain};
use super::existing::SettingsWatch;
use super::flags::Watch;
use super::live::{LiveState, Next};
use super::lookups::{CONFIRM_BOUND, OnFailureQueue, collect_last, confirm};
use super::progress::Progress;
use super::stop::{self, Stop, StopOnDrop};
use super::{SessionError, actions, environment, headers, metrics, readiness, shards};

/// Concurrent long polls of the receipts queue.
const POLLERS: usize = 3;
/// From asking for the first level to its start.
const LEAD: Duration = Duration::from_millis(100);

pub struct RunRequest {
    pub clients: Clients,
    pub clock: Clock,
    pub plan: Plan,
    /// Indexes into `plan.tests()`, ascending.
    pub selected: Vec<usize>,
    pub env: String,
    pub standing: Standing,
    /// Where run directories are made.
    pub runs: PathBuf,
    /// The faults that the target was started with, as `--fault` writes them: every report says so.
    pub faults: Vec<String>,
    /// The price book that is kept with the run.
    pub prices: String,
    /// Stop before the run costs more, USD; the plan's budget unless told otherwise.
    pub max_cost_usd: Option<String>,
    /// How often the user asked to stop: the first ends the load, each further one what is waited for then.
    pub stop: watch::Receiver<u32>,
    pub progress: Arc<dyn Progress>,
    /// The campaign that the run is a part of.
    pub lineage: Lineage,
    /// Set for a rehearsal in virtual time: what tells of this machine is left out of it then.
    pub rehearsal: Option<Rehearsing>,
}

/// What marks a run as a rehearsal.
#[derive(Clone, Debug)]
pub struct Rehearsing {
    /// The same for the same rehearsal.
    pub id: RunId,
    /// What its figures rest on in place of a measurement, a clause each.
    pub assumptions: Vec<String>,
}

impl RunRequest {
    /// Whether anything tells of single records: an existing function need not.
    pub(super) fn has_receipts(&self) -> bool {
        !self.standing.receipts_queue_url.is_empty()
    }
}

/// A run that left a directory, whatever became of it.
#[derive(Debug)]
pub struct RunFinished {
    pub dir: PathBuf,
    pub end: RunEnd,
    /// The environment failed under the run.
    pub failure: Option<SessionError>,
}

/// Runs the selected tests. An error means that there is no run directory worth a report.
pub async fn run(request: RunRequest) -> Result<RunFinished, SessionError> {
    let pending = Pending::default();
    // Boxed: whoever awaits it would otherwise nest its type deeper than the compiler follows.
    pending.clone().settled_after(Box::pin(run_whole(request, pending))).await
}

async fn run_whole(mut request: RunRequest, pending: Pending) -> Result<RunFinished, SessionError> {
    as_it_stood(&mut request.plan, &environment::info(&request.standing));
    let id = match &request.rehearsal {
        Some(rehearsal) => rehearsal.id.clone(),
        None => RunId::new(request.clock.now_us(), &mut fastrand::Rng::new()),
    };
    let dir = RunDir::create(&request.runs, &id)?;
    headers::write(&request, &id, &dir)?;
    let _alive = dir.hold()?;
    request.progress.step(&format!("run {id}: {}", dir.path().display()));
    let mut running = Running::start(request, id, dir, pending)?;
    let ended = running.tests().await;
    running.pending.settled().await;
    running.finish(ended).await
}

pub(super) struct Running {
    pub(super) request: RunRequest,
    id: RunId,
    dir: RunDir,
    pub(super) events: EventLog,
    pub(super) recorder: Arc<LoadRecorder>,
    pub(super) collector: Collector,
    pub(super) watch: Watch,
    pub(super) lookout: Lookout,
    pub(super) budget: Budget,
    settings: Option<SettingsWatch>,
    pending: Pending,
    pub(super) planned: Duration,
    pub(super) load_started: tokio::time::Instant,
}

impl Running {
    fn start(request: RunRequest, id: RunId, dir: RunDir, pending: Pending) -> Result<Running, SessionError> {
        let clock = request.clock;
        let function = &request.plan.environment.function;
        let watch = Watch::new(&request.plan.flags, function.timeout_s, function.memory_mb);
        let tests: Vec<&Test> = request.plan.tests().collect();
        let selected = || request.selected.iter().map(|index| tests[*index]);
        let planned = selected().map(Test::duration).sum();
        let planned_sequences = selected().map(|test| Schedule::new(test).total()).sum();
        let book = PriceBook::parse(&request.prices).map_err(|error| SessionError::Unreadable {
            path: dir.prices_yaml(),
            error: error.to_string(),
        })?;
        let limit = request.max_cost_usd.as_deref().or(request.plan.budget_usd.as_deref());
        let standing = environment::info(&request.standing);
        let budget = Budget::new(limit, book, standing, request.clients.region.clone());
        let events = dir.event_log()?;
        let recorder = LoadRecorder::create(&dir, id.as_str(), clock, planned)?;
        let is_rehearsal = request.rehearsal.is_some();
        let recorder = Arc::new(if is_rehearsal { recorder.of_virtual_time() } else { recorder });
        let config = CollectorConfig {
            sqs: request.clients.sqs.clone(),
            queue_url: request.standing.receipts_queue_url.clone(),
            run: id.clone(),
            clock,
            durability: if is_rehearsal { Durability::Written } else { Durability::Synced },
            pollers: POLLERS,
            planned_sequences,
        };
        let collector = Collector::start(&dir, config)?;
        events.append(clock.now_us(), &Event::RunStarted { tests: request.selected.clone() })?;
        for text in &request.lineage.notes {
            events.append(clock.now_us(), &Event::Note { text: text.clone() })?;
        }
        if let Some(up_us) = request.standing.up_us {
            events.append(up_us, &Event::StackUp { environment: request.env.clone() })?;
        }
        let settings = SettingsWatch::start(&request, &events);
        let lookout = Lookout::start(&request);
        let load_started = clock.instant();
        Ok(Running {
            request,
            id,
            dir,
            events,
            recorder,
            collector,
            watch,
            lookout,
            budget,
            settings,
            pending,
            planned,
            load_started,
        })
    }

    fn driver(&self, put: PutMode) -> Arc<dyn Driver> {
        let client = self.request.clients.kinesis_data.clone();
        let driver = KinesisDriver::new(client, self.request.standing.stream_name.clone(), put);
        Arc::new(self.watch.denials.noted_from(driver))
    }

    /// Readiness, then the tests; `Ok(Some(_))` when it was stopped before the plan's end.
    async fn tests(&mut self) -> Result<Option<Stop>, SessionError> {
        for text in actions::left::before_run(&self.request, &self.id).await? {
            self.note(text)?;
        }
        self.request.progress.step("waiting for the first record to come through the pipeline");
        let probing = readiness::Probing {
            run: &self.id,
            driver: self.driver(PutMode::Record),
            collector: &self.collector,
            logs: &self.request.clients.logs,
            log_group: &self.request.standing.log_group,
            paths: &self.request.plan.environment.function.envelope_paths,
            clock: self.request.clock,
        };
        let stop = self.request.stop.clone();
        let ready = match self.request.has_receipts() {
            true => readiness::wait_until_ready(probing, stop).await,
            false => readiness::wait_until_taken(probing, stop).await,
        };
        match ready {
            Ok(acked) => self.event(&Event::Ready { probes_acked: acked })?,
            Err(_) if *self.request.stop.borrow() > 0 => return Ok(Some(Stop::Interrupted)),
            Err(error) => return Err(error),
        }
        self.load_started = self.request.clock.instant();
        let tests: Vec<Test> = self.request.plan.tests().cloned().collect();
        let mut next = Next { level: 0, sequence: 0 };
        for index in self.request.selected.clone() {
            if let Some(stop) = self.test(index, &tests[index], &mut next).await? {
                return Ok(Some(stop));
            }
        }
        Ok(None)
    }

    async fn test(
        &mut self,
        index: usize,
        test: &Test,
        next: &mut Next,
    ) -> Result<Option<Stop>, SessionError> {
        let schedule = Schedule::new(test);
        let total = schedule.total();
        self.request.progress.step(&format!("test {} {}: {}", test.id, test.name, test.load_text(total)));
        self.event(&Event::TestStarted {
            test_index: index,
            id: test.id.clone(),
            first_level: next.level,
            first_sequence: next.sequence,
        })?;
        let levels = schedule.levels().to_vec();
        let job = Job {
            run: self.id.clone(),
            test: test.clone(),
            schedule,
            first_level: next.level,
            first_sequence: next.sequence,
            hash_keys: shards::hash_keys(&self.request, test).await?,
            start: self.request.clock.instant() + LEAD,
        };
        let first = Next { ..*next };
        next.level += levels.len() as u32;
        let actions =
            Actions::start(&self.request, &self.events, &self.pending, test, first.level, job.start);
        let (stopped, sent) = self.load(job, test, LiveState::new(test, levels, first)).await?;
        actions.end();
        // What users did not send has no number: it goes to the next test.
        next.sequence += if test.users.is_some() { sent } else { total };
        let drained_s = match &stopped {
            Some(Stop::EnvironmentGone(_)) => None,
            _ => self.drain().await?,
        };
        let stopped = match stopped {
            Some(stopped) => Some(stopped),
            None => self.look_again().await?,
        };
        let stopped = stopped.or_else(|| (*self.request.stop.borrow() > 0).then_some(Stop::Interrupted));
        // First what was measured: a test that has ended has all of it on disk, whatever becomes of the run.
        self.recorder.finish(self.request.clock.now_us())?;
        self.pending.settled().await;
        self.event(&Event::TestEnded { drained_s, complete: stopped.is_none() })?;
        self.pending.all_reverted(&stopped)?;
        Ok(stopped)
    }

    /// Sends one test's load, with a look at the live figures every second; what stopped it, and how many records
    /// were handed to the driver.
    async fn load(
        &mut self,
        job: Job,
        test: &Test,
        mut live: LiveState,
    ) -> Result<(Option<Stop>, u64), SessionError> {
        let (stop_load, load_stop) = watch::channel(false);
        // Whatever ends this function, a full disk for example, ends the load too.
        let stop_load = StopOnDrop(stop_load);
        let (level_sender, mut level_events) = tokio::sync::mpsc::unbounded_channel();
        let on_level = move |event: LevelEvent| {
            // The receiver outlives the load; two events a level are few.
            let _ = level_sender.send(event);
        };
        let recorder = Arc::clone(&self.recorder) as Arc<dyn Recorder>;
        let clock = self.request.clock;
        let mut load =
            tokio::spawn(run_test(job, self.driver(test.put), recorder, clock, load_stop, on_level));
        let mut user_stop = self.request.stop.clone();
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut stopped: Option<Stop> = None;
        let ended = loop {
            tokio::select! {
                biased;
                Some(event) = level_events.recv() => self.level_event(&event, &mut live, true)?,
                ended = &mut load => break ended,
                _ = ticks.tick() => {
                    if let Some(stop) = self.tick(&mut live)? && stopped.is_none() {
                        self.request.progress.step(&format!("stopping: {}", stop.reason()));
                        stopped = Some(stop);
                        stop_load.0.send_replace(true);
                    }
                }
                _ = user_stop.wait_for(|asked| *asked > 0), if stopped.is_none() => {
                    stopped = Some(Stop::Interrupted);
                    stop_load.0.send_replace(true);
                }
            }
        };
        let end = ended.map_err(|panicked| SessionError::Panic(panicked.to_string()))?;
        while let Ok(event) = level_events.try_recv() {
            self.level_event(&event, &mut live, !end.stopped)?;
        }
        if end.due_unsent > 0 {
            self.note(format!(
                "{} records were due but still waited for an in-flight slot when the load stopped",
                end.due_unsent
            ))?;
        }
        self.recorder.tick(clock.now_us())?;
        self.level_ended(&live);
        Ok((stopped, end.sent))
    }

    fn level_event(
        &mut self,
        event: &LevelEvent,
        live: &mut LiveState,
        complete: bool,
    ) -> Result<(), SessionError> {
        match *event {
            LevelEvent::Started { level, index_in_test, at, first } => {
                let plan = live.levels[index_in_test as usize].clone();
                let starts_us = self.request.clock.wall_us_of(at);
                let (from_rps, target_rps) = (plan.from_rps, plan.target_rps);
                self.recorder.level_started(
                    level,
                    LevelRate {
                        starts_us,
                        duration: plan.duration,
                        from_rps,
                        target_rps,
                        steps: plan.steps.clone(),
                    },
                );
                self.lookout.level(level, starts_us, plan.duration);
                live.level = Some((level, plan.clone()));
                self.event(&Event::LevelStarted {
                    level,
                    starts_us,
                    from_rps,
                    target_rps,
                    duration_s: plan.duration.as_secs_f64(),
                    first_sequence: live.first.sequence + first,
                    count: plan.count,
                })
            }
            LevelEvent::Ended { level, .. } => self.event(&Event::LevelEnded { level, complete }),
        }
    }

    async fn drain(&self) -> Result<Option<f64>, SessionError> {
        if !self.request.has_receipts() {
            return Ok(None);
        }
        let spec = DrainSpec {
            bound: self.request.plan.drain,
            reverting: self.pending.lanes(),
            batch_window: Duration::from_secs(self.request.plan.environment.function.batch_window_s.into()),
        };
        let patience = Patience::new(&self.request.stop);
        let progress = &*self.request.progress;
        let on_failure = OnFailureQueue {
            request: &self.request,
            id: &self.id,
            events: &self.events,
            bound: self.request.plan.drain,
        };
        let clock = self.request.clock;
        let drained =
            drain(spec, &self.recorder, &self.collector, clock, patience, progress, on_failure).await?;
        match drained {
            Drained::All { after } => Ok(Some(after.as_secs_f64())),
            Drained::Quiet { outstanding, waited } | Drained::Bound { outstanding, waited } => {
                let text = format!(
                    "{outstanding} acked records were not seen within {:.0} s after the load",
                    waited.as_secs_f64()
                );
                self.request.progress.step(&text);
                self.note(text)?;
                Ok(None)
            }
            Drained::Interrupted { outstanding } => {
                self.note(format!(
                    "draining was interrupted: {outstanding} acked records were not seen yet"
                ))?;
                Ok(None)
            }
        }
    }

    /// Collection ends, what is missing is looked for, metrics are pulled; then the end is written.
    async fn finish(self, ended: Result<Option<Stop>, SessionError>) -> Result<RunFinished, SessionError> {
        let Running { request, id, dir, events, recorder, collector, settings, .. } = self;
        let clock = request.clock;
        let reachable = !matches!(&ended, Ok(Some(Stop::EnvironmentGone(_))))
            && matches!(&ended, Ok(_) | Err(SessionError::NotReverted(_)));
        recorder.finish(clock.now_us())?;
        if let Some(settings) = settings {
            settings.finish(&dir, &request.standing).await?;
        }
        if request.has_receipts() {
            collect_last(&request, &events, collector, reachable).await?;
        }
        if reachable && request.has_receipts() {
            OnFailureQueue { request: &request, id: &id, events: &events, bound: CONFIRM_BOUND }
                .look()
                .await?;
            confirm(&request, &id, &dir, &events).await?;
        }
        let (end, failure) = stop::end_of(ended);
        let logged = match &end {
            RunEnd::Stopped(reason) => End::Stopped { reason: reason.clone() },
            RunEnd::Completed | RunEnd::Killed => End::Completed,
        };
        let generator_peak_mb = crate::platform::memory::peak_mb().filter(|_| request.rehearsal.is_none());
        events.append(clock.now_us(), &Event::RunEnded { end: logged, generator_peak_mb })?;
        events.sync()?;
        if reachable {
            let patience = Patience::new(&request.stop);
            tokio::select! {
                pulled = metrics::pull(&request.clients, clock, dir.path(), &*request.progress) => pulled?,
                () = patience.lost() => {
                    request.progress.step("not waiting for CloudWatch; `streamgauge metrics RUN` pulls again");
                }
            }
        }
        Ok(RunFinished { dir: dir.path().to_path_buf(), end, failure })
    }

    pub(super) fn note(&self, text: String) -> Result<(), SessionError> {
        self.event(&Event::Note { text })
    }

    pub(super) fn event(&self, event: &Event) -> Result<(), SessionError> {
        Ok(self.events.append(self.request.clock.now_us(), event)?)
    }
}
