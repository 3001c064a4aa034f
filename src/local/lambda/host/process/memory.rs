//! The limit of a function's memory: a process group that holds more than it is killed, as in a sandbox of AWS.
//!
//! Nothing tells a process without privileges what another group's memory does, so one task for all sandboxes
//! that work looks at `/proc` on a bounded timer. What grows past the limit and back between two looks goes
//! unseen. Counted is what cannot be taken back without the process: anonymous and shared memory. Pages of
//! files can be: the kernel drops them first, and a debug build's own text is many MB of them.
//! Where there is no `/proc`, nothing is enforced.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

/// How often the processes known to belong to a sandbox are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After how many looks the list of processes is made anew. It costs a look at every process of the machine.
const LOOKS_A_LIST: u32 = 10;

/// Watches the groups of one host. Ends its task when dropped.
pub struct Memory {
    state: Arc<State>,
    task: AbortHandle,
}

#[derive(Default)]
struct State {
    groups: Mutex<BTreeMap<u32, Watched>>,
    /// A group was added.
    entered: Notify,
}

struct Watched {
    limit_kib: u64,
    exceeded: watch::Sender<bool>,
}

/// A group that is watched until this is dropped.
pub struct Watch {
    state: Arc<State>,
    group: u32,
    exceeded: watch::Receiver<bool>,
}

impl State {
    fn groups(&self) -> MutexGuard<'_, BTreeMap<u32, Watched>> {
        self.groups.lock().expect("memory lock")
    }
}

impl Memory {
    pub fn start() -> Memory {
        let state = Arc::<State>::default();
        let task = tokio::spawn(look_on(state.clone())).abort_handle();
        Memory { state, task }
    }

    /// Watches a group from now on. A group is watched once at a time.
    pub fn watch(&self, group: u32, limit_mb: u32) -> Watch {
        let (sender, exceeded) = watch::channel(false);
        let watched = Watched { limit_kib: u64::from(limit_mb) * 1_024, exceeded: sender };
        self.state.groups().insert(group, watched);
        self.state.entered.notify_one();
        Watch { state: self.state.clone(), group, exceeded }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    pub fn is_exceeded(&self) -> bool {
        *self.exceeded.borrow()
    }

    /// Resolves when the group holds more than its limit; never otherwise. Safe to cancel.
    pub async fn exceeded(&mut self) {
        if self.exceeded.wait_for(|exceeded| *exceeded).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state.groups().remove(&self.group);
    }
}

async fn look_on(state: Arc<State>) {
    let mut members = BTreeMap::new();
    let mut looks: u32 = 0;
    loop {
        if state.groups().is_empty() {
            state.entered.notified().await;
            // Numbers of processes are given again: an old list may name strangers.
            looks = 0;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let watched: Vec<u32> = state.groups().keys().copied().collect();
        if watched.is_empty() {
            continue;
        }
        let lists = looks.is_multiple_of(LOOKS_A_LIST);
        let known = std::mem::take(&mut members);
        let looking = tokio::task::spawn_blocking(move || {
            let members = if lists { members_of(&watched, Path::new("/proc")) } else { known };
            let used: Vec<_> = watched.iter().map(|group| (*group, used_kib(*group, &members))).collect();
            (members, used)
        });
        let Ok((found, used)) = looking.await else { return };
        members = found;
        for (group, used_kib) in used {
            if let Some(watched) = state.groups().get(&group).filter(|w| used_kib > w.limit_kib) {
                watched.exceeded.send_replace(true);
            }
        }
        looks = looks.wrapping_add(1);
    }
}

/// Processes of each group, their leaders left out.
fn members_of(groups: &[u32], proc: &Path) -> BTreeMap<u32, Vec<u32>> {
    let mut members: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let Ok(entries) = fs_err::read_dir(proc) else { return members };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for id in ids {
        let group = fs_err::read_to_string(proc.join(id.to_string()).join("stat")).ok();
        if let Some(group) = group.as_deref().and_then(group_in).filter(|g| groups.contains(g) && *g != id) {
            members.entry(group).or_default().push(id);
        }
    }
    members
}

/// The process group in a line of `/proc/<pid>/stat`. The second field, a name in parentheses, may hold
/// anything, so fields are counted from its end: state, parent, group.
fn group_in(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(2)?.parse().ok()
}

fn used_kib(group: u32, members: &BTreeMap<u32, Vec<u32>>) -> u64 {
    let others = members.get(&group).into_iter().flatten();
    std::iter::once(&group).chain(others).filter_map(|id| status(*id)).map(|s| held_kib(&s)).sum()
}

/// `/proc/<pid>/status`, where there is one.
pub fn status(id: u32) -> Option<String> {
    fs_err::read_to_string(format!("/proc/{id}/status")).ok()
}

/// A member of `/proc/<pid>/status` in KiB.
pub fn kib(status: &str, member: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(member)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn held_kib(status: &str) -> u64 {
    kib(status, "RssAnon").unwrap_or(0) + kib(status, "RssShmem").unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_read() {
        assert_eq!(group_in("12 (a (b) c) S 1 77 5 0 -1"), Some(77));
        assert_eq!(group_in("no process"), None);
        let status =
            "Name:\tx\nVmHWM:\t  2048 kB\nRssAnon:\t  100 kB\nRssFile:\t 900 kB\nRssShmem:\t  11 kB\n";
        assert_eq!((held_kib(status), kib(status, "VmHWM"), kib(status, "VmSwap")), (111, Some(2_048), None));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_group_over_its_limit_is_reported_and_one_within_is_not() {
        let id = std::process::id();
        let own = group_in(&fs_err::read_to_string(format!("/proc/{id}/stat")).unwrap()).unwrap();
        assert!(own == id || members_of(&[own], Path::new("/proc"))[&own].contains(&id));
        let memory = Memory::start();
        let mut small = memory.watch(id, 0);
        tokio::time::timeout(Duration::from_secs(5), small.exceeded()).await.unwrap();
        drop(small);
        let mut large = memory.watch(id, 1_000_000);
        assert!(tokio::time::timeout(3 * LOOK_EVERY, large.exceeded()).await.is_err());
        assert!(!large.is_exceeded());
    }
}
