//! Real processes: shell scripts that speak the Runtime API with curl.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::ProcessHost;
use crate::local::faults::Faults;
use crate::local::lambda::host::FunctionHost;
use crate::local::lambda::testing::{Stage, zip_of};
use crate::platform::clock::Clock;

/// Answers every event with what it knows; does as `do` in the event says.
const BOOTSTRAP: &str = r#"#!/bin/sh
echo "init on $AWS_LAMBDA_FUNCTION_NAME"
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while :; do
  head="$TMPDIR/head"
  event=$(curl -sf -D "$head" "$api/invocation/next") || exit 7
  id=$(tr -d '\r' < "$head" | sed -n 's/^lambda-runtime-aws-request-id: //Ip')
  case $event in
    *crash*) exit 42 ;;
    *child*) sleep 600 & ;;
    *hog*) hog=$(head -c 2000000000 /dev/zero | tr '\0' x); sleep 600 ;;
    *hang*) echo "hanging"; sleep 600 ;;
    *fail*) curl -sf "$api/invocation/$id/error" -d '{"errorType":"Bad","errorMessage":"asked to"}' > /dev/null; continue ;;
  esac
  echo "seen $id" >&2
  printf '{"pid":%s,"own":"%s","leak":"%s","endpoint":"%s","event":%s}' \
    $$ "$OWN" "$CARGO_MANIFEST_DIR" "$AWS_ENDPOINT_URL" "$event" > "$TMPDIR/answer"
  curl -sf "$api/invocation/$id/response" --data-binary "@$TMPDIR/answer" > /dev/null
done
"#;

fn has_curl() -> bool {
    std::process::Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success())
}

struct Processes {
    stage: Stage,
    host: Arc<ProcessHost>,
    work_dir: tempfile::TempDir,
}

impl Processes {
    async fn new(bootstrap: &str, more: Value) -> Processes {
        let work_dir = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let endpoint = Arc::new(OnceLock::new());
        let host = Arc::new(ProcessHost::new(clock, work_dir.path().to_owned(), endpoint.clone(), 3));
        endpoint.set("http://127.0.0.1:4566".to_owned()).unwrap();
        let stage = Stage::new(clock, host.clone(), Faults::none());
        stage.create_function(&zip_of("bootstrap", bootstrap), more).await;
        Processes { stage, host, work_dir }
    }

    async fn invoke(&self, event: Value) -> (Value, bool) {
        let input = json!({"FunctionName": "f", "Payload": STANDARD.encode(event.to_string())});
        let answer = self.stage.call("Invoke", input).await.unwrap();
        let payload = STANDARD.decode(answer["Payload"].as_str().unwrap()).unwrap();
        (serde_json::from_slice(&payload).unwrap(), answer["FunctionError"] == "Unhandled")
    }

    /// Shuts down and checks that no process that ran from the work folder, and no file, is left.
    async fn end(self) -> Stage {
        let folder: PathBuf = self.work_dir.path().canonicalize().unwrap();
        self.stage.lambda.shutdown().await;
        assert_eq!(processes_in(&folder), Vec::<String>::new());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "the folder is empty");
        self.stage
    }
}

/// Processes, zombies left out, whose working directory is under the folder.
fn processes_in(folder: &std::path::Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let inside = |entry: &std::fs::DirEntry| {
        let cwd = std::fs::read_link(entry.path().join("cwd")).ok()?;
        cwd.starts_with(folder).then(|| entry.file_name().to_string_lossy().into_owned())
    };
    entries.flatten().filter_map(|entry| inside(&entry)).collect()
}

#[tokio::test]
async fn a_bootstrap_runs_warm_and_cold_in_a_clean_environment() {
    if !has_curl() {
        eprintln!("NOT RUN: no curl");
        return;
    }
    let environment =
        json!({"Environment": {"Variables": {"OWN": "mine", "AWS_ENDPOINT_URL_SQS": "http://elsewhere"}}});
    let run = Processes::new(BOOTSTRAP, environment).await;
    let (first, failed) = run.invoke(json!({"n": 1})).await;
    assert!(!failed);
    assert_eq!(
        (&first["own"], &first["leak"], &first["event"]["n"]),
        (&json!("mine"), &json!(""), &json!(1))
    );
    assert_eq!(first["endpoint"], "http://127.0.0.1:4566");
    let (second, _) = run.invoke(json!({"n": 2})).await;
    assert_eq!(second["pid"], first["pid"], "warm");
    let (both, other) = tokio::join!(run.invoke(json!({"n": 3})), run.invoke(json!({"n": 4})));
    assert_ne!(both.0["pid"], other.0["pid"], "two at once need two sandboxes");
    let update = json!({"FunctionName": "f", "MemorySize": 256});
    run.stage.call("UpdateFunctionConfiguration", update).await.unwrap();
    let (third, _) = run.invoke(json!({"n": 5})).await;
    assert_ne!(third["pid"], first["pid"], "a changed function starts cold");
    let (error, failed) = run.invoke(json!("fail")).await;
    assert!(failed);
    assert_eq!(error, json!({"errorType": "Bad", "errorMessage": "asked to"}));
    let stage = run.end().await;
    let lines = stage.logs.lines();
    assert!(lines.iter().any(|line| line == "init on f"));
    let reports: Vec<_> = lines.iter().filter(|line| line.starts_with("REPORT ")).collect();
    assert_eq!(reports.len(), 6);
    assert_eq!(reports.iter().filter(|line| line.contains("\tInit Duration: ")).count(), 3);
    if cfg!(target_os = "linux") {
        assert!(reports.iter().all(|line| line.contains("\tMax Memory Used: ")), "{reports:?}");
    }
    let groups: Vec<_> =
        stage.logs.of("PutLogEvents").iter().map(|put| put["logGroupName"].clone()).collect();
    assert!(groups.iter().all(|group| group == "/aws/lambda/f"));
    // What the function printed stands between the START and the END of its invocation.
    let seen = lines.iter().position(|line| line.starts_with("seen ")).unwrap();
    assert!(lines[seen - 1].starts_with("START ") && lines[seen + 1].starts_with("END "), "{lines:#?}");
}

#[tokio::test]
async fn crashes_and_timeouts_end_the_sandbox_and_say_so() {
    if !has_curl() {
        eprintln!("NOT RUN: no curl");
        return;
    }
    let run = Processes::new(BOOTSTRAP, json!({"Timeout": 1})).await;
    let (crashed, failed) = run.invoke(json!("crash")).await;
    assert!(failed);
    assert_eq!(crashed["errorType"], "Runtime.ExitError");
    assert!(
        crashed["errorMessage"]
            .as_str()
            .unwrap()
            .ends_with("Error: Runtime exited with error: exit status 42")
    );
    let (late, failed) = run.invoke(json!("hang")).await;
    assert!(failed && late["errorMessage"].as_str().unwrap().ends_with("Task timed out after 1.00 seconds"));
    let (fine, failed) = run.invoke(json!("child")).await;
    assert!(!failed, "{fine}");
    assert!(
        !processes_in(&run.work_dir.path().canonicalize().unwrap()).is_empty() || !cfg!(target_os = "linux")
    );
    let stage = run.end().await;
    let lines = stage.logs.lines();
    assert!(lines.iter().any(|line| line.ends_with("Status: error\tError Type: Runtime.ExitError")));
    assert!(lines.iter().any(|line| line.ends_with("Status: timeout")));
    assert_eq!(stage.metrics.of("Errors", "FunctionName"), [1.0, 1.0, 0.0]);
}

#[tokio::test]
async fn init_that_fails_fails_the_invocation() {
    let run = Processes::new("#!/bin/sh\necho no; exit 3\n", json!({})).await;
    let (error, failed) = run.invoke(json!({})).await;
    assert!(failed && error["errorType"] == "Runtime.ExitError", "{error}");
    let stage = run.end().await;
    let lines = stage.logs.lines();
    assert_eq!(lines.iter().filter(|line| *line == "no").count(), 2, "it is started once more");
    let inits: Vec<_> = lines.iter().filter(|line| line.starts_with("INIT_REPORT ")).collect();
    assert_eq!(inits.len(), 2);
    assert!(inits[0].contains("Phase: init\tStatus: error"), "{inits:?}");
    assert!(inits[1].contains("Phase: invoke\tStatus: error"), "{inits:?}");
    let report = lines.iter().find(|line| line.starts_with("REPORT ")).unwrap();
    assert!(!report.contains("Init Duration"), "{report}");
    let run = Processes::new("not a program", json!({})).await;
    let (error, failed) = run.invoke(json!({})).await;
    assert!(failed && error["errorType"] == "Runtime.InvalidEntrypoint", "{error}");
    run.end().await;
}

#[tokio::test]
async fn an_init_that_fails_once_delays_the_invocation_only() {
    if !has_curl() {
        eprintln!("NOT RUN: no curl");
        return;
    }
    let mark = tempfile::tempdir().unwrap();
    let fails_once = BOOTSTRAP.replacen("echo \"init", "mkdir \"$MARK/seen\" && exit 9\necho \"init", 1);
    let environment = json!({"Environment": {"Variables": {"MARK": mark.path()}}});
    let run = Processes::new(&fails_once, environment).await;
    let (answer, failed) = run.invoke(json!({"n": 1})).await;
    assert!(!failed, "{answer}");
    let (again, _) = run.invoke(json!({"n": 2})).await;
    assert_eq!(again["pid"], answer["pid"], "the second sandbox stays");
    let lines = run.end().await.logs.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("INIT_REPORT ")).count(), 1);
    assert_eq!(lines.iter().filter(|line| line.starts_with("START ")).count(), 2);
    assert!(lines.iter().all(|line| !line.contains("\tInit Duration: ")), "{lines:#?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_function_beyond_its_memory_is_killed() {
    if !has_curl() {
        eprintln!("NOT RUN: no curl");
        return;
    }
    let run = Processes::new(BOOTSTRAP, json!({"Timeout": 120, "MemorySize": 128})).await;
    let (error, failed) = run.invoke(json!("hog")).await;
    assert!(failed && error["errorType"] == "Runtime.ExitError", "{error}");
    assert!(error["errorMessage"].as_str().unwrap().ends_with("exited with error: signal: killed"));
    let (_, failed) = run.invoke(json!({})).await;
    assert!(!failed, "a new sandbox takes over");
    let lines = run.end().await.logs.lines();
    let reports: Vec<_> = lines.iter().filter(|line| line.starts_with("REPORT ")).collect();
    assert!(reports[0].contains("\tMemory Size: 128 MB\tMax Memory Used: 128 MB\t"), "{reports:?}");
    assert!(reports[0].ends_with("\tStatus: error\tError Type: Runtime.ExitError"));
}

/// A runtime of a few lines, as somebody would write it for `provided.al2023`.
const PYTHON_BOOTSTRAP: &str = r#"#!/usr/bin/env python3
import json, os, sys, time, urllib.request

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"


def handler(event):
    print("seen", json.dumps(event))
    print("a warning", file=sys.stderr)
    if event.get("boom"):
        raise ValueError("asked to")
    names = ("AWS_LAMBDA_", "LAMBDA_", "AWS_REGION", "_HANDLER", "TZ", "LANG", "PATH", "LD_", "AWS_SESSION_TOKEN", "OWN")
    return {
        "environment": {k: v for k, v in os.environ.items() if k.startswith(names)},
        "here": os.getcwd(),
        "zone": time.tzname[0],
        "leak": os.environ.get("CARGO_MANIFEST_DIR"),
    }


def post(path, document):
    body = json.dumps(document).encode()
    urllib.request.urlopen(urllib.request.Request(f"{API}/{path}", data=body)).read()


while True:
    with urllib.request.urlopen(f"{API}/next") as invocation:
        request_id = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(invocation)
    try:
        answer = handler(event)
        sys.stdout.flush()
        post(f"{request_id}/response", answer)
    except Exception as error:
        sys.stdout.flush()
        post(f"{request_id}/error", {"errorType": type(error).__name__, "errorMessage": str(error)})
"#;

#[tokio::test]
async fn a_function_in_python_runs_as_on_aws() {
    let python = std::process::Command::new("/usr/bin/env").args(["python3", "--version"]).output();
    if !python.is_ok_and(|output| output.status.success()) {
        eprintln!("NOT RUN: no python3");
        return;
    }
    let more = json!({
        "Handler": "app.handler", "Timeout": 30, "Environment": {"Variables": {"OWN": "mine"}},
    });
    let run = Processes::new(PYTHON_BOOTSTRAP, more).await;
    let (answer, failed) = run.invoke(json!({"n": 1})).await;
    assert!(!failed, "{answer}");
    let given = &answer["environment"];
    let here = answer["here"].as_str().unwrap();
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/f"),
        ("_HANDLER", "app.handler"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_SESSION_TOKEN", "local"),
        ("TZ", ":UTC"),
        ("LANG", "en_US.UTF-8"),
        ("OWN", "mine"),
    ] {
        assert_eq!(given[name], value, "{name}");
    }
    assert_eq!(
        given["LAMBDA_TASK_ROOT"].as_str().map(std::fs::canonicalize).unwrap().unwrap(),
        PathBuf::from(here)
    );
    assert!(given["LD_LIBRARY_PATH"].as_str().unwrap().contains("/lib:/opt/lib"));
    assert!(given["PATH"].as_str().unwrap().contains("/usr/local/bin"));
    assert_eq!((&answer["zone"], &answer["leak"]), (&json!("UTC"), &Value::Null));
    let (error, failed) = run.invoke(json!({"boom": true})).await;
    assert!(failed);
    assert_eq!(error, json!({"errorType": "ValueError", "errorMessage": "asked to"}));
    let stage = run.end().await;
    let lines = stage.logs.lines();
    for line in [r#"seen {"n": 1}"#, "a warning", r#"seen {"boom": true}"#] {
        assert!(lines.iter().any(|logged| logged == line), "{line}: {lines:#?}");
    }
    assert!(lines.iter().any(|line| line.ends_with("\tStatus: error\tError Type: ValueError")));
}

#[tokio::test]
async fn shutdown_cuts_off_what_is_running() {
    if !has_curl() {
        eprintln!("NOT RUN: no curl");
        return;
    }
    let run = Processes::new(BOOTSTRAP, json!({"Timeout": 600})).await;
    let lambda = run.stage.lambda.clone();
    let hanging = tokio::spawn(async move {
        use crate::local::service::Service;
        let input = json!({"FunctionName": "f", "Payload": STANDARD.encode("\"hang\"")});
        lambda.call("Invoke", input).await
    });
    let folder = run.work_dir.path().canonicalize().unwrap();
    let started = async {
        while processes_in(&folder).len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if cfg!(target_os = "linux") {
        tokio::time::timeout(Duration::from_secs(10), started).await.unwrap();
    }
    run.end().await;
    assert_eq!(hanging.await.unwrap().unwrap()["FunctionError"], "Unhandled");
}

#[tokio::test]
async fn a_running_invocation_can_be_killed_and_an_idle_sandbox_is_left_alone() {
    if !has_curl() {
        eprintln!("NOT RUN: no curl");
        return;
    }
    let run = Processes::new(BOOTSTRAP, json!({"Timeout": 600})).await;
    let (first, _) = run.invoke(json!({})).await;
    assert_eq!(run.host.kill_running("f"), 0);
    let kill = async {
        while run.host.kill_running("f") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let both = async { tokio::join!(run.invoke(json!("hang")), kill) };
    let ((error, failed), ()) = tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
    assert!(failed && error["errorType"] == "Runtime.ExitError", "{error}");
    assert!(error["errorMessage"].as_str().unwrap().ends_with("exited with error: signal: killed"));
    let (next, failed) = run.invoke(json!({})).await;
    assert!(!failed && next["pid"] != first["pid"], "a new sandbox");
    run.end().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_guard_ends_what_a_killed_tool_leaves_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut left = tokio::process::Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
    let mut ended = tokio::process::Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
    let work = folder.path().join("lambda-x");
    std::fs::create_dir_all(work.join("code")).unwrap();
    let guard = super::guard::Guard::start(&work);
    guard.watch(ended.id().unwrap()).await;
    guard.watch(left.id().unwrap()).await;
    guard.forget(ended.id().unwrap()).await;
    // The pipe closes as it would when the tool dies.
    guard.end().await;
    let status = tokio::time::timeout(Duration::from_secs(5), left.wait()).await.unwrap().unwrap();
    assert!(!status.success());
    assert!(ended.try_wait().unwrap().is_none(), "what was forgotten is left alone");
    assert!(!work.exists());
    ended.kill().await.unwrap();
}
