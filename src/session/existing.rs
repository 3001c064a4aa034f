//! What a run on an existing pipeline does beside the load: it looks at the settings again and again, so that a
//! change can be laid at the levels that it falls into.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::evidence::events::{Event, EventLog};
use crate::evidence::existing::differences;
use crate::evidence::rundir::RunDir;
use crate::platform::clients::Clients;
use crate::platform::clock::{Clock, WallUs};
use crate::stack::Standing;
use crate::stack::existing::{Pipeline, configuration};

use super::run::RunRequest;
use super::{SessionError, environment};

/// Between two looks: a change is known to this much. A look is half a dozen calls, far from any API's limit.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// One look ends after this.
const LOOK_BOUND: Duration = Duration::from_secs(30);

pub(super) type Look = BTreeMap<String, String>;

/// Looks at an existing pipeline until it is told to end.
pub(super) struct SettingsWatch {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<Option<Look>, SessionError>>,
}

impl SettingsWatch {
    /// `None` where streamgauge made the pipeline: nobody else knows of it.
    pub(super) fn start(request: &RunRequest, events: &EventLog) -> Option<SettingsWatch> {
        let before = request.standing.existing.as_ref()?.configuration.clone();
        let (stop, stopped) = watch::channel(false);
        let looking = Looking {
            clients: request.clients.clone(),
            clock: request.clock,
            pipeline: pipeline(&request.standing),
            events: events.clone(),
            last: (request.clock.now_us(), before),
            failed: false,
            looked: false,
        };
        Some(SettingsWatch { stop, task: tokio::spawn(looking.until(stopped)) })
    }

    /// A last look, which is kept beside the first.
    ///
    /// # Errors
    /// The run directory cannot be written.
    pub(super) async fn finish(self, dir: &RunDir, standing: &Standing) -> Result<(), SessionError> {
        self.stop.send_replace(true);
        let after = self.task.await.map_err(|panicked| SessionError::Panic(panicked.to_string()))??;
        let mut info = environment::info(standing);
        if let Some(existing) = &mut info.existing {
            existing.after = after;
        }
        Ok(dir.write_environment(&info)?)
    }
}

fn pipeline(standing: &Standing) -> Pipeline {
    Pipeline { stream: standing.stream_name.clone(), function: standing.function_name.clone() }
}

struct Looking {
    clients: Clients,
    clock: Clock,
    pipeline: Pipeline,
    events: EventLog,
    last: (WallUs, Look),
    /// The look before failed: said once, not each time.
    failed: bool,
    /// The last look succeeded.
    looked: bool,
}

impl Looking {
    /// The settings at the end; `None` where the last look failed.
    async fn until(mut self, mut stopped: watch::Receiver<bool>) -> Result<Option<Look>, SessionError> {
        loop {
            let ended = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            self.look().await?;
            if ended {
                return Ok(self.looked.then_some(self.last.1));
            }
        }
    }

    async fn look(&mut self) -> Result<(), SessionError> {
        let asked = tokio::time::timeout(LOOK_BOUND, configuration(&self.clients, &self.pipeline)).await;
        let now_us = self.clock.now_us();
        let problem = match asked {
            Ok(Ok(after)) => {
                for change in differences((self.last.0, &self.last.1), (now_us, &after)) {
                    let (from_us, setting) = (change.from_us, change.setting);
                    let (before, after) = (change.before, change.after);
                    self.events.append(now_us, &Event::Changed { from_us, setting, before, after })?;
                }
                self.last = (now_us, after);
                (self.failed, self.looked) = (false, true);
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", LOOK_BOUND.as_secs()),
        };
        self.looked = false;
        if !std::mem::replace(&mut self.failed, true) {
            let text = format!("the pipeline's settings could not be looked at again: {problem}");
            self.events.append(now_us, &Event::Note { text })?;
        }
        Ok(())
    }
}
