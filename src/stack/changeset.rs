//! One stack's change set: made, read, executed or taken back.

use std::time::Duration;

use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput;
use aws_sdk_cloudformation::types::{
    Capability, Change, ChangeAction as Action, ChangeSetStatus, ChangeSetType, Parameter, Replacement,
    StackStatus, Tag,
};

use super::StackError;
use super::deploy::{Request, Watch, describe};
use super::error::failed;
use super::patience::patiently;
use super::upplan::{ResourceChange, StackAction, StackPlan, Verb};
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;

const SERVICE: &str = "CloudFormation";
/// Pause between two looks at a change set, and how long one may take to be made.
const POLL: Duration = Duration::from_millis(500);
const WAIT_LONGEST: Duration = Duration::from_secs(5 * 60);
/// Pages of a change set that are read: a stack has at most 500 resources.
const PAGES_MAX: usize = 20;

/// A stack with the change set that would make it what is asked for.
pub(super) struct Prepared {
    pub request: Request,
    /// The change set is what the stack consists of until it is executed.
    pub creates: bool,
    /// ARN of the change set; `None` when the stack stands as asked.
    change_set: Option<String>,
    stack_id: String,
    pub shown: StackPlan,
}

/// Makes the change set and reads what it would do. `creates`: there is no such stack yet, or only its review.
///
/// # Errors
/// When CloudFormation refuses it; then nothing is left of it.
pub(super) async fn make(
    clients: &Clients,
    clock: Clock,
    request: Request,
    creates: bool,
) -> Result<Prepared, StackError> {
    let action = if creates { StackAction::Create } else { StackAction::Update };
    let shown = StackPlan { stack: request.stack.clone(), action, changes: Vec::new() };
    let mut prepared = Prepared { request, creates, change_set: None, stack_id: String::new(), shown };
    match fill(clients, clock, &mut prepared).await {
        Ok(()) => Ok(prepared),
        Err(error) => {
            // The first cause counts: that the rest could not be cleared away is told by `down`.
            let _ = prepared.discard(clients, clock).await;
            Err(error)
        }
    }
}

async fn fill(clients: &Clients, clock: Clock, prepared: &mut Prepared) -> Result<(), StackError> {
    let request = &prepared.request;
    prepared.stack_id.clone_from(&request.stack);
    let id = create(clients, clock, request, prepared.creates).await?;
    prepared.change_set = Some(id.0.clone());
    prepared.stack_id = id.1;
    let made = until_made(clients, clock, &request.stack, &id.0).await?;
    let reason = made.status_reason().unwrap_or_default();
    if made.status() != Some(&ChangeSetStatus::Failed) {
        prepared.shown.changes = changes(clients, &request.stack, &id.0).await?;
        return Ok(());
    }
    if !prepared.creates && nothing_to_do(reason) {
        delete(clients, &request.stack, &id.0).await?;
        prepared.change_set = None;
        prepared.shown.action = StackAction::Keep;
        return Ok(());
    }
    Err(StackError::ChangeSet { stack: request.stack.clone(), reason: reason.to_owned() })
}

/// CloudFormation says this in one of two ways. User guide, "Troubleshooting CloudFormation".
fn nothing_to_do(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

/// ARNs of the change set and of its stack.
async fn create(
    clients: &Clients,
    clock: Clock,
    request: &Request,
    creates: bool,
) -> Result<(String, String), StackError> {
    let name = format!("streamgauge-{}", clock.now_us());
    let kind = if creates { ChangeSetType::Create } else { ChangeSetType::Update };
    let ask = || async {
        let mut call = clients
            .cloudformation
            .create_change_set()
            .stack_name(&request.stack)
            .change_set_name(&name)
            // A repeated request whose answer was lost is then answered, not refused.
            .client_token(&name)
            .change_set_type(kind.clone())
            .template_body(&request.template)
            .set_capabilities(request.makes_role.then(|| vec![Capability::CapabilityNamedIam]))
            .set_role_arn(request.service_role.clone());
        for (key, value) in &request.parameters {
            call = call.parameters(Parameter::builder().parameter_key(*key).parameter_value(value).build());
        }
        for (key, value) in &request.tags {
            call = call.tags(Tag::builder().key(key).value(value).build());
        }
        let doing = format!("make a change set for stack {}", request.stack);
        call.send().await.map_err(|error| failed(SERVICE, doing, error))
    };
    let answer = patiently(&request.stack, ask).await?;
    let text = |given: Option<&str>, otherwise: &str| given.unwrap_or(otherwise).to_owned();
    Ok((text(answer.id(), &name), text(answer.stack_id(), &request.stack)))
}

async fn look(
    clients: &Clients,
    stack: &str,
    id: &str,
    token: Option<String>,
) -> Result<DescribeChangeSetOutput, StackError> {
    let ask = || async {
        let call = clients.cloudformation.describe_change_set().stack_name(stack).change_set_name(id);
        let doing = format!("read the change set of stack {stack}");
        let answer = call.set_next_token(token.clone()).send().await;
        answer.map_err(|error| failed(SERVICE, doing, error))
    };
    patiently(stack, ask).await
}

async fn until_made(
    clients: &Clients,
    clock: Clock,
    stack: &str,
    id: &str,
) -> Result<DescribeChangeSetOutput, StackError> {
    let give_up = clock.instant() + WAIT_LONGEST;
    loop {
        let made = look(clients, stack, id, None).await?;
        match made.status() {
            Some(ChangeSetStatus::CreatePending | ChangeSetStatus::CreateInProgress) => {}
            _ => return Ok(made),
        }
        if clock.instant() + POLL > give_up {
            let status = "waiting for its change set".to_owned();
            return Err(StackError::TimedOut { stack: stack.to_owned(), status, after: WAIT_LONGEST });
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn changes(clients: &Clients, stack: &str, id: &str) -> Result<Vec<ResourceChange>, StackError> {
    let mut all = Vec::new();
    let mut token = None;
    for _ in 0..PAGES_MAX {
        let page = look(clients, stack, id, token).await?;
        all.extend(page.changes().iter().filter_map(shown));
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    Ok(all)
}

fn shown(change: &Change) -> Option<ResourceChange> {
    let change = change.resource_change()?;
    let verb = match (change.action()?, change.replacement()) {
        (Action::Add | Action::Import, _) => Verb::Add,
        (Action::Remove, _) => Verb::Remove,
        (_, Some(Replacement::True)) => Verb::Replace,
        (_, Some(Replacement::Conditional)) => Verb::MayReplace,
        _ => Verb::Modify,
    };
    let target = |detail: &aws_sdk_cloudformation::types::ResourceChangeDetail| {
        let target = detail.target()?;
        let attribute = target.attribute().map(|attribute| attribute.as_str().to_owned());
        target.name().map(str::to_owned).or(attribute)
    };
    let mut properties: Vec<String> = change.details().iter().filter_map(target).collect();
    properties.sort();
    properties.dedup();
    Some(ResourceChange {
        verb,
        logical_id: change.logical_resource_id().unwrap_or_default().to_owned(),
        kind: change.resource_type().unwrap_or_default().to_owned(),
        physical_id: change.physical_resource_id().map(str::to_owned),
        properties,
    })
}

async fn delete(clients: &Clients, stack: &str, id: &str) -> Result<(), StackError> {
    let ask = || async {
        let call = clients.cloudformation.delete_change_set().stack_name(stack).change_set_name(id);
        let doing = format!("delete the change set of stack {stack}");
        call.send().await.map(drop).map_err(|error| failed(SERVICE, doing, error))
    };
    patiently(stack, ask).await
}

impl Prepared {
    /// The stack stands as asked: there is nothing to execute.
    pub fn is_done(&self) -> bool {
        self.change_set.is_none() && !self.creates
    }

    /// Starts it. Gives the watch that follows it to its end.
    pub async fn execute(&self, clients: &Clients) -> Result<Watch, StackError> {
        let stack = &self.request.stack;
        let mut watch = Watch::new(stack, self.stack_id.clone());
        watch.skip_past(clients).await?;
        let id = self.change_set.as_deref().unwrap_or_default();
        let ask = || async {
            let call = clients.cloudformation.execute_change_set().stack_name(stack).change_set_name(id);
            let answer = call.client_request_token(format!("up-{}", tail(id))).send().await;
            let doing = format!("execute the change set of stack {stack}");
            answer.map(drop).map_err(|error| failed(SERVICE, doing, error))
        };
        patiently(stack, ask).await?;
        Ok(watch)
    }

    /// Makes it again with other parameters: what a stack before it turned out to be was not as foreseen. On an
    /// error the stack's review is gone as well.
    pub async fn make_again(
        &mut self,
        clients: &Clients,
        clock: Clock,
        request: Request,
    ) -> Result<(), StackError> {
        if let Some(id) = self.change_set.take() {
            delete(clients, &self.request.stack, &id).await?;
        }
        *self = make(clients, clock, request, self.creates).await?;
        Ok(())
    }

    /// Takes it back: no change set, and no stack that is nothing but its review.
    pub async fn discard(&self, clients: &Clients, clock: Clock) -> Result<(), StackError> {
        if !self.creates {
            return match &self.change_set {
                Some(id) => delete(clients, &self.request.stack, id).await,
                None => Ok(()),
            };
        }
        // Looked at once more: only a review is ours to delete here.
        let found = describe(clients, &self.stack_id).await?;
        let review = found
            .filter(|stack| stack.stack_status() == Some(&StackStatus::ReviewInProgress))
            .and_then(|stack| stack.stack_id().map(str::to_owned));
        let Some(id) = review else { return Ok(()) };
        let ask = || async {
            let answer = clients.cloudformation.delete_stack().stack_name(&id).send().await;
            let doing = format!("delete the review of stack {}", self.request.stack);
            answer.map(drop).map_err(|error| failed(SERVICE, doing, error))
        };
        patiently(&id, ask).await?;
        Watch::new(&self.request.stack, id.clone()).until_settled(clients, clock, &|_| {}).await.map(drop)
    }
}

/// The unique end of an ARN: a client request token has at most 128 letters, digits and hyphens.
fn tail(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
