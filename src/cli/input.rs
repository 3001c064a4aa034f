//! What the user typed, read and checked before anything is created.

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::plan::{Plan, ReadFile};
use crate::session::SessionError;

use super::args::{Global, TargetArg};
use super::exit::CliError;

/// Everything the tool keeps beside the user's files.
pub const ROOT: &str = ".streamgauge";

/// Longest environment name: it is part of every resource's name (`stack::UpRequest`).
const ENV_NAME_MAX: usize = 20;

/// A plan is a page or two; what is larger is not a plan.
const PLAN_MAX_BYTES: u64 = 1024 * 1024;

pub fn runs_dir() -> PathBuf {
    Path::new(ROOT).join("runs")
}

/// Rehearsals are no runs: they are kept apart.
pub fn rehearsals_dir() -> PathBuf {
    Path::new(ROOT).join("rehearsals")
}

/// Checks what no verb may go on without.
pub fn check_global(global: &Global) -> Result<(), CliError> {
    let name = &global.env;
    let well_formed = !name.is_empty()
        && name.len() <= ENV_NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !well_formed {
        return Err(CliError::input(format!(
            "--env: found '{name}', expected 1 to {ENV_NAME_MAX} lowercase letters, digits and '-', starting with a letter"
        )));
    }
    if global.target == TargetArg::Local {
        for (given, flag) in
            [(global.profile.is_some(), "--profile"), (global.endpoint_url.is_some(), "--endpoint-url")]
        {
            if given {
                return Err(CliError::input(format!("{flag} goes with --target aws"))
                    .hint("with --target local nothing leaves this machine; add --target aws to reach the real services or an emulator"));
            }
        }
    }
    if let Some(zip) = &global.function_zip {
        readable(zip, "--function-zip")?;
    }
    Ok(())
}

fn readable(path: &Path, what: &str) -> Result<(), CliError> {
    std::fs::File::open(path)
        .map(drop)
        .map_err(|error| CliError::input(format!("{what}: cannot read {}: {error}", path.display())))
}

/// Reads and checks a plan. Every problem is a line `file:line:column: field: found ..., expected ...`.
pub fn plan(path: &Path) -> Result<Plan, CliError> {
    let unreadable =
        |error: std::io::Error| CliError::input(format!("cannot read the plan {}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| {
        unreadable(error)
            .hint("plans that ship with streamgauge: plans/quickstart.yaml, plans/breaking-point.yaml")
    })?;
    let mut bytes = Vec::new();
    // One byte more than allowed, so that the parser sees that it is too long.
    file.take(PLAN_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let beside = Beside { folder: path.parent().unwrap_or(Path::new("")) };
    crate::plan::parse_bytes(&bytes, &beside).map_err(|errors| {
        CliError::input(errors.in_file(&path.display().to_string()).to_string())
            .hint("docs/plan.md describes every key of a plan")
    })
}

/// Checks another text of the plan at `path`, which names files beside it.
pub fn plan_with(path: &Path, text: &str) -> Result<Plan, crate::plan::Errors> {
    let beside = Beside { folder: path.parent().unwrap_or(Path::new("")) };
    crate::plan::parse_with(text, &beside)
}

/// The files that a plan names, from its folder on.
struct Beside<'p> {
    folder: &'p Path,
}

impl ReadFile for Beside<'_> {
    fn read(&self, name: &str, max_bytes: usize) -> Result<Bytes, String> {
        let read = || -> std::io::Result<Vec<u8>> {
            let file = std::fs::File::open(self.folder.join(name))?;
            let length = match file.metadata()? {
                found if found.is_file() => found.len(),
                // A pipe or a device could keep the reader for ever.
                _ => return Err(std::io::Error::other("it is not a regular file")),
            };
            let bytes_max = max_bytes as u64 + 1;
            let mut content = Vec::with_capacity(length.min(bytes_max) as usize);
            file.take(bytes_max).read_to_end(&mut content)?;
            Ok(content)
        };
        read().map(Bytes::from).map_err(|error| error.to_string())
    }
}

/// A text file that is not larger than expected.
pub fn text(path: &Path, max_bytes: u64) -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(max_bytes + 1).read_to_string(&mut text)?;
    if read as u64 > max_bytes {
        return Err(std::io::Error::other(format!("it has more than {max_bytes} bytes")));
    }
    Ok(text)
}

/// The price book's text: the one given, or the one built in.
pub fn prices(global: &Global) -> Result<String, CliError> {
    let Some(path) = &global.prices else {
        return Ok(crate::cost::BUILTIN_PRICES.to_owned());
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::input(format!("--prices: cannot read {}: {error}", path.display())))?;
    crate::cost::PriceBook::parse(&text)
        .map_err(|error| CliError::input(format!("{}: {error}", path.display())))?;
    Ok(text)
}

/// `--max-cost`: a decimal number of USD.
pub fn max_cost(given: Option<&str>) -> Result<Option<String>, CliError> {
    let Some(text) = given else { return Ok(None) };
    match text.parse::<rust_decimal::Decimal>() {
        Ok(limit) if limit.is_sign_positive() && !limit.is_zero() => Ok(Some(limit.to_string())),
        _ => Err(CliError::input(format!("--max-cost: found '{text}', expected USD above 0, such as 2.50"))),
    }
}

/// Makes sure that a run's directory can be written, before anything is stood up for it.
pub fn check_writable() -> Result<(), CliError> {
    let dir = runs_dir();
    let probe = std::fs::create_dir_all(&dir)
        .and_then(|()| tempfile::Builder::new().prefix(".probe").tempfile_in(&dir));
    probe.map(drop).map_err(|error| SessionError::Unwritable { path: dir, error }.into())
}

/// A run directory from a run id or a path.
pub fn run_dir(run: &Path) -> Result<PathBuf, CliError> {
    let by_id = runs_dir().join(run);
    for candidate in [run.to_path_buf(), by_id.clone(), rehearsals_dir().join(run)] {
        if candidate.join("run.json").is_file() {
            return Ok(candidate);
        }
    }
    // A directory of a run that lost its run.json, or never had one, is told from none at all.
    if let Some(Err(error)) = [run, by_id.as_path()]
        .into_iter()
        .find(|path| path.is_dir())
        .map(crate::evidence::rundir::RunDir::open)
    {
        return Err(CliError::input(error.to_string()));
    }
    let mut known: Vec<String> = std::fs::read_dir(runs_dir())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    known.sort();
    let error = CliError::input(format!("no run at {} or {}", run.display(), by_id.display()));
    Err(match known.last() {
        Some(latest) => error.hint(format!("the latest of {} runs here is {latest}", known.len())),
        None => error.hint("there are no runs here yet; `streamgauge test PLAN` makes one"),
    })
}

/// Which tests of the plan to run, by their index; all when nothing is asked for.
pub fn select(
    plan: &Plan,
    week: Option<u32>,
    phase: Option<usize>,
    ids: &[String],
) -> Result<Vec<usize>, CliError> {
    let known: Vec<&str> = plan.tests().map(|test| test.id.as_str()).collect();
    if let Some(unknown) = ids.iter().find(|id| !known.contains(&id.as_str())) {
        return Err(CliError::input(format!(
            "--test: found '{unknown}', expected one of {}",
            known.join(", ")
        )));
    }
    let mut selected = Vec::new();
    let mut index = 0;
    for (phase_index, a_phase) in plan.phases.iter().enumerate() {
        for test in &a_phase.tests {
            let wanted = week.is_none_or(|week| a_phase.week == week)
                && phase.is_none_or(|phase| phase_index + 1 == phase)
                && (ids.is_empty() || ids.contains(&test.id));
            if wanted {
                selected.push(index);
            }
            index += 1;
        }
    }
    if selected.is_empty() {
        return Err(CliError::input(format!(
            "no test of '{}' is in that week and phase; it has {} phases",
            plan.name,
            plan.phases.len()
        )));
    }
    Ok(selected)
}
