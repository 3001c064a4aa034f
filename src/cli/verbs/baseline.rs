//! `baseline`: the run that others of its plan are compared with.

use crate::cli::args::{BaselineArgs, Format, Global, TargetArg};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::out::say;
use crate::cli::verbs::compare::{gone, unreadable};
use crate::session::baseline::{self, Baseline};
use crate::session::kept::{self, Whose};

pub fn run(global: &Global, args: &BaselineArgs) -> Result<Exit, CliError> {
    let plan = input::plan(&args.plan)?;
    let whose = Whose { plan: &plan.name, target: target(global), env: &global.env };
    let root = input::ROOT.as_ref();
    if args.clear {
        let was_there = baseline::clear(root, whose)?;
        say!("{}", if was_there { "the plan has no baseline any more" } else { "the plan had no baseline" });
        return Ok(Exit::Done);
    }
    let Some(run) = &args.run else { return show(global, whose) };
    let dir = input::run_dir(run)?;
    let kept = kept::kept(&dir).map_err(|error| unreadable(&dir, error))?;
    if let Some(why) = baseline::unfit(&kept, whose) {
        return Err(CliError::input(format!("run {} cannot be the baseline: {why}", kept.run.id)).hint(
            "a baseline is a finished run of the plan, with nothing void, on the same target and environment",
        ));
    }
    let named = baseline::write(root, &kept, &dir)?;
    told(global, &named, "is now");
    Ok(Exit::Done)
}

pub fn target(global: &Global) -> &'static str {
    match global.target {
        TargetArg::Local => "local",
        TargetArg::Aws => "aws",
    }
}

fn show(global: &Global, whose: Whose<'_>) -> Result<Exit, CliError> {
    match baseline::read(input::ROOT.as_ref(), whose)? {
        Some(named) => {
            kept::kept(&named.dir).map_err(|error| gone(&named, &error))?;
            told(global, &named, "is");
        }
        None if global.format == Format::Json => say!("null"),
        None => {
            say!(
                "the plan '{}' has no baseline on {} in the environment '{}'",
                whose.plan,
                whose.target,
                whose.env
            )
        }
    }
    Ok(Exit::Done)
}

fn told(global: &Global, named: &Baseline, is: &str) {
    if global.format == Format::Json {
        let text = serde_json::to_string_pretty(named).expect("plain members always serialize");
        say!("{text}");
    } else {
        let Baseline { run, plan, target, environment, dir, .. } = named;
        say!(
            "run {run} {is} the baseline of '{plan}' on {target} in the environment '{environment}' ({})",
            dir.display()
        );
    }
}
