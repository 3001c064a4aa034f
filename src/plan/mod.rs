//! A plan: YAML in, a validated [`Plan`] or errors with positions out. Pure: no files of its own (what a plan
//! names is read through [`ReadFile`]), no clock, no async.
//!
//! Text becomes a tree of nodes that know where they stand (`tree`); the tree becomes the plan as typed
//! (`typed`, through serde); that becomes the plan as meant ([`model`], by `resolve`). Each step reports
//! everything that it can find, so that a plan is mended in one go.

mod action;
pub mod compare;
mod criterion;
mod de;
mod errors;
mod files;
mod metric;
pub mod model;
pub mod payload;
mod rehearsal;
mod resolve;
mod resolve_account;
mod resolve_action;
mod resolve_environment;
mod resolve_existing;
mod resolve_shapes;
mod resolve_test;
mod series;
mod settings;
mod shapes;
mod spread;
mod tree;
mod typed;
mod typed_action;
mod typed_environment;
mod typed_shapes;
mod units;
mod users;
mod written;

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod action_tests;
#[cfg(test)]
mod docs_tests;
#[cfg(test)]
mod existing_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod settings_tests;
#[cfg(test)]
mod shapes_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod users_tests;

pub use errors::{Errors, PlanError};
pub use files::{NoFiles, PlanFile, ReadFile};
pub use model::*;
pub use payload::{EnvelopePath, Payload};
pub use rehearsal::{COLD_START_MAX, Rehearsal};
pub use resolve_existing::{Existing, PipelineSource, is_function, is_stream};
pub use settings::{Setting, full_path, short_key};
pub use typed::json_schema;
pub use units::{DURATION_EXPECTED, duration};
pub use users::Users;

/// What `schema:` must say.
pub const SCHEMA: &str = "streamgauge/plan/v1";
/// Bytes of a plan's text. The four-week plan has about 10 KB.
pub const TEXT_MAX_BYTES: usize = 1_048_576;
/// Bytes of the smallest payload: the envelope with its largest numbers. `load::payload::min_bytes` computes
/// it; a test there compares.
pub const PAYLOAD_MIN_BYTES: usize = 98;
/// Bytes of a partition key (`key-000123`). They count towards the record's size. `load::keys` agrees by test.
pub const PARTITION_KEY_BYTES: usize = 10;
/// Distinct partition keys: as many as six digits can tell apart.
pub const KEYS_MAX: u32 = 1_000_000;
/// Levels (stages) of a whole plan: level indexes stay below that of the readiness probes.
pub const LEVELS_MAX: usize = 999;

/// Reads a plan from bytes, which must be UTF-8, and the files that it names.
pub fn parse_bytes(bytes: &[u8], files: &dyn ReadFile) -> Result<Plan, Errors> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_with(text, files),
        Err(error) => Err(Errors::single(not_utf8(bytes, error.valid_up_to()))),
    }
}

fn not_utf8(bytes: &[u8], valid_up_to: usize) -> PlanError {
    let valid = String::from_utf8_lossy(&bytes[..valid_up_to]);
    let line = valid.matches('\n').count() + 1;
    let column = valid.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    PlanError {
        file: None,
        position: Position { line, column },
        field: errors::ROOT.to_owned(),
        found: format!("the byte 0x{:02x}, which is not UTF-8", bytes[valid_up_to]),
        expected: "UTF-8 text".to_owned(),
    }
}

impl Default for Environment {
    /// What a plan without `environment:` gets.
    fn default() -> Environment {
        resolve::Resolver::default_environment()
    }
}

/// Reads a plan that names no files. On errors: all that are independent of each other, in the order of the text.
pub fn parse(text: &str) -> Result<Plan, Errors> {
    parse_with(text, &NoFiles)
}

/// Reads a plan and the files that it names. On errors: all that are independent of each other, those in the
/// plan's text first, in its order, then those in the files.
pub fn parse_with(text: &str, files: &dyn ReadFile) -> Result<Plan, Errors> {
    if text.len() > TEXT_MAX_BYTES {
        return Err(Errors::single(PlanError {
            file: None,
            position: Position { line: 1, column: 1 },
            field: errors::ROOT.to_owned(),
            found: format!("{} bytes", text.len()),
            expected: format!("a plan of at most {TEXT_MAX_BYTES} bytes"),
        }));
    }
    // A byte order mark is no content, and no column either.
    let content = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut root, mut errors) = match tree::build(content) {
        Ok(built) => built,
        Err(fatal) => return Err(Errors::new(fatal, content)),
    };
    let typed = de::read::<typed::PlanDoc>(&mut root, &mut errors);
    let plan = typed.map(|document| resolve::resolve(document, &root, text, files, &mut errors));
    match plan {
        Some(plan) if errors.is_empty() => Ok(plan),
        _ => Err(Errors::new(errors, content)),
    }
}
