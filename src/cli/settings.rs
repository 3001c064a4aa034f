//! `--set KEY=VALUE[,VALUE]`: every combination of the values, each as a plan of its own that was checked whole.

use std::path::Path;

use crate::plan::{Plan, Setting, full_path};

use super::exit::CliError;
use super::input;

/// Combinations of a grid: each is a whole rehearsal with files of its own.
const COMBINATIONS_MAX: usize = 64;

/// The plan with one value for each key that is set.
pub struct Combination {
    pub settings: Vec<Setting>,
    pub plan: Plan,
}

/// Every combination, the last key changing fastest; the plan alone where nothing is set.
///
/// # Errors
/// A key that no plan has, a value that it cannot have, or too many combinations: what was found, and what was expected.
pub fn combinations(file: &Path, plan: Plan, set: &[String]) -> Result<Vec<Combination>, CliError> {
    if set.is_empty() {
        return Ok(vec![Combination { settings: Vec::new(), plan }]);
    }
    let keys: Vec<Vec<Setting>> = set.iter().map(|text| one_key(text)).collect::<Result<_, _>>()?;
    for (index, values) in keys.iter().enumerate() {
        let path = &values[0].path;
        if keys[..index].iter().any(|other| other[0].path == *path) {
            return Err(CliError::input(format!("--set: found {path} twice, expected each key once"))
                .hint("all values of a key go together: --set shards=1,2,4"));
        }
    }
    let number = keys.iter().try_fold(1usize, |product, values| product.checked_mul(values.len()));
    if number.is_none_or(|number| number > COMBINATIONS_MAX) {
        let found = number.map_or_else(|| "more".to_owned(), |number| number.to_string());
        return Err(CliError::input(format!(
            "--set: found {found} combinations, expected at most {COMBINATIONS_MAX}"
        ))
        .hint(
            "vary fewer keys at a time: first what the findings name, then the rest around the best setting",
        ));
    }
    let mut grid: Vec<Vec<Setting>> = vec![Vec::new()];
    for values in &keys {
        let longer = |before: &Vec<Setting>, value: &Setting| {
            [before.as_slice(), std::slice::from_ref(value)].concat()
        };
        grid = grid.iter().flat_map(|before| values.iter().map(move |value| longer(before, value))).collect();
    }
    checked(file, &plan, grid)
}

/// The values of one `--set`, at least one.
fn one_key(text: &str) -> Result<Vec<Setting>, CliError> {
    let expected = "expected KEY=VALUE or KEY=VALUE,VALUE such as shards=1,2,4";
    let Some((key, values)) = text.split_once('=') else {
        return Err(CliError::input(format!("--set {text}: found no =, {expected}")));
    };
    let path = full_path(key.trim()).map_err(|known| {
        CliError::input(format!("--set {text}: found the key '{}', expected {known}", key.trim()))
            .hint("docs/plan.md describes every key of a plan")
    })?;
    let mut settings: Vec<Setting> = Vec::new();
    for value in values.split(',').map(str::trim) {
        if value.is_empty() {
            return Err(CliError::input(format!("--set {text}: found an empty value, {expected}")));
        }
        if settings.iter().any(|known| known.value == value) {
            return Err(CliError::input(format!(
                "--set {text}: found {value} twice, expected each value once"
            )));
        }
        settings.push(Setting { path: path.clone(), value: value.to_owned() });
    }
    Ok(settings)
}

/// Each combination as a plan; all that is wrong with any of them, each once.
fn checked(file: &Path, plan: &Plan, grid: Vec<Vec<Setting>>) -> Result<Vec<Combination>, CliError> {
    let mut combinations = Vec::new();
    let mut wrong: Vec<String> = Vec::new();
    for settings in grid {
        let text = match plan.text_with(&settings) {
            Ok(text) => text,
            Err(error) => {
                wrong.push(format!("--set {error}"));
                continue;
            }
        };
        match input::plan_with(file, &text) {
            Ok(plan) => combinations.push(Combination { settings, plan }),
            // The plan itself was right: what is wrong comes of what was set.
            Err(errors) => wrong.extend(errors.iter().map(|error| {
                let its_own = settings.iter().filter(|setting| setting.path == error.field);
                let blamed: Vec<String> = its_own.map(|setting| format!("--set {setting}")).collect();
                let all = || settings.iter().map(|setting| format!("--set {setting}")).collect();
                let blamed: Vec<String> = if blamed.is_empty() { all() } else { blamed };
                format!(
                    "{}: {}: found {}, expected {}",
                    blamed.join(" "),
                    error.field,
                    error.found,
                    error.expected
                )
            })),
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    wrong.retain(|line| seen.insert(line.clone()));
    if wrong.is_empty() {
        return Ok(combinations);
    }
    Err(CliError::input(wrong.join("\n"))
        .hint("docs/plan.md describes every key of a plan and what it may be"))
}

/// What was set, for whoever reads the rehearsal's report, a clause each.
pub fn told(plan: &Plan, settings: &[Setting]) -> Vec<String> {
    let was = |setting: &Setting| match plan.found_at(&setting.path) {
        Some(value) => format!("the plan has {value}"),
        None => "the plan leaves it at its default".to_owned(),
    };
    settings.iter().map(|setting| format!("set for this rehearsal: {setting} ({})", was(setting))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = include_str!("../../plans/quickstart.yaml");

    fn grid(set: &[&str]) -> Result<Vec<Combination>, CliError> {
        let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
        let plan = crate::plan::parse(PLAN).expect("a plan");
        combinations(Path::new("plans/quickstart.yaml"), plan, &set)
    }

    #[test]
    fn the_last_key_changes_fastest_and_each_plan_has_a_hash_of_its_own() {
        let grid = grid(&["shards=1,2,4", "function.memory_mb=256,512"]).expect("a grid");
        let values: Vec<(u32, u32)> = grid
            .iter()
            .map(|each| (each.plan.environment.stream.shards, each.plan.environment.function.memory_mb))
            .collect();
        assert_eq!(values, [(1, 256), (1, 512), (2, 256), (2, 512), (4, 256), (4, 512)]);
        assert_eq!(grid[3].settings[0].to_string(), "environment.stream.shards=2");
        let hashes: std::collections::BTreeSet<&String> = grid.iter().map(|each| &each.plan.hash).collect();
        assert_eq!(hashes.len(), 6);
        let told = told(&crate::plan::parse(PLAN).expect("a plan"), &grid[2].settings);
        assert_eq!(told[0], "set for this rehearsal: environment.stream.shards=2 (the plan has 1)");
    }

    #[test]
    fn nothing_set_is_the_plan_as_it_stands() {
        let grid = grid(&[]).expect("a grid");
        assert_eq!(grid.len(), 1);
        assert_eq!(grid[0].plan.text, PLAN);
    }

    #[test]
    fn what_cannot_be_set_is_named_with_what_was_expected() {
        let many =
            format!("shards={}", (1..=65).map(|shards| shards.to_string()).collect::<Vec<_>>().join(","));
        for (set, message) in [
            (
                vec!["shards=0"],
                "--set environment.stream.shards=0: environment.stream.shards: found the number 0, expected",
            ),
            (vec!["shards=1,2", "memory_mb=64,256"], "--set environment.function.memory_mb=64: "),
            (vec!["shards"], "--set shards: found no =, expected KEY=VALUE"),
            (vec!["shards="], "found an empty value"),
            (vec!["shards=1,,2"], "found an empty value"),
            (vec!["shards=2,2"], "found 2 twice"),
            (vec!["shards=1", "stream.shards=2"], "found environment.stream.shards twice"),
            (vec!["shrads=1"], "found the key 'shrads', expected a key of a plan below"),
            (vec!["function.parallelization_factor=2"], "did you mean environment.function.parallelization?"),
            (vec![many.as_str()], "found 65 combinations, expected at most 64"),
            (vec!["mode=on-demand"], "--set environment.stream.mode=on-demand: environment.stream.shards: "),
            (vec!["rehearsal.put_latency=-1ms"], "rehearsal.put_latency: found"),
        ] {
            let error = grid(&set).err().unwrap_or_else(|| panic!("{set:?} was taken"));
            assert_eq!(error.exit, super::super::exit::Exit::BadInput);
            assert!(error.message.contains(message), "{set:?}: {}", error.message);
        }
        // One line, although three combinations have it.
        let error = grid(&["memory_mb=64", "shards=1,2,4"]).err().expect("an error");
        assert_eq!(error.message.lines().count(), 1, "{}", error.message);
    }
}
