//! One run: run directory, collector, readiness, tests in order, drain, confirmation, metrics.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::evidence::collector::{Collector, CollectorSettings};
use crate::evidence::confirm;
use crate::evidence::model::RunEnd;
use crate::evidence::recorder::LoadRecorder;
use crate::evidence::rundir::{Event, RunDir, RunMeta};
use crate::load::driver::Driver;
use crate::load::kinesis::KinesisDriver;
use crate::load::run_test::{Job, LevelEvent, LoadEnd, run_test};
use crate::load::schedule::Schedule;
use crate::plan::{Plan, Test};
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;
use crate::stack::Standing;
use crate::wire::run_id::RunId;

use super::drain::{DrainSpec, Drained, drain};
use super::flags::{Second, Watch};
use super::progress::{LiveLevel, Progress};
use super::{SessionError, metrics, readiness};

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
    /// The price book that is kept with the run.
    pub prices: String,
    pub stop: watch::Receiver<bool>,
    pub progress: Arc<dyn Progress>,
}

/// A run that left a directory, whatever became of it.
#[derive(Debug)]
pub struct RunFinished {
    pub dir: PathBuf,
    pub end: RunEnd,
    /// The environment failed under the run.
    pub failure: Option<SessionError>,
}

/// Why the load ended before its plan.
#[derive(Clone, Debug, PartialEq)]
enum Stop {
    Interrupted,
    RedFlag(String),
    EnvironmentGone(String),
}

impl Stop {
    fn reason(&self) -> String {
        match self {
            Stop::Interrupted => "interrupted".to_owned(),
            Stop::RedFlag(detail) => format!("red flag: {detail}"),
            Stop::EnvironmentGone(detail) => format!("the environment is out of reach: {detail}"),
        }
    }
}

/// Runs the selected tests. An error means that there is no run directory worth a report.
pub async fn run(request: RunRequest) -> Result<RunFinished, SessionError> {
    let mut rng = fastrand::Rng::new();
    let id = RunId::new(request.clock.now_us(), &mut rng);
    let dir = RunDir::create(&request.runs, &run_meta(&request, &id))?;
    let dir = Arc::new(dir);
    let path = dir.path().to_path_buf();
    request.progress.step(&format!("run {id}: {}", path.display()));
    let mut running = Running::start(request, id, dir).await?;
    let ended = running.tests().await;
    running.finish(ended, path).await
}

fn run_meta(request: &RunRequest, id: &RunId) -> RunMeta {
    RunMeta {
        id: id.clone(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        target: request.clients.target.to_owned(),
        region: request.clients.region.clone(),
        env: request.env.clone(),
        host: host(),
        started_us: request.clock.now_us(),
        plan_text: request.plan.text.clone(),
        plan_hash: request.plan.hash.clone(),
        selected: request.selected.clone(),
        environment: request.standing.to_environment(&request.env),
        prices: request.prices.clone(),
    }
}

fn host() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} {}, {cpus} cpus", std::env::consts::OS, std::env::consts::ARCH)
}

struct Running {
    request: RunRequest,
    id: RunId,
    dir: Arc<RunDir>,
    driver: Arc<dyn Driver>,
    recorder: Arc<LoadRecorder>,
    collector: Collector,
    watch: Watch,
    planned: Duration,
    run_started: tokio::time::Instant,
}

impl Running {
    async fn start(request: RunRequest, id: RunId, dir: Arc<RunDir>) -> Result<Running, SessionError> {
        let function = &request.plan.environment.function;
        let watch = Watch::new(&request.plan.flags, function.timeout_s, function.memory_mb);
        let driver: Arc<dyn Driver> =
            Arc::new(KinesisDriver::new(request.clients.kinesis_data.clone(), request.standing.stream_name.clone()));
        let tests: Vec<&Test> = request.plan.tests().collect();
        let planned: Duration = request.selected.iter().map(|index| tests[*index].duration()).sum();
        let recorder = Arc::new(LoadRecorder::new(&dir, request.clock, planned)?);
        let collector = Collector::start(CollectorSettings {
            sqs: request.clients.sqs.clone(),
            queue_url: request.standing.receipts_queue_url.clone(),
            run: id.clone(),
            dir: Arc::clone(&dir),
            clock: request.clock,
        });
        let run_started = request.clock.instant();
        Ok(Running { request, id, dir, driver, recorder, collector, watch, planned, run_started })
    }

    /// Readiness, then the tests; `Ok(Some(_))` when it was stopped before the plan's end.
    async fn tests(&mut self) -> Result<Option<Stop>, SessionError> {
        self.request.progress.step("waiting for the first record to come through the pipeline");
        let ready = readiness::wait_until_ready(
            &self.id, &self.driver, &self.collector, self.request.clock, self.request.stop.clone(),
        )
        .await;
        let probes = match ready {
            Ok(probes) => probes,
            Err(_) if *self.request.stop.borrow() => return Ok(Some(Stop::Interrupted)),
            Err(error) => return Err(error),
        };
        self.event(Event::Ready { probes })?;
        self.run_started = self.request.clock.instant();
        let tests: Vec<Test> = self.request.plan.tests().cloned().collect();
        let mut next = Next { level: 0, sequence: 0 };
        for index in self.request.selected.clone() {
            if let Some(stop) = self.test(index, &tests[index], &mut next).await? {
                return Ok(Some(stop));
            }
        }
        Ok(None)
    }

    async fn test(&mut self, index: usize, test: &Test, next: &mut Next) -> Result<Option<Stop>, SessionError> {
        let schedule = Schedule::new(test);
        let total = schedule.total();
        self.request.progress.step(&format!("test {} {}: {total} records", test.id, test.name));
        self.event(Event::TestStarted {
            test_index: index,
            id: test.id.clone(),
            first_level: next.level,
            first_sequence: next.sequence,
        })?;
        let levels = schedule.levels().len() as u32;
        let job = Job {
            run: self.id.clone(),
            test: test.clone(),
            schedule,
            first_level: next.level,
            first_sequence: next.sequence,
            start: self.request.clock.instant() + Duration::from_millis(100),
        };
        let stopped = self.load(job, test).await?;
        next.level += levels;
        next.sequence += total;
        let drained_s = match &stopped {
            Some(Stop::EnvironmentGone(_)) => None,
            _ => self.drain().await?,
        };
        self.event(Event::TestEnded { test_index: index, finished: stopped.is_none(), drained_s })?;
        Ok(stopped)
    }

    /// Sends one test's schedule, with a look at the live figures every second.
    async fn load(&mut self, job: Job, test: &Test) -> Result<Option<Stop>, SessionError> {
        let (stop_load, load_stop) = watch::channel(false);
        let (level_sender, mut level_events) = tokio::sync::mpsc::unbounded_channel();
        let on_level = move |event: LevelEvent| {
            // The receiver outlives the load; an event after it is of no use to anybody.
            let _ = level_sender.send(event);
        };
        let recorder = Arc::clone(&self.recorder) as Arc<dyn crate::load::outcome::Recorder>;
        let load = tokio::spawn(run_test(
            job, Arc::clone(&self.driver), recorder, self.request.clock, load_stop, on_level,
        ));
        tokio::pin!(load);
        let mut user_stop = self.request.stop.clone();
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut live = LiveState { level: None, before: self.recorder.live(), test_id: test.id.clone() };
        let mut stopped: Option<Stop> = None;
        let ended = loop {
            tokio::select! {
                biased;
                Some(event) = level_events.recv() => self.level_event(event, &mut live)?,
                ended = &mut load => break ended,
                _ = ticks.tick() => {
                    if let Some(stop) = self.tick(&mut live)? && stopped.is_none() {
                        self.request.progress.step(&format!("stopping: {}", stop.reason()));
                        stopped = Some(stop);
                        stop_load.send_replace(true);
                    }
                }
                _ = user_stop.wait_for(|stop| *stop), if stopped.is_none() => {
                    stopped = Some(Stop::Interrupted);
                    stop_load.send_replace(true);
                }
            }
        };
        while let Ok(event) = level_events.try_recv() {
            self.level_event(event, &mut live)?;
        }
        self.recorder.tick(self.request.clock.now_us())?;
        match ended {
            Ok(LoadEnd::Completed | LoadEnd::Stopped) => Ok(stopped),
            Err(join) => Err(SessionError::Panic(join.to_string())),
        }
    }

    fn level_event(&mut self, event: LevelEvent, live: &mut LiveState) -> Result<(), SessionError> {
        match event {
            LevelEvent::Started { level, plan, at_us } => {
                let name = format!("{} {}/s", plan.kind.as_str(), plan.target_rps);
                live.level = Some((level, name, plan.target_rps));
                self.event(Event::level_started(level, &plan, at_us))
            }
            LevelEvent::Ended { level, at_us, complete } => self.event(Event::LevelEnded { level, at_us, complete }),
        }
    }

    /// Once a second: write what happened, look for red flags, show it.
    fn tick(&mut self, live: &mut LiveState) -> Result<Option<Stop>, SessionError> {
        let now_us = self.request.clock.now_us();
        self.recorder.tick(now_us)?;
        let load = self.recorder.live();
        let receipts = self.collector.live().borrow().clone();
        let second = Second {
            at_us: now_us,
            level: live.level.as_ref().map(|(level, ..)| *level),
            acked: load.acked - live.before.acked,
            failed: load.failed - live.before.failed,
            not_sent: load.not_sent - live.before.not_sent,
            throttled: load.throttled - live.before.throttled,
            iterator_age_ms: receipts.iterator_age_ms,
            function_duration_max_ms: receipts.function_duration_max_ms,
            memory_used_mb: receipts.memory_used_mb_max,
        };
        let (_, name, target_rps) = live.level.clone().unwrap_or_default();
        self.request.progress.live(&LiveLevel {
            test: live.test_id.clone(),
            level: name,
            target_rps,
            achieved_rps: second.acked as f64,
            put_p50_ms: load.put_p50_ms,
            put_p95_ms: load.put_p95_ms,
            acked: load.acked,
            failed: load.failed,
            throttled: load.throttled,
            delivered: receipts.distinct_seen,
            iterator_age_ms: receipts.iterator_age_ms,
            elapsed_s: (self.request.clock.instant() - self.run_started).as_secs_f64(),
            planned_s: self.planned.as_secs_f64(),
        });
        live.before = load;
        let mut stop = None;
        for raised in self.watch.second(&second) {
            self.request.progress.step(&format!("red flag: {}", raised.detail));
            self.event(Event::Flag {
                flag: raised.flag,
                at_us: now_us,
                level: second.level,
                detail: raised.detail.clone(),
                stopped: raised.stop,
            })?;
            if raised.stop {
                stop = Some(Stop::RedFlag(raised.detail));
            }
        }
        if self.watch.environment_gone(&second) {
            stop = Some(Stop::EnvironmentGone("no record could be sent for 5 s".to_owned()));
        }
        Ok(stop)
    }

    async fn drain(&mut self) -> Result<Option<f64>, SessionError> {
        let spec = DrainSpec {
            bound: self.request.plan.drain,
            batch_window: Duration::from_secs(self.request.plan.environment.function.batch_window_s.into()),
        };
        // A stop asked for already has stopped the load; draining is worth a short wait all the same.
        let (_never, no_stop) = watch::channel(false);
        let drained = drain(
            spec, &self.recorder, &self.collector, self.request.clock, no_stop, &*self.request.progress,
        )
        .await;
        self.recorder.tick(self.request.clock.now_us())?;
        match drained {
            Drained::All { after } => Ok(Some(after.as_secs_f64())),
            Drained::Quiet { outstanding } | Drained::Bound { outstanding } => {
                let note = format!("{outstanding} acked records were not seen when draining ended ({drained:?})");
                self.request.progress.step(&note);
                self.event(Event::Note { at_us: self.request.clock.now_us(), text: note })?;
                Ok(None)
            }
            Drained::Stopped => Ok(None),
        }
    }

    /// Collection ends, what is missing is looked for, metrics are pulled; then the end is written.
    async fn finish(
        mut self,
        ended: Result<Option<Stop>, SessionError>,
        path: PathBuf,
    ) -> Result<RunFinished, SessionError> {
        let reachable = !matches!(ended, Ok(Some(Stop::EnvironmentGone(_))));
        self.request.progress.step("collecting the last receipts");
        let complete = self.collector.stop(reachable).await && ended.is_ok() && reachable;
        self.event(Event::CollectionEnded { at_us: self.request.clock.now_us(), complete })?;
        if reachable {
            self.confirm(&path).await?;
            metrics::pull(&self.request, &self.dir, &path).await?;
        }
        let (end, failure) = match ended {
            Ok(None) => (RunEnd::Completed, None),
            Ok(Some(stop @ Stop::EnvironmentGone(_))) => {
                (RunEnd::Stopped(stop.reason()), Some(SessionError::EnvironmentGone(stop.reason())))
            }
            Ok(Some(stop)) => (RunEnd::Stopped(stop.reason()), None),
            Err(error) => (RunEnd::Stopped(error.to_string()), Some(error)),
        };
        self.event(Event::RunEnded { at_us: self.request.clock.now_us(), end: end.clone() })?;
        Ok(RunFinished { dir: path, end, failure })
    }

    /// Re-reads the shards for acked records that no receipt names.
    async fn confirm(&mut self, path: &Path) -> Result<(), SessionError> {
        let missing = confirm::missing(path)?;
        if missing.is_empty() {
            return Ok(());
        }
        self.request.progress.step("looking for the records without a receipt in the stream itself");
        let found = confirm::reread(
            &self.request.clients.kinesis, &self.request.standing.stream_name, &self.id, &missing, self.request.clock,
        )
        .await?;
        self.event(found)
    }

    fn event(&self, event: Event) -> Result<(), SessionError> {
        Ok(self.dir.append_event(&event)?)
    }
}

/// Levels and sequences count over the whole run.
struct Next {
    level: u32,
    sequence: u64,
}

struct LiveState {
    test_id: String,
    level: Option<(u32, String, f64)>,
    before: crate::evidence::recorder::LiveLoad,
}
