//! `local`: the endpoint in the foreground; and the reaper.

use crate::cli::out::say;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cli::args::{Global, LocalArgs, ReapArgs};
use crate::cli::connect;
use crate::cli::endpoint::{self, Endpoint, EndpointState};
use crate::cli::exit::{CliError, Exit};
use crate::cli::signals::StopSignal;
use crate::local::cloud::Cloud;
use crate::local::faults::FaultSpec;
use crate::platform::clock::Clock;

pub const FAULTS_ARE_LOCAL: &str =
    "--fault goes with --target local: faults are injected by the local endpoint";
/// A background endpoint that nobody called for this long ends itself.
const IDLE_BOUND: Duration = Duration::from_secs(12 * 3_600);
const IDLE_LOOK: Duration = Duration::from_secs(3_600);

pub async fn run(global: &Global, args: &LocalArgs) -> Result<Exit, CliError> {
    let clock = Clock::start();
    let region = connect::local_region(global);
    let stop = StopSignal::listen_quietly()
        .map_err(|error| CliError::environment(format!("cannot listen for signals: {error}")))?;
    let mut endpoint = Endpoint::start(clock, region, args.port, faults(&args.fault)?)?;
    let state = EndpointState {
        url: endpoint.url.clone(),
        token: endpoint.token.clone(),
        pid: std::process::id(),
        region: region.to_owned(),
        started_us: clock.now_us(),
        faults: args.fault.clone(),
    };
    let kept = keep_state(&state, args.state_file.as_deref())?;
    // One line on stdout, then it is ready: scripts wait for it.
    say!("streamgauge local: {} (region {region}, any credentials)", endpoint.url);
    let _ = std::io::stdout().flush();
    let cloud = Arc::clone(&endpoint.cloud);
    tokio::select! {
        () = endpoint.ended() => {}
        () = stop.wait(1) => {}
        () = idle(&cloud), if args.state_file.is_some() => eprintln!("idle for 12 h: ending"),
    }
    if let Some(path) = kept {
        let _ = std::fs::remove_file(path);
    }
    endpoint.stop().await;
    Ok(Exit::Done)
}

/// Writes where the endpoint is and its token, for whoever may read the file. In the background it is what `up`
/// waits for; in the foreground it makes the endpoint the environment `local-<port>`, and one that cannot be
/// written is no reason not to serve.
fn keep_state(state: &EndpointState, asked: Option<&Path>) -> Result<Option<PathBuf>, CliError> {
    if let Some(path) = asked {
        let failed = |error| CliError::environment(format!("cannot write {}: {error}", path.display()));
        state.write(path).map_err(failed)?;
        return Ok(Some(path.to_owned()));
    }
    let port = state.url.rsplit(':').next().unwrap_or_default();
    let env = format!("local-{port}");
    let path = EndpointState::path(&env);
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    match folder.and_then(|()| state.write(&path)) {
        Ok(()) => {
            eprintln!("what its faults strike, from this folder: streamgauge status --env {env}");
            Ok(Some(path))
        }
        Err(error) => {
            eprintln!("cannot write {}: {error}; `status` will not find this endpoint", path.display());
            Ok(None)
        }
    }
}

/// Returns when nobody has called the endpoint for [`IDLE_BOUND`], to the hour.
async fn idle(cloud: &Cloud) {
    let mut requests = cloud.requests();
    let mut quiet = Duration::ZERO;
    while quiet < IDLE_BOUND {
        tokio::time::sleep(IDLE_LOOK).await;
        quiet = if cloud.requests() == requests { quiet + IDLE_LOOK } else { Duration::ZERO };
        requests = cloud.requests();
    }
}

pub fn faults(specs: &[String]) -> Result<Vec<FaultSpec>, CliError> {
    specs
        .iter()
        .map(|spec| spec.parse().map_err(|error| CliError::input(format!("--fault {spec}: {error}"))))
        .collect()
}

pub fn reap(args: &ReapArgs) -> Result<Exit, CliError> {
    endpoint::reap(&args.dir)
        .map(|()| Exit::Done)
        .map_err(|error| CliError::environment(format!("cannot remove {}: {error}", args.dir.display())))
}
