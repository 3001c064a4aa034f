//! `--calibrate RUN`: the model of a rehearsal from an earlier real run.

use std::path::Path;

use crate::cli::exit::CliError;
use crate::cli::{input, rehearsal};
use crate::evidence::calibrate::{CalibrateError, calibrate};
use crate::plan::{Plan, Rehearsal, Test};

/// A model, and the sentences that a report says it rests on.
pub struct Model {
    pub assumed: Rehearsal,
    pub assumptions: Vec<String>,
}

/// The model for the tests `selected` (their indexes) of `plan`: of `run` where one is named, otherwise the plan's own.
pub fn model(
    plan: &Plan,
    selected: &[usize],
    run: Option<&Path>,
    seed: Option<u64>,
) -> Result<Model, CliError> {
    let (mut assumed, mut assumptions) = match run {
        None => (plan.rehearsal, Vec::new()),
        Some(run) => measured(plan, selected, run)?,
    };
    assumed.seed = seed.unwrap_or(plan.rehearsal.seed);
    assumptions.extend(rehearsal::assumptions(&assumed));
    Ok(Model { assumed, assumptions })
}

fn measured(plan: &Plan, selected: &[usize], run: &Path) -> Result<(Rehearsal, Vec<String>), CliError> {
    let dir = input::run_dir(run)?;
    let tests: Vec<&Test> = plan
        .tests()
        .enumerate()
        .filter(|(index, _)| selected.contains(index))
        .map(|(_, test)| test)
        .collect();
    let found = calibrate(&dir, plan, &tests);
    let found = found.map_err(|error| {
        let hint = match &error {
            CalibrateError::Refused(refusal) => refusal.hint.clone(),
            CalibrateError::Evidence(_) => {
                format!("`streamgauge report {}` says what is there", dir.display())
            }
        };
        CliError::input(format!("cannot calibrate on {}: {error}", dir.display())).hint(hint)
    })?;
    Ok((found.model, found.basis))
}
