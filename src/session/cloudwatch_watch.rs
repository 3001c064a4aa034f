//! What only CloudWatch and the on-failure queue know, looked at beside the load: CloudWatch once a minute, the
//! queue every ten seconds, because asking it costs a fraction. The load never waits for either.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::evidence::cloudwatch::peek::{Peeked, peek, queue_depth};
use crate::evidence::cloudwatch::{MetricClients, PullRequest};
use crate::evidence::events::Event;
use crate::platform::clock::{Clock, WallUs};

use super::run::RunRequest;

const QUEUE_EVERY: Duration = Duration::from_secs(10);
/// Looks at the queue for each one at CloudWatch.
const QUEUE_LOOKS: u64 = 6;
/// CloudWatch has a minute's data within a few minutes: as far back as this a look asks again.
const BACK_MS: i64 = 10 * 60_000;
const MINUTE_US: i64 = 60_000_000;

/// What the looks so far gave; the counts are totals.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Of the latest look.
    pub peeked: Peeked,
    pub dlq_depth: Option<u64>,
    pub metrics_requested: u64,
    pub queue_requests: u64,
    /// The first that went wrong.
    pub problem: Option<String>,
}

/// Looks until it is dropped.
pub(super) struct Lookout {
    looker: Looker,
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
    /// What was written down of the counts.
    told: (u64, u64),
    problem_told: bool,
    levels: Vec<(u32, WallUs, WallUs)>,
}

struct Looker {
    clients: MetricClients,
    what: PullRequest,
    clock: Clock,
    sender: watch::Sender<Seen>,
}

impl Lookout {
    pub(super) fn start(request: &RunRequest) -> Lookout {
        let standing = &request.standing;
        let (sender, seen) = watch::channel(Seen::default());
        let looker = || Looker {
            clients: MetricClients {
                cloudwatch: request.clients.cloudwatch.clone(),
                logs: request.clients.logs.clone(),
                sqs: request.clients.sqs.clone(),
            },
            what: PullRequest {
                stream_name: standing.stream_name.clone(),
                function_name: standing.function_name.clone(),
                dlq_url: standing.dlq_url.clone(),
                from_ms: request.clock.now_us() / 1_000,
                ..PullRequest::default()
            },
            clock: request.clock,
            sender: sender.clone(),
        };
        let beside = looker();
        let task = tokio::spawn(async move { beside.until_dropped().await });
        Lookout { looker: looker(), seen, task, told: (0, 0), problem_told: false, levels: Vec::new() }
    }

    /// A level begins: minutes of CloudWatch are laid at levels.
    pub(super) fn level(&mut self, level: u32, starts_us: WallUs, duration: Duration) {
        self.levels.push((level, starts_us, starts_us + duration.as_micros() as i64));
    }

    /// The level that has the largest part of a minute; `None` where none has any.
    pub(super) fn level_of(&self, minute_ms: i64) -> Option<u32> {
        level_of(&self.levels, minute_ms)
    }

    /// Whether the minute is over before the load is: later ones have the tool's own reads of the stream.
    pub(super) fn within_load(&self, minute_ms: i64) -> bool {
        self.levels.last().is_some_and(|(_, _, to_us)| minute_ms * 1_000 + MINUTE_US <= *to_us)
    }

    /// Metrics asked of CloudWatch so far.
    pub(super) fn metrics_requested(&self) -> u64 {
        self.seen.borrow().metrics_requested
    }

    /// What is new since the last call.
    pub(super) fn news(&mut self) -> Option<Seen> {
        self.seen.has_changed().unwrap_or(false).then(|| self.seen.borrow_and_update().clone())
    }

    /// What is to be written down of these news: what asking cost, and the first problem, once.
    pub(super) fn untold(&mut self, seen: &Seen) -> (Event, Option<String>) {
        let (metrics_requested, queue_requests) = (seen.metrics_requested, seen.queue_requests);
        let cost = Event::Watched {
            metrics_requested: metrics_requested - self.told.0,
            queue_requests: queue_requests - self.told.1,
            dlq_depth: seen.dlq_depth,
        };
        self.told = (metrics_requested, queue_requests);
        let problem = seen.problem.clone().filter(|_| !self.problem_told);
        self.problem_told |= problem.is_some();
        (cost, problem)
    }

    /// A look now, besides those of every minute: a test has ended. Bounded by the bounds of its two calls.
    pub(super) async fn look_now(&self) {
        self.looker.look(true).await;
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Looker {
    async fn until_dropped(&self) {
        let mut ticks = tokio::time::interval(QUEUE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for number in 0_u64.. {
            ticks.tick().await;
            // The first minute is over at the seventh tick.
            self.look(number > 0 && number.is_multiple_of(QUEUE_LOOKS)).await;
        }
    }

    async fn look(&self, at_cloudwatch: bool) {
        let now_ms = self.clock.now_us() / 1_000;
        let from_ms = self.what.from_ms.max(now_ms - BACK_MS);
        let what = PullRequest { from_ms, to_ms: now_ms, ..self.what.clone() };
        let depth = match what.dlq_url.is_empty() {
            true => None,
            false => Some(queue_depth(&self.clients, &what).await),
        };
        let peeked = match at_cloudwatch {
            true => Some(peek(&self.clients, &what).await),
            false => None,
        };
        if depth.is_some() || peeked.is_some() {
            self.sender.send_modify(|seen| seen.take(depth, peeked));
        }
    }
}

impl Seen {
    fn take(&mut self, depth: Option<Result<u64, String>>, peeked: Option<Result<Peeked, (u64, String)>>) {
        self.queue_requests += u64::from(depth.is_some());
        match depth {
            Some(Ok(depth)) => self.dlq_depth = Some(depth),
            Some(Err(error)) => self.failed(format!("the on-failure queue cannot be watched: {error}")),
            None => {}
        }
        match peeked {
            Some(Ok(peeked)) => {
                self.metrics_requested += peeked.metrics_requested;
                self.peeked = peeked;
            }
            Some(Err((billed, error))) => {
                self.metrics_requested += billed;
                self.failed(format!("CloudWatch cannot be watched beside the load: {error}"));
            }
            None => {}
        }
    }

    fn failed(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}

fn level_of(levels: &[(u32, WallUs, WallUs)], minute_ms: i64) -> Option<u32> {
    let (from_us, to_us) = (minute_ms * 1_000, minute_ms * 1_000 + MINUTE_US);
    let part =
        |(_, starts_us, ends_us): &&(u32, WallUs, WallUs)| (*ends_us).min(to_us) - (*starts_us).max(from_us);
    levels.iter().filter(|level| part(level) > 0).max_by_key(part).map(|(level, ..)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_belongs_to_the_level_that_has_most_of_it() {
        let second = 1_000_000;
        let levels = [(0, 0, 50 * second), (1, 50 * second, 80 * second), (2, 80 * second, 300 * second)];
        assert_eq!(
            [0, 60, 120, 240, 300].map(|at_s| level_of(&levels, at_s * 1_000)),
            [Some(0), Some(2), Some(2), Some(2), None]
        );
    }

    #[test]
    fn a_failed_look_is_billed_and_only_the_first_problem_kept() {
        let mut seen = Seen::default();
        seen.take(Some(Ok(3)), Some(Err((6, "denied".to_owned()))));
        seen.take(Some(Err("gone".to_owned())), None);
        assert_eq!((seen.dlq_depth, seen.metrics_requested, seen.queue_requests), (Some(3), 6, 2));
        assert!(seen.problem.unwrap().contains("CloudWatch"));
    }
}
