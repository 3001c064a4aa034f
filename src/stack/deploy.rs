//! One stack: what is asked of it, how it is looked at, and its events followed until it is settled.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudformation::types::{Parameter, Stack, StackEvent, StackStatus};

use super::StackError;
use super::error::failed;
use super::patience::patiently;
use super::templates::Parameters;
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;

const SERVICE: &str = "CloudFormation";
/// First and longest pause between two looks at a stack.
const POLL_FIRST: Duration = Duration::from_millis(200);
const POLL_LONGEST: Duration = Duration::from_secs(5);
/// No stack of ours takes a quarter of this.
const WAIT_LONGEST: Duration = Duration::from_secs(30 * 60);
/// Pages of 100 events that are read for one look at a stack.
const EVENT_PAGES_MAX: usize = 20;

pub(super) struct Request {
    pub stack: String,
    pub template: String,
    pub parameters: Parameters,
    pub tags: BTreeMap<String, String>,
    /// The template makes a role, which has to be allowed expressly.
    pub makes_role: bool,
    /// ARN of the role under which CloudFormation works; it stays with the stack, for its updates and deletion.
    pub service_role: Option<String>,
}

/// A complete stack.
pub(super) struct Deployed {
    stack: String,
    pub outputs: BTreeMap<String, String>,
}

impl Deployed {
    pub fn output(&self, output: &'static str) -> Result<String, StackError> {
        let found = self.outputs.get(output).cloned();
        found.ok_or_else(|| StackError::NoOutput { stack: self.stack.clone(), output })
    }
}

/// The stack as it is, `None` when there is none of that name (or id).
pub(super) async fn describe(clients: &Clients, name: &str) -> Result<Option<Stack>, StackError> {
    patiently(name, || describe_once(clients, name)).await
}

async fn describe_once(clients: &Clients, name: &str) -> Result<Option<Stack>, StackError> {
    match clients.cloudformation.describe_stacks().stack_name(name).send().await {
        Ok(answer) => Ok(answer.stacks().first().cloned()),
        Err(error) => match failed(SERVICE, format!("look at stack {name}"), error) {
            StackError::Api { code, message, .. }
                if code == "ValidationError" && message.contains("does not exist") =>
            {
                Ok(None)
            }
            other => Err(other),
        },
    }
}

pub(super) fn parameters(stack: &Stack) -> BTreeMap<String, String> {
    let pair = |parameter: &Parameter| {
        Some((parameter.parameter_key()?.to_owned(), parameter.parameter_value()?.to_owned()))
    };
    stack.parameters().iter().filter_map(pair).collect()
}

pub(super) fn deployed(stack: &Stack) -> Deployed {
    let outputs = stack
        .outputs()
        .iter()
        .filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.to_owned())))
        .collect();
    Deployed { stack: stack.stack_name().unwrap_or_default().to_owned(), outputs }
}

pub(super) fn state_error(stack: &Stack) -> StackError {
    StackError::State {
        stack: stack.stack_name().unwrap_or_default().to_owned(),
        status: status_text(stack),
        reason: stack.stack_status_reason().map(str::to_owned),
    }
}

pub(super) fn status_text(stack: &Stack) -> String {
    stack.stack_status().map(|status| status.as_str().to_owned()).unwrap_or_default()
}

/// Follows a stack's events to the end of what it is doing.
pub(super) struct Watch {
    stack: String,
    id: String,
    /// The newest event that was told.
    seen: Option<String>,
    /// Oldest first: resource, type and reason of each that failed to be created or changed.
    failures: Vec<(String, String, String)>,
}

impl Watch {
    /// `id` finds the stack even after its deletion.
    pub fn new(stack: &str, id: String) -> Watch {
        Watch { stack: stack.to_owned(), id, seen: None, failures: Vec::new() }
    }

    /// Skips the events until now, so that only what follows is told.
    pub async fn skip_past(&mut self, clients: &Clients) -> Result<(), StackError> {
        self.tell(clients, &|_| {}).await
    }

    /// # Errors
    /// When the stack is still in progress after half an hour, or cannot be looked at.
    pub async fn until_settled(
        &mut self,
        clients: &Clients,
        clock: Clock,
        progress: &dyn Fn(&str),
    ) -> Result<Stack, StackError> {
        let give_up = clock.instant() + WAIT_LONGEST;
        let mut pause = POLL_FIRST;
        loop {
            let found = describe(clients, &self.id).await?;
            self.tell(clients, progress).await?;
            let Some(stack) = found else {
                let stack = self.stack.clone();
                return Err(StackError::State { stack, status: "gone".into(), reason: None });
            };
            if !status_text(&stack).ends_with("_IN_PROGRESS") {
                return Ok(stack);
            }
            if clock.instant() + pause > give_up {
                let (stack, status) = (self.stack.clone(), status_text(&stack));
                return Err(StackError::TimedOut { stack, status, after: WAIT_LONGEST });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(POLL_LONGEST);
        }
    }

    /// Tells the events that came since the last time.
    async fn tell(&mut self, clients: &Clients, progress: &dyn Fn(&str)) -> Result<(), StackError> {
        for event in self.new_events(clients).await?.iter().rev() {
            let resource = event.logical_resource_id().unwrap_or_default();
            let kind = event.resource_type().unwrap_or_default();
            let status = event.resource_status().map(|status| status.as_str()).unwrap_or_default();
            let reason = event.resource_status_reason().unwrap_or_default();
            let colon = if reason.is_empty() { "" } else { ": " };
            progress(&format!("{}: {status} {resource} ({kind}){colon}{reason}", self.stack));
            if matches!(status, "CREATE_FAILED" | "UPDATE_FAILED") && kind != "AWS::CloudFormation::Stack" {
                self.failures.push((resource.to_owned(), kind.to_owned(), reason.to_owned()));
            }
        }
        Ok(())
    }

    /// Newest first, as CloudFormation gives them.
    async fn new_events(&mut self, clients: &Clients) -> Result<Vec<StackEvent>, StackError> {
        let mut events: Vec<StackEvent> = Vec::new();
        let mut token = None;
        'pages: for _ in 0..EVENT_PAGES_MAX {
            let ask = || async {
                let call = clients.cloudformation.describe_stack_events();
                let answer = call.stack_name(&self.id).set_next_token(token.clone()).send().await;
                let doing = format!("read the events of stack {}", self.stack);
                answer.map_err(|error| failed(SERVICE, doing, error))
            };
            let answer = patiently(&self.stack, ask).await?;
            for event in answer.stack_events() {
                if event.event_id() == self.seen.as_deref() {
                    break 'pages;
                }
                events.push(event.clone());
            }
            token = answer.next_token().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        if let Some(newest) = events.first() {
            self.seen = newest.event_id().map(str::to_owned);
        }
        Ok(events)
    }
}

/// The failure that came first and is not a consequence: "cancelled" follows another one.
pub(super) fn first_cause(watch: &Watch, stack: &Stack) -> StackError {
    let cause = watch.failures.iter().find(|(_, _, reason)| !reason.contains("cancelled"));
    let Some((resource, kind, reason)) = cause.cloned() else { return state_error(stack) };
    let name = watch.stack.clone();
    match stack.stack_status() {
        Some(StackStatus::UpdateRollbackComplete) => {
            StackError::UpdateFailed { stack: name, resource, kind, reason }
        }
        Some(StackStatus::UpdateRollbackFailed | StackStatus::UpdateFailed) => {
            StackError::RollbackFailed { stack: name, resource, kind, reason, status: status_text(stack) }
        }
        _ => StackError::Failed { stack: name, resource, kind, reason },
    }
}
