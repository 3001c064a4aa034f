//! The run directory: where its files are, and the three that are written once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::EvidenceError;
use super::events::EventLog;
use super::gaps::Source;
use super::model::EnvironmentInfo;
use super::plausible::{Plausible, is_time_us};
use super::pulled::Pulled;
use crate::plan::{PlanFile, ReadFile};
use crate::platform::clock::WallUs;
use crate::wire::run_id::RunId;

const RUN_VERSION: u32 = 1;

/// `run.json`: what was to be done, by what, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    pub v: u32,
    pub id: RunId,
    pub started_us: WallUs,
    pub tool_version: String,
    /// `local` or `aws`.
    pub target: String,
    pub region: String,
    pub environment: String,
    pub host: String,
    pub rehearsal: bool,
    /// What a rehearsal assumes in place of a measurement, a sentence each; empty for a run.
    #[serde(default)]
    pub assumptions: Vec<String>,
    /// The faults that were planted in the local endpoint, as `--fault` writes them.
    #[serde(default)]
    pub faults: Vec<String>,
    /// The run before it in its campaign.
    pub parent: Option<RunId>,
    /// Counts the runs of a folder from 1, so that the newest is known although a wall clock was set back; 0 in
    /// runs from before it was kept.
    #[serde(default)]
    pub number: u64,
    pub plan_name: String,
    /// SHA-256 of the plan's text and of the files that it names, hex.
    pub plan_hash: String,
    /// The plan's text, whole.
    pub plan_text: String,
    /// The files that the plan names: SHA-256 (hex) of each, by the name that the plan has for it. Their content
    /// is in `files/`, under that hash.
    #[serde(default)]
    pub plan_files: BTreeMap<String, String>,
}

impl RunHeader {
    pub const VERSION: u32 = RUN_VERSION;
}

/// A run directory. Cheap to clone: it is a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

macro_rules! files {
    ($($(#[$doc:meta])* $method:ident = $name:literal;)*) => {
        $($(#[$doc])* pub fn $method(&self) -> PathBuf { self.path.join($name) })*
    };
}

impl RunDir {
    /// Creates `<root>/<run>`; `root` is `.streamgauge/runs`.
    ///
    /// # Errors
    /// It is there already, or cannot be created.
    pub fn create(root: &Path, run: &RunId) -> Result<RunDir, EvidenceError> {
        let path = root.join(run.as_str());
        std::fs::create_dir_all(root).map_err(EvidenceError::io(root))?;
        std::fs::create_dir(&path).map_err(EvidenceError::io(&path))?;
        Ok(RunDir { path })
    }

    /// Opens the directory of a run.
    ///
    /// # Errors
    /// There is no `run.json` in it; the error says what there is.
    pub fn open(path: &Path) -> Result<RunDir, EvidenceError> {
        let dir = RunDir { path: path.to_owned() };
        let run_json = dir.run_json();
        match std::fs::metadata(&run_json) {
            Ok(_) => Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.is_dir() => {
                Err(EvidenceError::NoRun { path: path.to_owned(), found: dir.evidence_found() })
            }
            Err(error) => Err(EvidenceError::io(&run_json)(error)),
        }
    }

    /// The files of a run that are there, by name.
    fn evidence_found(&self) -> Vec<&'static str> {
        let names = Source::ALL.map(Source::file);
        names.into_iter().filter(|name| self.path.join(name).is_file()).collect()
    }

    /// The runs under `root`, oldest first. None when there is no such directory.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(root: &Path) -> Result<Vec<RunId>, EvidenceError> {
        let entries = match std::fs::read_dir(root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(EvidenceError::io(root)(error)),
        };
        let mut runs = Vec::new();
        for entry in entries {
            let entry = entry.map_err(EvidenceError::io(root))?;
            if let Some(run) = entry.file_name().to_str().and_then(|name| name.parse().ok())
                && entry.path().join("run.json").is_file()
            {
                runs.push(run);
            }
        }
        runs.sort();
        Ok(runs)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the files that the plan names are kept.
    pub fn files(&self) -> PathBuf {
        self.path.join("files")
    }

    files! {
        run_json = "run.json";
        environment_json = "environment.json";
        prices_yaml = "prices.yaml";
        events_jsonl = "events.jsonl";
        /// Per second: highest sequence, failed and pending exceptions, counters (`sends::SendsLine`).
        sends_jsonl = "sends.jsonl";
        receipts_jsonl = "receipts.jsonl";
        /// HdrHistogram interval log V2, microseconds, tag `level/metric`.
        intervals_hlog = "intervals.hlog";
        series_csv = "series.csv";
        metrics_csv = "metrics.csv";
        metrics_json = "metrics.json";
    }

    /// # Errors
    /// The file cannot be written.
    pub fn write_run(&self, header: &RunHeader) -> Result<(), EvidenceError> {
        self.write_json(&self.run_json(), header)
    }

    /// What stood while the run was made. May be written again when more is known (`down_us`).
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_environment(&self, environment: &EnvironmentInfo) -> Result<(), EvidenceError> {
        self.write_json(&self.environment_json(), environment)
    }

    /// The price book that the run is costed with.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_prices(&self, yaml: &str) -> Result<(), EvidenceError> {
        // A file that ends within a line is taken for one that was cut off.
        let end = if yaml.ends_with('\n') { "" } else { "\n" };
        replace(&self.prices_yaml(), format!("{yaml}{end}").as_bytes())
    }

    /// # Errors
    /// The file cannot be written.
    pub fn write_metrics(&self, pulled: &Pulled) -> Result<(), EvidenceError> {
        self.write_json(&self.metrics_json(), pulled)
    }

    /// Keeps the files that the plan names, each under its SHA-256: a name of the user's could lead out of here.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write_files(&self, files: &BTreeMap<String, PlanFile>) -> Result<(), EvidenceError> {
        if files.is_empty() {
            return Ok(());
        }
        let folder = self.files();
        std::fs::create_dir_all(&folder).map_err(EvidenceError::io(&folder))?;
        files.values().try_for_each(|file| replace(&folder.join(&file.sha256), &file.content))
    }

    fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<(), EvidenceError> {
        let mut text = serde_json::to_vec_pretty(value)
            .map_err(|error| EvidenceError::content(path, error.to_string()))?;
        text.push(b'\n');
        replace(path, &text)
    }

    /// # Errors
    /// It is missing, or not what it should be.
    pub fn read_run(&self) -> Result<RunHeader, EvidenceError> {
        let path = self.run_json();
        let bytes = std::fs::read(&path).map_err(EvidenceError::io(&path))?;
        // The version first: what a newer one has beside it may be of any form.
        let damaged = |error: serde_json::Error| EvidenceError::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        };
        let stamp: Stamp = serde_json::from_slice(&bytes).map_err(damaged)?;
        newest(&path, stamp.v, RUN_VERSION, stamp.tool_version.as_deref())?;
        let header: RunHeader = serde_json::from_slice(&bytes).map_err(damaged)?;
        if !is_time_us(header.started_us) {
            let reason = "it began at no time".to_owned();
            return Err(EvidenceError::Damaged { path, reason });
        }
        Ok(header)
    }

    /// Missing before the environment stood.
    ///
    /// # Errors
    /// It cannot be opened, or is of a newer version.
    pub fn read_environment(&self) -> Result<Kept<EnvironmentInfo>, EvidenceError> {
        let path = self.environment_json();
        let environment: Kept<EnvironmentInfo> = read_json(&path)?;
        if let Kept::Whole(found) = &environment {
            newest(&path, found.v, EnvironmentInfo::VERSION, None)?;
            if !found.is_plausible() {
                return Ok(Kept::Damaged("it describes no environment".to_owned()));
            }
        }
        Ok(environment)
    }

    /// Missing before metrics were pulled.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn read_metrics(&self) -> Result<Kept<Pulled>, EvidenceError> {
        Ok(match read_json::<Pulled>(&self.metrics_json())? {
            Kept::Whole(pulled) if !pulled.is_plausible() => {
                Kept::Damaged("no service gave such numbers".to_owned())
            }
            other => other,
        })
    }

    /// # Errors
    /// The log cannot be opened.
    pub fn event_log(&self) -> Result<EventLog, EvidenceError> {
        EventLog::open(&self.events_jsonl())
    }
}

/// The files that a run's plan names, from its directory.
pub struct KeptFiles<'r> {
    pub dir: &'r RunDir,
    pub header: &'r RunHeader,
}

impl ReadFile for KeptFiles<'_> {
    fn read(&self, name: &str, max_bytes: usize) -> Result<Bytes, String> {
        let sha256 = self.header.plan_files.get(name).ok_or("run.json does not name it")?;
        // run.json may have been written by anybody; a hash is no way out of the folder.
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("run.json has '{sha256}' for its SHA-256"));
        }
        let path = self.dir.files().join(sha256);
        let read = || -> std::io::Result<Vec<u8>> {
            let mut content = Vec::new();
            File::open(&path)?.take(max_bytes as u64 + 1).read_to_end(&mut content)?;
            Ok(content)
        };
        let content = read().map_err(|error| format!("{}: {error}", path.display()))?;
        let kept = PlanFile::new(content.into());
        if kept.sha256 != *sha256 {
            return Err(format!("{} is not the file that was run: its SHA-256 is another", path.display()));
        }
        Ok(kept.content)
    }
}

/// A file that is written once, as it is found later.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept<T> {
    Whole(T),
    Missing,
    /// Empty, torn or something else, and why.
    Damaged(String),
}

impl<T> Kept<T> {
    pub fn ok(self) -> Option<T> {
        match self {
            Kept::Whole(value) => Some(value),
            Kept::Missing | Kept::Damaged(_) => None,
        }
    }
}

/// What every version of `run.json` begins with.
#[derive(Deserialize)]
struct Stamp {
    v: u32,
    tool_version: Option<String>,
}

/// Older formats are read as far as they go; a newer one may mean anything.
fn newest(path: &Path, v: u32, known: u32, tool_version: Option<&str>) -> Result<(), EvidenceError> {
    if v <= known {
        return Ok(());
    }
    let writer =
        tool_version.map_or_else(|| "a newer one".to_owned(), |version| format!("streamgauge {version}"));
    let reason = format!("format {v}, written by {writer}; this version reads formats up to {known}");
    Err(EvidenceError::Newer { path: path.to_owned(), reason })
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Kept<T>, EvidenceError> {
    match std::fs::read(path) {
        Ok(bytes) if bytes.is_empty() => Ok(Kept::Damaged("it is empty".to_owned())),
        Ok(bytes) => Ok(match serde_json::from_slice(&bytes) {
            Ok(value) => Kept::Whole(value),
            Err(error) => Kept::Damaged(error.to_string()),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Kept::Missing),
        Err(error) => Err(EvidenceError::io(path)(error)),
    }
}

/// Writes beside and renames, so that a reader finds the old content or the new, never half of one.
fn replace(path: &Path, content: &[u8]) -> Result<(), EvidenceError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(EvidenceError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_directory_is_created_once_listed_and_read_back() {
        let root = tempfile::tempdir().expect("tempdir");
        let run: RunId = "20261121-013240-k3f9".parse().expect("well formed");
        assert_eq!(RunDir::list(&root.path().join("none")).expect("empty"), []);
        let dir = RunDir::create(root.path(), &run).expect("create");
        assert!(RunDir::create(root.path(), &run).is_err(), "never two runs in one directory");
        assert_eq!(RunDir::list(root.path()).expect("list"), [], "without run.json it is not a run");
        assert!(RunDir::open(dir.path()).is_err());

        let header = RunHeader {
            v: RunHeader::VERSION,
            id: run.clone(),
            started_us: 1,
            tool_version: "0.1.0".into(),
            target: "local".into(),
            region: "us-east-1".into(),
            environment: "dev".into(),
            host: "h".into(),
            rehearsal: false,
            assumptions: Vec::new(),
            faults: vec!["drop:count=1".into()],
            parent: None,
            number: 1,
            plan_name: "quickstart".into(),
            plan_hash: "00".into(),
            plan_text: "schema: streamgauge/plan/v1\n".into(),
            plan_files: BTreeMap::new(),
        };
        dir.write_run(&header).expect("write");
        assert_eq!(RunDir::list(root.path()).expect("list"), [run]);
        let dir = RunDir::open(dir.path()).expect("open");
        assert_eq!(dir.read_run().expect("read"), header);
        assert_eq!(dir.read_environment().expect("none").ok().map(|found| found.shards), None);
        dir.write_environment(&EnvironmentInfo {
            shards: 2,
            stream_mode: "provisioned".into(),
            ..EnvironmentInfo::default()
        })
        .expect("write");
        assert_eq!(dir.read_environment().expect("read").ok().map(|found| found.shards), Some(2));
        let newer = EnvironmentInfo { v: EnvironmentInfo::VERSION + 1, ..EnvironmentInfo::default() };
        dir.write_environment(&newer).expect("write");
        assert!(dir.read_environment().expect_err("newer").to_string().contains("this version reads"));
        dir.write_run(&RunHeader { v: 9, ..header }).expect("write");
        assert!(dir.read_run().expect_err("newer").to_string().contains("format 9"));
    }
}
