//! The way to AWS (`--target aws`), led to a local endpoint: what breaks around it ends with one plain message, the
//! documented exit code, and nothing that `down` from elsewhere does not find.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Bench, Done, plan, wait_for};

/// `streamgauge local` as a process: it outlives whatever happens to the tool.
struct Endpoint {
    child: Child,
    url: String,
}

impl Endpoint {
    fn start(bench: &Bench, faults: &[&str]) -> Endpoint {
        let mut command = bench.command(&["local", "--port", "0"]);
        for fault in faults {
            command.args(["--fault", fault]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("its address");
        Endpoint { url: url.to_owned(), child }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `streamgauge ARGS --target aws` with credentials that nobody owns, and nothing of this machine's own.
fn to_aws(bench: &Bench, args: &[&str]) -> Command {
    let mut command = bench.command(args);
    command.args(["--target", "aws", "--yes"]);
    for name in ["AWS_ENDPOINT_URL", "HTTP_PROXY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"] {
        command.env_remove(name);
    }
    command.env("HOME", bench.path()).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", "any");
    command
}

fn at(bench: &Bench, endpoint: &Endpoint, args: &[&str]) -> Command {
    let mut command = to_aws(bench, args);
    command.args(["--region", "us-east-1", "--endpoint-url", &endpoint.url]);
    command
}

fn done(mut command: Command) -> Done {
    Done::new(command.output().unwrap())
}

#[track_caller]
fn one_plain_error(done: &Done, part: &str) {
    let errors: Vec<&str> = done.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{}", done.stderr);
    assert!(errors[0].contains(part), "{}", done.stderr);
    assert_eq!(done.stderr.matches("\nhint: ").count() + usize::from(done.stderr.starts_with("hint: ")), 1);
}

#[test]
fn no_credentials_are_told_before_anything_is_made() {
    let (bench, endpoint) = (Bench::new(), Endpoint::start(&Bench::new(), &[]));
    let mut command = at(&bench, &endpoint, &["up"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let done = done(command).expect_code(3);
    one_plain_error(&done, "no credentials to list stacks");
}

#[test]
fn a_region_that_is_missing_or_wrong_is_told() {
    let bench = Bench::new();
    one_plain_error(&done(to_aws(&bench, &["status"])).expect_code(3), "no AWS region is set");
    let mut command = to_aws(&bench, &["status", "--region", "nowhere-1"]);
    // Nothing listens there: the test must not leave loopback.
    command.env("HTTPS_PROXY", "http://127.0.0.1:9");
    let wrong = done(command).expect_code(3);
    one_plain_error(&wrong, "cannot reach CloudFormation");
    assert!(wrong.stderr.contains("the region"), "{}", wrong.stderr);
}

#[test]
fn a_denied_permission_ends_with_exit_3_and_its_name() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(20, "2s", &["lost == 0"]));
    let fault = "error:code=AccessDenied,op=CreateChangeSet";
    let done = bench.run(&["test", "plan.yaml", "--fault", fault]).expect_code(3);
    one_plain_error(&done, "cloudformation:CreateChangeSet");
    assert!(done.stderr.contains("docs/permissions.md"), "{}", done.stderr);
}

fn interrupt(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Starts `up` or `down` and waits until it has begun with a stack.
fn begun(mut command: Command, sign: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(sign) {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended without {sign:?}");
    }
    (child, stderr)
}

/// Each look at a stack takes a while, so that there is a middle to be interrupted in.
const SLOW: &str = "latency:for=200ms,op=DescribeStackEvents";

#[test]
fn ctrl_c_in_up_takes_down_what_was_begun() {
    let (bench, elsewhere) = (Bench::alone(), Bench::new());
    let endpoint = Endpoint::start(&elsewhere, &[SLOW]);
    let (mut child, mut stderr) = begun(at(&bench, &endpoint, &["up"]), "creating");
    interrupt(&child, rustix::process::Signal::INT);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4), "{rest}");
    nothing_stands(&elsewhere, &endpoint);
}

#[test]
fn ctrl_c_in_down_says_how_to_go_on() {
    let (bench, elsewhere) = (Bench::alone(), Bench::new());
    let endpoint = Endpoint::start(&elsewhere, &[SLOW]);
    done(at(&bench, &endpoint, &["up"])).expect_code(0);
    let (mut child, mut stderr) = begun(at(&bench, &endpoint, &["down"]), "deleting");
    interrupt(&child, rustix::process::Signal::INT);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4), "{rest}");
    assert!(rest.contains("error: interrupted") && rest.contains("streamgauge down --env default"), "{rest}");
    done(at(&bench, &endpoint, &["down"])).expect_code(0);
    nothing_stands(&elsewhere, &endpoint);
}

#[test]
fn what_a_lost_laptop_left_is_found_and_taken_down_from_elsewhere() {
    let (lost, elsewhere) = (Bench::alone(), Bench::new());
    let endpoint = Endpoint::start(&elsewhere, &[SLOW]);
    let (mut child, _stderr) = begun(at(&lost, &endpoint, &["up"]), "streamgauge-default-pipeline: creating");
    interrupt(&child, rustix::process::Signal::KILL);
    child.wait().unwrap();
    let status = done(at(&elsewhere, &endpoint, &["status"])).expect_code(0);
    assert!(status.stdout.contains("streamgauge-default-pipeline"), "{}", status.stdout);
    wait_for("what was begun to settle and go", Duration::from_secs(60), || {
        let down = done(at(&elsewhere, &endpoint, &["down"]));
        (down.code == 0).then_some(())
    });
    nothing_stands(&elsewhere, &endpoint);
}

#[track_caller]
fn nothing_stands(bench: &Bench, endpoint: &Endpoint) {
    let status = done(at(bench, endpoint, &["status"]));
    assert!(!status.stdout.contains("streamgauge-default-"), "{}{}", status.stdout, status.stderr);
    assert_eq!(status.code, 0, "{}", status.stderr);
}
