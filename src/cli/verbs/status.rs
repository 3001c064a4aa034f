//! `status`: what stands.

use serde_json::json;

use crate::cli::args::{Format, Global, TargetArg};
use crate::cli::connect;
use crate::cli::endpoint::{self, EndpointState};
use crate::cli::exit::{CliError, Exit};
use crate::platform::clock::{Clock, rfc3339};
use crate::stack;

pub async fn run(global: &Global) -> Result<Exit, CliError> {
    let clock = Clock::start();
    let mut local = None;
    if global.target == TargetArg::Local {
        match EndpointState::read(&global.env)? {
            Some(state) if endpoint::answers(&state).await => local = Some(state),
            Some(state) => {
                return Err(CliError::environment(format!(
                    "the endpoint of '{}' ({}) does not answer",
                    global.env, state.url
                ))
                .hint(format!("streamgauge down --env {} clears it away", global.env)));
            }
            None => return nothing(global),
        }
    }
    let clients = connect::to_standing(global, clock).await?;
    let status = stack::status(&clients, &global.env).await?;
    if status.stacks.is_empty() {
        return nothing(global);
    }
    match global.format {
        Format::Json => {
            let stacks: Vec<serde_json::Value> = status
                .stacks
                .iter()
                .map(|stack| json!({"name": stack.name, "status": stack.status, "created": rfc3339(stack.created_us), "resources": stack.resources.len()}))
                .collect();
            let endpoint =
                local.map(|state| json!({"url": state.url, "pid": state.pid, "faults": state.faults}));
            println!("{:#}", json!({"env": global.env, "up": true, "stacks": stacks, "endpoint": endpoint}));
        }
        Format::Human => {
            if let Some(state) = &local {
                println!("local endpoint {} (process {})", state.url, state.pid);
                for fault in &state.faults {
                    println!("fault: {fault}");
                }
            }
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
    }
    Ok(Exit::Done)
}

fn nothing(global: &Global) -> Result<Exit, CliError> {
    match global.format {
        Format::Json => println!("{:#}", json!({"env": global.env, "up": false, "stacks": []})),
        Format::Human => println!("'{}' is not up; streamgauge up --env {0} makes it", global.env),
    }
    Ok(Exit::Done)
}
