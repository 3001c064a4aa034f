//! The local endpoint, started for a run: on threads of its own, with a reaper beside it.
//!
//! The background endpoint of `up` is this same program as `streamgauge local --state-file ...`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::local::cloud::{Cloud, CloudSettings, HostKind, LOCAL_ACCOUNT};
use crate::local::door::http;
use crate::local::faults::FaultSpec;
use crate::platform::clients::Door;
use crate::platform::clock::Clock;

use super::exit::CliError;
use super::input;

pub const LOCAL_REGION: &str = "us-east-1";

/// How long a stopping endpoint may take to end its functions and connections.
const STOP_BOUND: Duration = Duration::from_secs(10);
/// How long a background endpoint may take to be ready.
const READY_BOUND: Duration = Duration::from_secs(10);
/// How long a control address may take to answer.
const ANSWER_BOUND: Duration = Duration::from_secs(2);
/// An answer of a control address is cut off here.
const ANSWER_MAX_BYTES: u64 = 1 << 20;

/// Where an endpoint is reached: `.streamgauge/envs/<env>.json`, readable by its owner alone. One in the
/// foreground stands there as the environment `local-<port>`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndpointState {
    pub url: String,
    pub token: String,
    pub pid: u32,
    pub region: String,
    pub started_us: i64,
    pub faults: Vec<String>,
}

impl EndpointState {
    pub fn path(env: &str) -> PathBuf {
        Path::new(input::ROOT).join("envs").join(format!("{env}.json"))
    }

    pub fn read(env: &str) -> Result<Option<EndpointState>, CliError> {
        let path = EndpointState::path(env);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                CliError::environment(format!("{} is damaged: {error}", path.display()))
                    .hint("delete the file; an endpoint that still runs ends itself after 12 h idle")
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CliError::environment(format!("cannot read {}: {error}", path.display()))),
        }
    }

    /// The environments that have an endpoint in the background, by name. Those in the foreground are somebody's.
    pub fn background() -> Result<Vec<String>, CliError> {
        let dir = Path::new(input::ROOT).join("envs");
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(CliError::environment(format!("cannot read {}: {error}", dir.display())));
            }
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut envs: Vec<String> = names
            .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
            .filter(|env| !env.starts_with("local-"))
            .collect();
        envs.sort();
        Ok(envs)
    }

    /// Writes the file whole or not at all.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let temporary = path.with_extension("json.new");
        let mut file =
            std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        std::fs::rename(temporary, path)
    }

    pub fn door(&self) -> Door {
        Door::Tcp {
            url: self.url.clone(),
            access_key_id: "local".to_owned(),
            secret_access_key: self.token.clone(),
        }
    }
}

/// An endpoint inside this process, on a runtime of its own so that it does not delay the generator.
pub struct Endpoint {
    pub url: String,
    pub token: String,
    pub cloud: Arc<Cloud>,
    ended: Option<oneshot::Receiver<()>>,
    reaper: Option<Child>,
    work_dir: PathBuf,
}

impl Endpoint {
    /// Binds 127.0.0.1:`port` (0 takes a free one) and serves until [`Endpoint::stop`].
    pub fn start(
        clock: Clock,
        region: &str,
        port: u16,
        faults: Vec<FaultSpec>,
    ) -> Result<Endpoint, CliError> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).map_err(|error| {
            CliError::environment(format!("cannot listen on 127.0.0.1:{port}: {error}"))
                .hint("another program has the port; `--port 0` takes a free one")
        })?;
        let failed = |what: &str, error: std::io::Error| CliError::environment(format!("{what}: {error}"));
        listener.set_nonblocking(true).map_err(|error| failed("cannot use the socket", error))?;
        let url = listener
            .local_addr()
            .map(|address| format!("http://{address}"))
            .map_err(|error| failed("cannot read the socket's address", error))?;
        let work_dir = tempfile::Builder::new()
            .prefix("streamgauge-")
            .tempdir()
            .map_err(|error| failed("cannot make a temporary folder", error))?
            .keep();
        let reaper = spawn_reaper(&work_dir);
        let settings = CloudSettings {
            clock,
            region: region.to_owned(),
            account: LOCAL_ACCOUNT.to_owned(),
            seed: fastrand::u64(..),
            faults,
            work_dir: work_dir.clone(),
            host: HostKind::Process,
            memory: Default::default(),
        };
        let (ended_sender, ended) = oneshot::channel();
        let cloud = serve_on_own_runtime(settings, listener, ended_sender)?;
        let token = cloud.token().to_owned();
        Ok(Endpoint { url, token, cloud, ended: Some(ended), reaper: reaper.ok(), work_dir })
    }

    pub fn door(&self) -> Door {
        Door::Tcp {
            url: self.url.clone(),
            access_key_id: "local".to_owned(),
            secret_access_key: self.token.clone(),
        }
    }

    /// Resolves when the endpoint has ended by itself (an authenticated shutdown call).
    pub async fn ended(&mut self) {
        if let Some(ended) = self.ended.as_mut() {
            let _ = ended.await;
            self.ended = None;
        }
    }

    /// Ends functions and connections, then removes the temporary folder. Bounded.
    pub async fn stop(mut self) {
        self.cloud.shut_down();
        let _ = tokio::time::timeout(STOP_BOUND, self.ended()).await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.cloud.shut_down();
        let _ = std::fs::remove_dir_all(&self.work_dir);
        if let Some(mut reaper) = self.reaper.take() {
            // Closing its stdin is what it waits for.
            drop(reaper.stdin.take());
            let _ = reaper.wait();
        }
    }
}

fn serve_on_own_runtime(
    settings: CloudSettings,
    listener: TcpListener,
    ended: oneshot::Sender<()>,
) -> Result<Arc<Cloud>, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("endpoint")
        .enable_all()
        .build()
        .map_err(|error| CliError::environment(format!("cannot start the endpoint's runtime: {error}")))?;
    let cloud = {
        let _inside = runtime.enter();
        Cloud::start(settings).map_err(|error| CliError::environment(error.to_string()))?
    };
    let served = Arc::clone(&cloud);
    std::thread::Builder::new()
        .name("endpoint".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => {
                        if let Err(error) =
                            http::serve(Arc::clone(&served), listener, served.shutdown_asked()).await
                        {
                            tracing::error!("the local endpoint ended: {error}");
                        }
                    }
                    Err(error) => tracing::error!("the local endpoint cannot use its socket: {error}"),
                }
                served.end().await;
                let _ = ended.send(());
            });
            runtime.shutdown_timeout(Duration::from_secs(1));
        })
        .map_err(|error| CliError::environment(format!("cannot start the endpoint's thread: {error}")))?;
    Ok(cloud)
}

/// A process that waits for our end, however it comes, and then removes `dir`.
fn spawn_reaper(dir: &Path) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg("reap")
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// The reaper's own work: wait until stdin closes, then remove `dir`. Functions that run from it end by
/// themselves, because their Runtime API is gone; until then one may still write, so it tries twice.
pub fn reap(dir: &Path) -> std::io::Result<()> {
    let mut sink = [0u8; 64];
    let mut stdin = std::io::stdin();
    while stdin.read(&mut sink)? > 0 {}
    let is_ours = dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("streamgauge-"));
    if !is_ours {
        return Ok(());
    }
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => std::fs::remove_dir_all(dir),
        _ => Ok(()),
    }
}

/// Starts `streamgauge local` in the background for `env` and waits until it is ready.
pub async fn spawn_background(env: &str, region: &str, faults: &[String]) -> Result<EndpointState, CliError> {
    let state_path = EndpointState::path(env);
    let log_path = state_path.with_extension("log");
    let failed =
        |error: std::io::Error| CliError::environment(format!("cannot start the local endpoint: {error}"));
    let log = std::fs::File::create(&log_path).map_err(failed)?;
    let mut command = tokio::process::Command::new(std::env::current_exe().map_err(failed)?);
    command.args(["local", "--port", "0", "--region", region, "--state-file"]).arg(&state_path);
    for fault in faults {
        command.args(["--fault", fault]);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let ready = async {
        loop {
            if let Some(state) = EndpointState::read(env)? {
                return Ok(state);
            }
            // A file of another process: there is nothing to await but its appearance.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let why = tokio::select! {
        ready = tokio::time::timeout(READY_BOUND, ready) => match ready {
            Ok(state) => return state,
            Err(_) => format!("not ready within {} s", READY_BOUND.as_secs()),
        },
        ended = child.wait() => format!("it ended at once ({})", ended.map_or_else(|e| e.to_string(), |s| s.to_string())),
    };
    let _ = child.start_kill();
    Err(CliError::environment(format!("the local endpoint did not start: {why}"))
        .hint(format!("its output is in {}", log_path.display())))
}

/// Ends the background endpoint of `state` with an authenticated call and waits until it is gone.
pub async fn end_background(env: &str, state: &EndpointState) -> Result<(), CliError> {
    let gone = async {
        let mut asked = false;
        loop {
            match post_shutdown(state).await {
                Ok(()) => asked = true,
                // Nobody listens any more: it is gone.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(()),
                Err(_) if asked => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match tokio::time::timeout(STOP_BOUND, gone).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            return Err(CliError::environment(format!(
                "cannot end the local endpoint at {}: {error}",
                state.url
            )));
        }
        Err(_) => {
            return Err(CliError::environment(format!(
                "the local endpoint (process {}) does not end",
                state.pid
            ))
            .hint(format!("kill {}", state.pid)));
        }
    }
    match std::fs::remove_file(EndpointState::path(env)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CliError::environment(format!("cannot remove the endpoint's state file: {error}")))
        }
        _ => Ok(()),
    }
}

/// Whether the endpoint of `state` is there.
pub async fn answers(state: &EndpointState) -> bool {
    let address = state.url.trim_start_matches("http://").to_owned();
    let connected =
        tokio::time::timeout(Duration::from_secs(2), tokio::net::TcpStream::connect(address)).await;
    matches!(connected, Ok(Ok(_)))
}

/// How much faults of one kind have struck: what `/_streamgauge/faults/struck` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Struck {
    pub strikes: u64,
    pub records: u64,
}

/// What the planted faults of an endpoint did so far, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultsStruck {
    pub faults: Vec<String>,
    /// By kind.
    pub struck: BTreeMap<String, Struck>,
    /// Strikes that the endpoint counted and did not keep.
    pub unlogged: u64,
}

/// Asks the endpoint of `state` what its faults struck so far. Bounded.
pub async fn faults_struck(state: &EndpointState) -> std::io::Result<FaultsStruck> {
    let asked = ask(state, "GET", "/_streamgauge/faults/struck");
    let body = tokio::time::timeout(ANSWER_BOUND, asked).await.map_err(std::io::Error::other)??;
    serde_json::from_slice(&body).map_err(std::io::Error::other)
}

async fn post_shutdown(state: &EndpointState) -> std::io::Result<()> {
    ask(state, "POST", "/_streamgauge/shutdown").await.map(drop)
}

/// One authenticated call of a control address; gives the body of a success.
async fn ask(state: &EndpointState, method: &str, path: &str) -> std::io::Result<Vec<u8>> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = state.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        state.token
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer).await?;
    if !answer.starts_with(b"HTTP/1.1 2") {
        let status = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default());
        return Err(std::io::Error::other(format!("it answered {status:?}")));
    }
    let head_end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    Ok(answer.split_off(head_end.map_or(answer.len(), |end| end + 4)))
}
