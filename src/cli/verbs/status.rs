//! `status`: what stands, since when, what it has cost, when it ends, and what the planted faults did so far.

use crate::cli::out::say;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::args::{Format, Global, TargetArg};
use crate::cli::connect;
use crate::cli::endpoint::{self, EndpointState, FaultsStruck};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::verbs::campaign;
use crate::cost::{self, Cost, PriceBook};
use crate::evidence::model::Usage;
use crate::platform::clients::Clients;
use crate::platform::clock::{Clock, rfc3339};
use crate::session::actions::left;
use crate::stack::{self, EnvStatus, Standing, ttl};

/// A change that is under way is waited for this long.
const CHANGE_BOUND: Duration = Duration::from_secs(10);

/// A local endpoint that answers.
struct Local {
    state: EndpointState,
    /// `None` when it does not say.
    struck: Option<FaultsStruck>,
}

/// All that is shown.
struct Shown {
    status: EnvStatus,
    /// What standing alone has cost, as production prices have it; `None` while the pipeline is not complete.
    cost: Option<Cost>,
    local: Option<Local>,
    /// Settings that an action of a run left changed, and what could not be looked at.
    changed: Vec<String>,
    now_us: i64,
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
    let book = PriceBook::parse(&input::prices(global)?)
        .map_err(|error| CliError::input(format!("--prices: {error}")))?;
    let clients = connect::to_standing(global, clock).await?;
    ttl::remove_fired(&clients, clock, &global.env, &|line| eprintln!("{line}")).await?;
    let status = stack::status(&clients, &global.env).await?;
    let cost = idle_cost(&clients, clock, &global.env, &book).await;
    let changed = changed(&clients, clock, &global.env).await;
    let shown = Shown { status, cost, local, changed, now_us: clock.now_us() };
    match global.format {
        Format::Json => say!("{:#}", document(global, &shown)),
        Format::Human => {
            if let Some(local) = &shown.local {
                tell_endpoint(local);
            }
            if shown.status.stacks.is_empty() && shown.status.leftovers.found.is_empty() {
                return Ok(nothing(global));
            }
            tell_stacks(global, &shown);
        }
    }
    Ok(Exit::Done)
}

/// What stands otherwise than the environment was stood up: an action of a run that was killed. Of what is broken
/// nothing is said here.
async fn changed(clients: &Clients, clock: Clock, env: &str) -> Vec<String> {
    let Ok(Some(standing)) = stack::standing(clients, env).await else { return Vec::new() };
    let (left, unseen) = left::look(clients, clock, &standing, CHANGE_BOUND).await;
    let left = left.iter().map(|left| format!("left by a run: {left}; streamgauge run puts it back"));
    left.chain(unseen.into_iter().map(|why| format!("a setting could not be looked at: {why}"))).collect()
}

/// What it costs to let the environment stand, without any load. What is broken has no figure.
async fn idle_cost(clients: &Clients, clock: Clock, env: &str, book: &PriceBook) -> Option<Cost> {
    let standing = stack::standing(clients, env).await.ok()??;
    let standing_us = clock.now_us().saturating_sub(standing.created_us).max(0);
    Some(cost::price(&idle_usage(&standing, Duration::from_micros(standing_us as u64)), book))
}

fn idle_usage(standing: &Standing, stood: Duration) -> Usage {
    Usage {
        region: standing.region.clone(),
        stream_mode: standing.stream_mode.clone(),
        shards: standing.shards,
        retention_hours: standing.retention_hours,
        load_window_s: stood.as_secs_f64(),
        standing_s: stood.as_secs_f64(),
        architecture: standing.architecture.clone(),
        memory_mb: standing.memory_mb,
        alarms: standing.alarms,
        dashboards: standing.dashboards,
        ..Usage::default()
    }
}

async fn look(state: EndpointState) -> Local {
    let struck = endpoint::faults_struck(&state).await;
    if let Err(error) = &struck {
        eprintln!("the endpoint does not say what its faults struck: {error}");
    }
    Local { state, struck: struck.ok() }
}

fn document(global: &Global, shown: &Shown) -> Value {
    let Shown { status, cost, local, changed, .. } = shown;
    let stacks: Vec<Value> = status
        .stacks
        .iter()
        .map(|stack| {
            json!({
                "name": stack.name, "status": stack.status, "reason": stack.reason,
                "created": rfc3339(stack.created_us), "resources": stack.resources.len(),
            })
        })
        .collect();
    let endpoint = local.as_ref().map(|Local { state, struck }| {
        json!({
            "url": state.url, "pid": state.pid, "faults": state.faults,
            "struck": struck.as_ref().map(|found| &found.struck),
        })
    });
    let leftovers: Vec<String> = status.leftovers.found.iter().map(ToString::to_string).collect();
    json!({
        "env": global.env, "up": !stacks.is_empty(), "stacks": stacks, "endpoint": endpoint,
        "ends": status.ends_us.map(rfc3339), "leftovers": leftovers, "unseen": status.leftovers.unseen,
        "changed": changed,
        "campaign": campaign::last(global).map(|(_, document)| document),
        "idle_cost_usd": cost.as_ref().map(|cost| cost.total().normalize().to_string()),
    })
}

fn tell_endpoint(Local { state, struck }: &Local) {
    say!("local endpoint {} (process {})", state.url, state.pid);
    for fault in &state.faults {
        say!("fault: {fault}");
    }
    for (kind, struck) in struck.iter().flat_map(|found| &found.struck) {
        say!("struck so far: {kind} {} ({} records)", struck.strikes, struck.records);
    }
}

fn tell_stacks(global: &Global, shown: &Shown) {
    let status = &shown.status;
    let mut table = crate::cli::table(["stack", "status", "created", "resources"]);
    for stack in &status.stacks {
        table.add_row([
            stack.name.clone(),
            stack.status.clone(),
            rfc3339(stack.created_us),
            stack.resources.len().to_string(),
        ]);
    }
    say!("{table}");
    for stack in &status.stacks {
        if let Some(reason) = &stack.reason {
            say!("{}: {reason}", stack.name);
        }
    }
    status.leftovers.found.iter().for_each(|one| say!("outside its stacks: {one}"));
    status.leftovers.unseen.iter().for_each(|line| say!("{line}"));
    shown.changed.iter().for_each(|line| say!("{line}"));
    if let Some(cost) = &shown.cost {
        let (least, place) = match (cost.pipeline.incomplete || cost.test.incomplete, global.target) {
            (true, _) => ("at least ", ""),
            (false, TargetArg::Local) => ("", ", were it on AWS"),
            (false, TargetArg::Aws) => ("", ""),
        };
        say!("standing has cost {least}USD {} so far{place}, load not counted", cost::usd(cost.total()));
    }
    say!("{}\nend it: streamgauge down --env {}", end(global, shown), global.env);
    if let Some((line, _)) = campaign::last(global) {
        say!("{line}");
    }
}

fn end(global: &Global, shown: &Shown) -> String {
    match shown.status.ends_us {
        None if global.target == TargetArg::Local => "ends by itself: 12 h after its last request".to_owned(),
        None => "ends by itself: never (no dead man's switch; streamgauge up --ttl 8h sets one)".to_owned(),
        Some(at_us) if ttl::has_failed(shown.now_us, at_us) => {
            format!("should have ended by itself at {}: its dead man's switch has failed", rfc3339(at_us))
        }
        Some(at_us) => format!("ends by itself at {}", rfc3339(at_us)),
    }
}

fn nothing(global: &Global) -> Exit {
    let (line, campaign) = campaign::last(global).unzip();
    match global.format {
        Format::Json => {
            say!("{:#}", json!({"env": global.env, "up": false, "stacks": [], "campaign": campaign}));
        }
        Format::Human => {
            say!("'{}' is not up; streamgauge up --env {0} makes it", global.env);
            line.iter().for_each(|line| say!("{line}"));
        }
    }
    Exit::Done
}
