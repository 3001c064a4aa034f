//! Ends the sandboxes of a tool that was killed (kill -9), when no destructor of it runs any more.
//!
//! A `bootstrap` built on `lambda_runtime` ends by itself: its request for the next invocation fails when
//! the Runtime API's socket goes away, and its main loop returns that error. Any other `bootstrap` may not.
//! So one small POSIX shell per host holds the reading end of a pipe on which the host names the process
//! groups that it starts and ends. The pipe closes when the host is gone, however it went; the shell then
//! kills the groups left, removes the work folder, and ends. (Linux's parent-death signal would need unsafe.)

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;

const SCRIPT: &str = r#"
groups=" "
while read -r change group; do
  case $change in
    +) groups="$groups$group " ;;
    -) groups="${groups%% "$group" *} ${groups#* "$group" }" ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
rm -rf -- "$1"
"#;

/// How long the guard may take to remove the folder and end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Guard {
    running: Mutex<Option<(Child, ChildStdin)>>,
}

impl Guard {
    /// Starts the guard of `folder`. Without a shell there is none, and a warning.
    pub fn start(folder: &Path) -> Guard {
        let running = spawn(folder)
            .inspect_err(|error| tracing::warn!(%error, "no guard: kill -9 may leave functions running"))
            .ok();
        Guard { running: Mutex::new(running) }
    }

    pub async fn watch(&self, group: u32) {
        self.tell(format!("+ {group}\n")).await;
    }

    pub async fn forget(&self, group: u32) {
        self.tell(format!("- {group}\n")).await;
    }

    async fn tell(&self, change: String) {
        if let Some((_, pipe)) = self.running.lock().await.as_mut() {
            // An error means that somebody ended the guard: the sandboxes are then ours alone to end.
            let _ = pipe.write_all(change.as_bytes()).await;
        }
    }

    /// Lets the guard do its work and end.
    pub async fn end(&self) {
        if let Some((mut guard, pipe)) = self.running.lock().await.take() {
            drop(pipe);
            if tokio::time::timeout(END_TIMEOUT, guard.wait()).await.is_err() {
                tracing::warn!("the guard of the function sandboxes did not end");
            }
        }
    }
}

fn spawn(folder: &Path) -> io::Result<(Child, ChildStdin)> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, "guard"]).arg(folder);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // A Ctrl-C at the terminal must not end the guard before the tool.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn()?;
    let pipe = child.stdin.take().ok_or_else(|| io::Error::other("the guard has no pipe"))?;
    Ok((child, pipe))
}
