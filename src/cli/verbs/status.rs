//! `status`: what stands, and what the planted faults of its endpoint did so far.

use serde_json::{Value, json};

use crate::cli::args::{Format, Global, TargetArg};
use crate::cli::connect;
use crate::cli::endpoint::{self, EndpointState, FaultsStruck};
use crate::cli::exit::{CliError, Exit};
use crate::platform::clock::{Clock, rfc3339};
use crate::stack::{self, EnvStatus};

/// A local endpoint that answers.
struct Local {
    state: EndpointState,
    /// `None` when it does not say.
    struck: Option<FaultsStruck>,
}

pub async fn run(global: &Global) -> Result<Exit, CliError> {
    let clock = Clock::start();
    let mut local = None;
    if global.target == TargetArg::Local {
        match EndpointState::read(&global.env)? {
            Some(state) if endpoint::answers(&state).await => local = Some(look(state).await),
            Some(state) => {
                return Err(CliError::environment(format!(
                    "the endpoint of '{}' ({}) does not answer",
                    global.env, state.url
                ))
                .hint(format!("streamgauge down --env {} clears it away", global.env)));
            }
            None => return Ok(nothing(global)),
        }
    }
    let clients = connect::to_standing(global, clock).await?;
    let status = stack::status(&clients, &global.env).await?;
    match global.format {
        Format::Json => println!("{:#}", document(global, &status, local.as_ref())),
        Format::Human => {
            if let Some(local) = &local {
                tell_endpoint(local);
            }
            if status.stacks.is_empty() {
                return Ok(nothing(global));
            }
            tell_stacks(global, &status);
        }
    }
    Ok(Exit::Done)
}

async fn look(state: EndpointState) -> Local {
    let struck = endpoint::faults_struck(&state).await;
    if let Err(error) = &struck {
        eprintln!("the endpoint does not say what its faults struck: {error}");
    }
    Local { state, struck: struck.ok() }
}

fn document(global: &Global, status: &EnvStatus, local: Option<&Local>) -> Value {
    let stacks: Vec<Value> = status
        .stacks
        .iter()
        .map(|stack| json!({"name": stack.name, "status": stack.status, "created": rfc3339(stack.created_us), "resources": stack.resources.len()}))
        .collect();
    let endpoint = local.map(|Local { state, struck }| {
        json!({
            "url": state.url, "pid": state.pid, "faults": state.faults,
            "struck": struck.as_ref().map(|found| &found.struck),
        })
    });
    json!({"env": global.env, "up": !stacks.is_empty(), "stacks": stacks, "endpoint": endpoint})
}

fn tell_endpoint(Local { state, struck }: &Local) {
    println!("local endpoint {} (process {})", state.url, state.pid);
    for fault in &state.faults {
        println!("fault: {fault}");
    }
    for (kind, struck) in struck.iter().flat_map(|found| &found.struck) {
        println!("struck so far: {kind} {} ({} records)", struck.strikes, struck.records);
    }
}

fn tell_stacks(global: &Global, status: &EnvStatus) {
    let mut table = crate::cli::table(["stack", "status", "created", "resources"]);
    for stack in &status.stacks {
        table.add_row([
            stack.name.clone(),
            stack.status.clone(),
            rfc3339(stack.created_us),
            stack.resources.len().to_string(),
        ]);
    }
    println!("{table}\nend it: streamgauge down --env {}", global.env);
}

fn nothing(global: &Global) -> Exit {
    match global.format {
        Format::Json => println!("{:#}", json!({"env": global.env, "up": false, "stacks": []})),
        Format::Human => println!("'{}' is not up; streamgauge up --env {0} makes it", global.env),
    }
    Exit::Done
}
