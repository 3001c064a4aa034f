//! `sweep`: find and delete what any earlier run left in an account.

use crate::cli::out::say;
use std::io::IsTerminal;

use serde_json::{Value, json};

use crate::cli::args::{Format, Global, SweepArgs, TargetArg};
use crate::cli::connect;
use crate::cli::endpoint::{self, EndpointState};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::progress::Stderr;
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;
use crate::session::lock::EnvLock;
use crate::session::progress::Progress;
use crate::stack::sweep::{self, Found};

/// One place that was looked at: a region, or a local endpoint.
struct Place {
    clients: Clients,
    found: Found,
}

pub async fn run(global: &Global, args: &SweepArgs) -> Result<Exit, CliError> {
    if global.target == TargetArg::Local {
        return match args.all_regions {
            true => Err(CliError::input("--all-regions goes with --target aws")),
            false => sweep_local(global).await,
        };
    }
    let clock = Clock::start();
    let progress = Stderr::new();
    let mut places = Vec::new();
    for region in regions(global, args) {
        let of_region = Global { region, ..global.clone() };
        let clients = connect::clients(&of_region, clock, None).await?;
        progress.step_live(&format!("looking in {}", clients.region));
        let found = sweep::find(&clients).await?;
        places.push(Place { clients, found });
    }
    progress.settle();
    places.iter().for_each(list);
    let nothing = places.iter().all(|place| place.found.remains.is_empty());
    if nothing {
        return report(global, &places, &[]);
    }
    confirm(global)?;
    let mut left = Vec::new();
    let step = connect::stack_steps(global, &progress);
    for Place { clients, found } in &places {
        for remains in &found.remains {
            let of_env = sweep::remove(clients, clock, remains, &step).await?;
            left.extend(of_env.into_iter().map(|line| format!("{}: {line}", clients.region)));
        }
    }
    progress.settle();
    report(global, &places, &left)
}

fn regions(global: &Global, args: &SweepArgs) -> Vec<Option<String>> {
    match args.all_regions {
        true => sweep::REGIONS.iter().map(|region| Some((*region).to_owned())).collect(),
        false => vec![global.region.clone()],
    }
}

/// On stderr: stdout is for the outcome.
fn list(Place { clients, found }: &Place) {
    for remains in &found.remains {
        eprintln!("{}: environment '{}'", clients.region, remains.env);
        remains.stacks.iter().for_each(|(name, status)| eprintln!("  stack {name}: {status}"));
        remains.resources.iter().for_each(|one| eprintln!("  {one}"));
    }
    found.untagged.iter().for_each(|one| eprintln!("{}: {one}", clients.region));
    found.unseen.iter().for_each(|line| eprintln!("{}: {line}", clients.region));
}

fn confirm(global: &Global) -> Result<(), CliError> {
    if global.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::input("sweep deletes: it needs --yes where nobody can be asked"));
    }
    eprint!("delete all of these, but what is marked as not touched? [y/N] ");
    let mut answer = String::new();
    match (std::io::stdin().read_line(&mut answer), answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        _ => Err(CliError::input("not confirmed: nothing was done")),
    }
}

fn report(global: &Global, places: &[Place], left: &[String]) -> Result<Exit, CliError> {
    let count: usize = places.iter().map(|place| place.found.remains.len()).sum();
    match global.format {
        Format::Json => say!("{:#}", document(places, left)),
        Format::Human if count == 0 => say!("nothing is left of any earlier run"),
        Format::Human => say!("swept {count} environments, {} things are left", left.len()),
    }
    match left.is_empty() {
        true => Ok(Exit::Done),
        false => Err(CliError::environment(left.join("\n")).hint("streamgauge sweep tries again")),
    }
}

fn document(places: &[Place], left: &[String]) -> Value {
    let place = |Place { clients, found }: &Place| {
        let texts = |all: &[crate::stack::leftovers::Leftover]| -> Vec<String> {
            all.iter().map(ToString::to_string).collect()
        };
        let remains = found.remains.iter().map(|remains| {
            let stacks = remains.stacks.iter().map(|(name, status)| json!({"name": name, "status": status}));
            json!({
                "env": remains.env, "stacks": stacks.collect::<Vec<_>>(), "resources": texts(&remains.resources),
            })
        });
        json!({
            "region": clients.region, "environments": remains.collect::<Vec<_>>(),
            "untagged": texts(&found.untagged), "unseen": found.unseen,
        })
    };
    json!({"regions": places.iter().map(place).collect::<Vec<_>>(), "left": left})
}

/// Locally an environment is its endpoint: with that, everything in it is gone.
async fn sweep_local(global: &Global) -> Result<Exit, CliError> {
    let envs = EndpointState::background()?;
    if !envs.is_empty() {
        envs.iter().for_each(|env| eprintln!("local environment '{env}'"));
        confirm(global)?;
    }
    let mut ended = Vec::new();
    for env in envs {
        let _lock = EnvLock::take(input::ROOT.as_ref(), &env)?;
        if let Some(state) = EndpointState::read(&env)? {
            endpoint::end_background(&env, &state).await?;
            ended.push(env);
        }
    }
    match global.format {
        Format::Json => say!("{:#}", json!({"ended": ended, "left": []})),
        Format::Human if ended.is_empty() => say!("nothing is left of any earlier run"),
        Format::Human => say!("ended the local environments {}", ended.join(", ")),
    }
    Ok(Exit::Done)
}
