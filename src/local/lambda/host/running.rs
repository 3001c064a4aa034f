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
    invocations: BTreeMap<u64, Invocation>,
}

struct Invocation {
    function: String,
    request_id: String,
    /// Tells the invocation that it was killed.
    killed: watch::Sender<bool>,
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
    pub fn enter(&self, function: &str, request_id: &str) -> Ticket {
        let (sender, killed) = watch::channel(false);
        let (function, request_id) = (function.to_owned(), request_id.to_owned());
        let mut entries = locked(&self.entries);
        let number = entries.next;
        entries.next += 1;
        entries.invocations.insert(number, Invocation { function, request_id, killed: sender });
        Ticket { entries: self.entries.clone(), number, killed }
    }

    /// Tells every running invocation of the function that it is killed. Returns how many were told for the
    /// first time.
    pub fn kill(&self, function: &str) -> usize {
        self.kill_all(|invocation| invocation.function == function)
    }

    /// As [`Running::kill`], for one invocation.
    pub fn kill_invocation(&self, request_id: &str) -> bool {
        self.kill_all(|invocation| invocation.request_id == request_id) > 0
    }

    pub fn runs(&self, request_id: &str) -> bool {
        let living = |invocation: &Invocation| !*invocation.killed.borrow();
        let entries = locked(&self.entries);
        entries.invocations.values().any(|found| found.request_id == request_id && living(found))
    }

    fn kill_all(&self, wanted: impl Fn(&Invocation) -> bool) -> usize {
        let entries = locked(&self.entries);
        let found = entries.invocations.values().filter(|invocation| wanted(invocation));
        found.filter(|invocation| !invocation.killed.send_replace(true)).count()
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
