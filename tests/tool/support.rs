//! What the tests of the whole tool share: a working directory of their own, the binary, its reports.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Two loads at once on a small machine would measure each other.
static ONE_LOAD: Mutex<()> = Mutex::new(());

/// An empty working directory with plans in it.
pub struct Bench {
    dir: tempfile::TempDir,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Bench {
    pub fn new() -> Bench {
        Bench { dir: tempfile::tempdir().unwrap(), _alone: None }
    }

    /// For a test that puts load on: no other such test runs beside it.
    pub fn alone() -> Bench {
        // A test that failed has said so itself.
        let alone = ONE_LOAD.lock().unwrap_or_else(PoisonError::into_inner);
        Bench { dir: tempfile::tempdir().unwrap(), _alone: Some(alone) }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `streamgauge ARGS` in this directory. The environment cannot lead it to AWS.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_streamgauge"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        // Set on purpose: with --target local nothing may use them.
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("HTTP_PROXY", "http://127.0.0.1:9");
        command.env("TMPDIR", self.dir.path());
        command
    }

    pub fn run(&self, args: &[&str]) -> Done {
        Done::new(self.command(args).output().unwrap())
    }

    /// The run directories, oldest first.
    pub fn runs(&self) -> Vec<PathBuf> {
        let mut runs: Vec<PathBuf> = std::fs::read_dir(self.dir.path().join(".streamgauge/runs"))
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        runs.sort();
        runs
    }

    pub fn last_run(&self) -> PathBuf {
        self.runs().pop().expect("a run directory")
    }

    /// Temporary folders of endpoints that are still there.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("streamgauge-"))
            .collect()
    }
}

pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn new(output: Output) -> Done {
        Done {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails with everything that was printed.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Done {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

/// report.json of a run directory, checked against its schema.
pub fn report(run: &Path) -> Value {
    let text = std::fs::read_to_string(run.join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    check_schema(&report);
    report
}

pub fn check_schema(report: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/report-v1.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(report).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "report.json against its schema:\n{}", errors.join("\n"));
}

/// Polls until `probe` gives something; fails after `bound`.
#[track_caller]
pub fn wait_for<T>(what: &str, bound: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    #[expect(
        clippy::disallowed_methods,
        reason = "a bounded wait on another process, which no clock of ours can drive"
    )]
    let now = Instant::now;
    let ends = now() + bound;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(now() < ends, "{what}: not within {bound:?}");
        #[expect(clippy::disallowed_methods, reason = "polling another process has nothing to await")]
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Processes whose executable or arguments lie under `dir`.
pub fn processes_under(dir: &Path) -> Vec<String> {
    let needle = dir.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let exe = std::fs::read_link(entry.path().join("exe")).unwrap_or_default();
        let cmdline = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let cmdline = String::from_utf8_lossy(&cmdline).replace('\0', " ");
        if exe.to_string_lossy().contains(&needle) || cmdline.contains(&needle) {
            found.push(format!("{}: {cmdline}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

/// A plan of one test: `rps` for `hold`, after a one-second ramp.
pub fn plan(rps: u32, hold: &str, criteria: &[&str]) -> String {
    let criteria: String = criteria.iter().map(|text| format!("          - {text}\n")).collect();
    format!(
        "schema: streamgauge/plan/v1
name: small
drain: 30s
environment:
  stream: {{shards: 1}}
phases:
  - name: Only
    week: 1
    tests:
      - id: \"1\"
        name: One level
        payload: medium
        stages:
          - {{duration: 1s, target: {rps}}}
          - {{duration: {hold}, target: {rps}}}
        criteria:
{criteria}"
    )
}
