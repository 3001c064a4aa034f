//! Ctrl-C and SIGTERM: the first asks the work to stop and clean up, the second to stop waiting too.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often the user asked to stop.
#[derive(Clone)]
pub struct StopSignal {
    pub asked: watch::Receiver<u32>,
}

impl StopSignal {
    /// Listens from now on. Must be called inside a runtime.
    pub fn listen() -> std::io::Result<StopSignal> {
        StopSignal::telling(|asked| match asked {
            1 => eprintln!(
                "stopping: what was measured is kept, the environment is cleaned up (again: do not wait)"
            ),
            _ => eprintln!("not waiting any longer; still cleaning up"),
        })
    }

    /// The same on a thread of its own, for a runtime that opens no socket: one whose clock is paused.
    pub fn listen_apart() -> std::io::Result<StopSignal> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let listening = {
            let _entered = runtime.enter();
            StopSignal::telling(|_| eprintln!("stopping: what was rehearsed is kept"))?
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(listening)
    }

    /// The same, saying nothing: for what ends at once.
    pub fn listen_quietly() -> std::io::Result<StopSignal> {
        StopSignal::telling(|_| ())
    }

    fn telling(tell: impl Fn(u32) + Send + 'static) -> std::io::Result<StopSignal> {
        let (asked_sender, asked) = watch::channel(0u32);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                asked_sender.send_modify(|count| *count += 1);
                tell(*asked_sender.borrow());
            }
        });
        Ok(StopSignal { asked })
    }

    /// Returns once the user asked `times` times; never if that does not happen.
    pub async fn wait(&self, times: u32) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|count| *count >= times).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
