//! The invocations that run now in a host, so that they can be cut off from outside: a crash on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

/// Invocations under way, by a number of their own. A sandbox that is still in INIT runs none.
#[derive(Default)]
pub struct Running {
    entries: Arc<Mutex<Entries>>,
}

#[derive(Default)]
struct Entries {
    next: u64,
    /// Function name, and what tells the invocation that it was killed.
    invocations: BTreeMap<u64, (String, watch::Sender<bool>)>,
}

/// One invocation's place among those that run; given back on drop.
pub struct Ticket {
    entries: Arc<Mutex<Entries>>,
    number: u64,
    killed: watch::Receiver<bool>,
}

fn locked(entries: &Mutex<Entries>) -> MutexGuard<'_, Entries> {
    entries.lock().expect("running invocations lock")
}

impl Running {
    pub fn enter(&self, function: &str) -> Ticket {
        let (sender, killed) = watch::channel(false);
        let mut entries = locked(&self.entries);
        let number = entries.next;
        entries.next += 1;
        entries.invocations.insert(number, (function.to_owned(), sender));
        Ticket { entries: self.entries.clone(), number, killed }
    }

    /// Tells every running invocation of the function that it is killed. Returns how many were told for the
    /// first time.
    pub fn kill(&self, function: &str) -> usize {
        let entries = locked(&self.entries);
        let of_function = entries.invocations.values().filter(|(name, _)| name == function);
        of_function.filter(|(_, killed)| !killed.send_replace(true)).count()
    }
}

impl Ticket {
    pub fn is_killed(&self) -> bool {
        *self.killed.borrow()
    }

    /// Resolves when the invocation is killed; never otherwise. Safe to cancel.
    pub async fn killed(&mut self) {
        if self.killed.wait_for(|killed| *killed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        locked(&self.entries).invocations.remove(&self.number);
    }
}
