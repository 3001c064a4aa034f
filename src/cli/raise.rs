//! Standing an environment up, for `up` and `test`: the change sets, the question, the execution; and what an
//! answer of no or a Ctrl-C at each of these points leaves.

use std::io::Write;
use std::time::Duration;

use crate::cli::args::{Global, TargetArg};
use crate::cli::connect;
use crate::cli::exit::{CliError, Exit};
use crate::cli::life;
use crate::cli::shown_plan::ShownPlan;
use crate::cli::signals::StopSignal;
use crate::cost::PriceBook;
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;
use crate::session::progress::Progress;
use crate::stack::templates::Templates;
use crate::stack::{self, Standing, UpPlan, UpRequest};

pub struct Raising<'a> {
    pub global: &'a Global,
    pub clock: Clock,
    pub clients: &'a Clients,
    pub request: &'a UpRequest,
    /// After which the dead man's switch takes it down; `None`: it gets none.
    pub life: Option<Duration>,
    pub stop: &'a StopSignal,
    pub progress: &'a dyn Progress,
    pub book: &'a PriceBook,
}

pub struct Raised {
    pub standing: Standing,
    pub shown: ShownPlan,
}

/// What went wrong.
pub struct Fallen {
    pub error: CliError,
    /// Stacks of an environment that did not stand before were begun: the caller takes them down.
    pub is_begun: bool,
}

impl From<CliError> for Fallen {
    fn from(error: CliError) -> Fallen {
        Fallen { error, is_begun: false }
    }
}

impl Raising<'_> {
    /// `what` is done, in the words of the question.
    pub async fn raise(&self, what: &str) -> Result<Raised, Fallen> {
        // Before anything is sent: a question that nobody can answer.
        let asks = connect::must_ask(self.global, what)?;
        let templates = Templates::embedded();
        self.progress.step("making the change sets");
        // Not broken off by Ctrl-C: a request whose answer is not waited for could leave a stack in review. It ends
        // by itself, within bounds.
        let prepared = stack::prepare(self.clients, self.clock, self.request, &templates).await;
        let mut plan = prepared.map_err(CliError::from)?;
        let shown = ShownPlan::new(
            &self.global.env,
            &self.clients.region,
            &self.request.environment,
            &plan,
            self.book,
        );
        let agreed = self.agreed(&shown, asks, what).await;
        if let Err(declined) = agreed {
            self.discard(&plan).await?;
            return Err(declined.into());
        }
        let standing = self.execute(&templates, &mut plan).await?;
        Ok(Raised { standing, shown })
    }

    /// # Errors
    /// When the answer is no, or Ctrl-C came before or instead of it.
    async fn agreed(&self, shown: &ShownPlan, asks: bool, what: &str) -> Result<(), CliError> {
        if *self.stop.asked.borrow() > 0 {
            return Err(interrupted("interrupted before anything was made"));
        }
        if !shown.is_change() {
            return Ok(());
        }
        self.progress.settle();
        // On this machine nothing costs anything, and nobody is asked: the resources would only be in the way.
        let is_local = self.global.target == TargetArg::Local;
        eprint!("{}", if is_local && self.global.verbose == 0 { shown.summary() } else { shown.text() });
        if !asks {
            return Ok(());
        }
        eprint!("{what} '{}' in {}? [y/N] ", self.global.env, self.clients.region);
        let _ = std::io::stderr().flush();
        tokio::select! {
            biased;
            () = self.stop.wait(1) => Err(interrupted("interrupted before anything was made")),
            answer = line() => match answer {
                Some(answer) if connect::is_yes(&answer) => Ok(()),
                _ => Err(connect::not_confirmed()),
            },
        }
    }

    async fn execute(&self, templates: &Templates, plan: &mut UpPlan) -> Result<Standing, Fallen> {
        let is_fresh = plan.is_fresh;
        let step = connect::stack_steps(self.global, self.progress);
        let work = async {
            // First, so that what it guards is never without it.
            life::guard(self.clients, self.clock, self.request, self.life, &step).await?;
            Ok(stack::execute(self.clients, self.clock, self.request, templates, plan, &step).await?)
        };
        let executed: Result<Standing, CliError> = tokio::select! {
            biased;
            executed = work => executed,
            () = self.stop.wait(1) => {
                // What was begun is taken down by the caller, reviews with it; a change of what stood is not begun twice.
                if is_fresh {
                    let error = interrupted("interrupted: what was begun is taken down");
                    return Err(Fallen { error, is_begun: true });
                }
                self.discard(plan).await?;
                let error = interrupted("interrupted: CloudFormation ends the change that it has begun");
                return Err(error.hint("streamgauge status shows it; run up again once it has ended").into());
            }
        };
        executed.map_err(|error| Fallen { error, is_begun: is_fresh })
    }

    async fn discard(&self, plan: &UpPlan) -> Result<(), CliError> {
        self.progress.step("taking the change sets back");
        Ok(plan.discard(self.clients, self.clock).await?)
    }
}

/// A line of stdin, read by a thread of its own: a read cannot be broken off, and must not hold the program's
/// end up. `None` when there is none.
async fn line() -> Option<String> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        // Nobody waits any more after a Ctrl-C.
        let _ = sender.send(read.ok().map(|_| line));
    });
    receiver.await.ok().flatten()
}

fn interrupted(message: &str) -> CliError {
    CliError { exit: Exit::StoppedEarly, message: message.to_owned(), hint: None }
}
