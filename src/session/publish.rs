//! From a run directory to its reports: a pure function of the directory's files, so that it can be made
//! again at any time and comes out the same.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cost::{self, PriceBook};
use crate::evidence::gaps::Source;
use crate::evidence::{self, model::Evidence};
use crate::report::{self, ReportModel};
use crate::verdict::{self, Findings, Verdict};

use super::SessionError;

pub struct Published {
    pub model: ReportModel,
    pub overall: Verdict,
    /// The files that were written.
    pub files: Vec<PathBuf>,
}

/// A run directory, read and worked out.
pub struct Worked {
    pub evidence: Evidence,
    /// The run's own price book.
    pub book: PriceBook,
    pub findings: Findings,
    pub model: ReportModel,
    pub overall: Verdict,
}

/// Reads `dir` and works the report out; writes nothing.
///
/// # Errors
/// The evidence or the price book cannot be read.
pub fn work_out(dir: &Path) -> Result<Worked, SessionError> {
    let mut evidence = evidence::load(dir)?;
    let book = book(dir, &mut evidence)?;
    let mut cost = cost::price(&evidence.usage, &book);
    if USED.iter().any(|source| evidence.gaps.is_lost(*source)) {
        // What is not known was not free.
        cost.pipeline.incomplete = true;
        cost.test.incomplete = true;
        cost.per_million_records = None;
    }
    let verdicts = verdict::judge(&evidence, &cost);
    let findings = verdict::findings(&evidence, &book, &verdicts);
    let model = report::build(&evidence, &cost, &verdicts, &findings);
    Ok(Worked { model, overall: verdicts.overall, evidence, book, findings })
}

/// The files that tell what a run used.
const USED: [Source; 4] = [Source::Environment, Source::Events, Source::Sends, Source::Receipts];

/// The run's own prices, or, where they are missing or damaged, those built in, with a note that says so.
///
/// # Errors
/// The file is there and cannot be opened.
fn book(dir: &Path, evidence: &mut Evidence) -> Result<PriceBook, SessionError> {
    let path = dir.join("prices.yaml");
    let how = match std::fs::read(&path) {
        Ok(bytes) if bytes.is_empty() => "is empty".to_owned(),
        // Cut short, it may still be YAML, with a digit of a price missing.
        Ok(bytes) if bytes.last() != Some(&b'\n') => "is torn: its last line has no end".to_owned(),
        Ok(bytes) => match PriceBook::parse(&String::from_utf8_lossy(&bytes)) {
            Ok(book) => return Ok(book),
            Err(error) => format!("cannot be read ({error})"),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "is missing".to_owned(),
        Err(error) => return Err(SessionError::Unreadable { path, error: error.to_string() }),
    };
    let note = evidence.gaps.lost(Source::Prices, &how);
    evidence.notes.push(format!("{note}; those built in stand in for them"));
    PriceBook::parse(cost::BUILTIN_PRICES)
        .map_err(|error| SessionError::Unreadable { path, error: error.to_string() })
}

/// The verdict of one test of the run in `dir`: the report's where there is one, otherwise worked out. `None` where it
/// cannot be, or where the test did not finish.
pub fn verdict_of_test(dir: &Path, id: &str) -> Option<Verdict> {
    let kept = std::fs::read(dir.join("report.json")).ok();
    let kept = kept.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
    if let Some(test) =
        kept.and_then(|kept| kept.tests.into_iter().find(|test| test.id == id && test.finished))
    {
        return Some(test.verdict);
    }
    let Worked { model, .. } = work_out(dir).ok()?;
    model.tests.iter().find(|test| test.id == id && test.finished).map(|test| test.verdict)
}

/// What is read of a report.json.
#[derive(serde::Deserialize)]
struct Kept {
    tests: Vec<KeptTest>,
}

#[derive(serde::Deserialize)]
struct KeptTest {
    id: String,
    finished: bool,
    verdict: Verdict,
}

/// Reads `dir`, works the report out, and writes every format into `dir`.
///
/// # Errors
/// The evidence cannot be read, or a file cannot be written.
pub fn publish(dir: &Path) -> Result<Published, SessionError> {
    let (published, unwritten) = publish_if_writable(dir)?;
    unwritten.map_or(Ok(published), Err)
}

/// The same; a report that was worked out and could not be written is handed back all the same, with why.
///
/// # Errors
/// The evidence cannot be read.
pub fn publish_if_writable(dir: &Path) -> Result<(Published, Option<SessionError>), SessionError> {
    let Worked { model, overall, .. } = work_out(dir)?;
    let (files, unwritten) = match write_reports(dir, &model) {
        Ok(files) => (files, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    Ok((Published { overall, model, files }, unwritten))
}

/// Writes every format into `dir`; the files.
///
/// # Errors
/// One of them cannot be written.
pub fn write_reports(dir: &Path, model: &ReportModel) -> Result<Vec<PathBuf>, SessionError> {
    let formats = [
        ("report.json", report::json(model)),
        ("report.md", report::markdown(model)),
        ("summary.md", report::short(model)),
        ("report.html", report::html(model)),
        ("levels.csv", report::csv(model)),
        ("junit.xml", report::junit(model, false)),
    ];
    let mut files = Vec::new();
    for (name, text) in formats {
        let path = dir.join(name);
        write_whole(&path, &text).map_err(|error| SessionError::Unwritable { path: path.clone(), error })?;
        files.push(path);
    }
    Ok(files)
}

/// Writes a file whole or not at all, so that a full disk does not leave half a report.
pub fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    // Two processes may report on one run at the same time.
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut file = std::fs::File::create(&temporary)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    match written {
        Ok(()) => std::fs::rename(&temporary, path),
        Err(error) => {
            let _ = std::fs::remove_file(&temporary);
            Err(error)
        }
    }
}
