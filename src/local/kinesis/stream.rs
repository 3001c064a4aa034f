//! One stream: its settings, and its life from CREATING to gone. What takes time is computed from the time
//! when somebody looks: no timer runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, RwLock, RwLockReadGuard};

use super::consumers::Consumers;
use super::layout::{Change, Layout};
use super::memory::Memory;
use super::on_demand::Peaks;
use crate::platform::clock::WallUs;
use crate::platform::limits;

/// How long a stream is CREATING, UPDATING, and DELETING. AWS takes some ten seconds; callers must wait, but
/// no one gains by waiting long.
pub const TRANSITION_US: i64 = 500_000;
const HOUR_US: i64 = 3_600_000_000;

pub struct Stream {
    pub name: String,
    pub arn: String,
    pub created_us: WallUs,
    pub settings: RwLock<Settings>,
    pub consumers: Mutex<Consumers>,
    /// Shard-level metrics that are on, as bits: read on the data path.
    pub shard_metrics: AtomicU8,
    on_demand: AtomicBool,
    layout: RwLock<Layout>,
    control: Mutex<Control>,
    /// When [`Stream::layout`] next has something to do before it answers.
    due_us: AtomicI64,
    updating_until_us: AtomicI64,
    /// When the stream is gone; set by DeleteStream.
    gone_us: OnceLock<WallUs>,
    /// What an on-demand stream took in since its peaks were last looked at.
    minute_records: AtomicU64,
    minute_bytes: AtomicU64,
    trimmed_early: AtomicBool,
}

/// Locked before the layout, never while it is held.
struct Control {
    /// A change under way, and when it comes into force.
    pending: Option<(Change, WallUs)>,
    /// Of an on-demand stream.
    peaks: Option<Peaks>,
    resizes: Quota,
    mode_switches: Quota,
}

/// What can be changed while the stream stands.
#[derive(Clone)]
pub struct Settings {
    pub retention_hours: u32,
    pub max_record_kib: u32,
    /// Set while server-side encryption is on. Nothing is encrypted here: the key is only remembered.
    pub kms_key: Option<String>,
    pub tags: BTreeMap<String, String>,
}

/// What may be done so many times in 24 hours.
#[derive(Default)]
pub struct Quota {
    times_us: VecDeque<WallUs>,
}

impl Quota {
    /// Takes one of `max`; false when all were taken in the last 24 hours.
    pub fn take(&mut self, max: usize, now_us: WallUs) -> bool {
        while self.times_us.pop_front_if(|at_us| *at_us + 24 * HOUR_US <= now_us).is_some() {}
        let free = self.times_us.len() < max;
        if free {
            self.times_us.push_back(now_us);
        }
        free
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Creating,
    Active,
    Updating,
    Deleting,
    Gone,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Creating => "CREATING",
            Status::Active => "ACTIVE",
            Status::Updating => "UPDATING",
            Status::Deleting | Status::Gone => "DELETING",
        }
    }

    /// Whether records are taken and given.
    pub fn serves(self) -> bool {
        matches!(self, Status::Active | Status::Updating)
    }
}

impl Stream {
    pub fn new(
        name: String,
        arn: String,
        on_demand: bool,
        shards: u32,
        settings: Settings,
        now_us: WallUs,
    ) -> Stream {
        let peaks = on_demand.then(|| Peaks::new(shards, now_us));
        let due_us = peaks.as_ref().map_or(i64::MAX, Peaks::due_us);
        let control =
            Control { pending: None, peaks, resizes: Quota::default(), mode_switches: Quota::default() };
        Stream {
            name,
            arn,
            created_us: now_us,
            settings: RwLock::new(settings),
            consumers: Mutex::default(),
            shard_metrics: AtomicU8::new(0),
            on_demand: AtomicBool::new(on_demand),
            layout: RwLock::new(Layout::new(shards, now_us)),
            control: Mutex::new(control),
            due_us: AtomicI64::new(due_us),
            updating_until_us: AtomicI64::new(i64::MIN),
            gone_us: OnceLock::new(),
            minute_records: AtomicU64::new(0),
            minute_bytes: AtomicU64::new(0),
            trimmed_early: AtomicBool::new(false),
        }
    }

    /// Computed from the time, so that no timer has to run for it.
    pub fn status(&self, now_us: WallUs) -> Status {
        match self.gone_us.get() {
            Some(gone_us) if now_us >= *gone_us => Status::Gone,
            Some(_) => Status::Deleting,
            None if now_us < self.created_us + TRANSITION_US => Status::Creating,
            None if now_us < self.updating_until_us.load(Ordering::Relaxed) => Status::Updating,
            None => Status::Active,
        }
    }

    /// Begins the deletion; a second call changes nothing.
    pub fn delete(&self, now_us: WallUs) {
        let _ = self.gone_us.set(now_us + TRANSITION_US);
    }

    pub fn on_demand(&self) -> bool {
        self.on_demand.load(Ordering::Relaxed)
    }

    /// The shards as they are now. While the guard is held none opens or closes; take it once in a call.
    pub fn layout(&self, now_us: WallUs, memory: &Memory) -> RwLockReadGuard<'_, Layout> {
        if now_us >= self.due_us.load(Ordering::Acquire) {
            self.catch_up(now_us, memory);
        }
        self.layout.read().expect("layout lock")
    }

    /// Does what became due: a change comes into force, closed shards go, an on-demand stream scales.
    fn catch_up(&self, now_us: WallUs, memory: &Memory) {
        let keep_us = i64::from(self.settings.read().expect("settings lock").retention_hours) * HOUR_US;
        let mut control = self.control.lock().expect("control lock");
        let mut layout = self.layout.write().expect("layout lock");
        if let Some((change, at_us)) = control.pending.take_if(|(_, at_us)| *at_us <= now_us) {
            // As of when it was due: nothing was written since, or it would have been done then.
            layout.apply(change, at_us);
        }
        if let Some(peaks) = control.peaks.as_mut().filter(|peaks| peaks.due_us() <= now_us) {
            let open = layout.open().len() as u32;
            let records = self.minute_records.swap(0, Ordering::Relaxed);
            let bytes = self.minute_bytes.swap(0, Ordering::Relaxed);
            let needed = peaks.shards(open, records, bytes, now_us);
            if needed != open {
                layout.resize(needed, now_us);
            }
        }
        layout.expire(now_us - keep_us, memory);
        let due = [
            control.pending.as_ref().map(|(_, at_us)| *at_us),
            control.peaks.as_ref().map(Peaks::due_us),
            layout.first_closed_us().map(|at_us| at_us + keep_us + 1),
        ];
        self.due_us.store(due.into_iter().flatten().min().unwrap_or(i64::MAX), Ordering::Release);
    }

    /// Has the next look at the shards reckon everything anew: retention was changed.
    pub fn look_again(&self) {
        self.due_us.store(i64::MIN, Ordering::Release);
    }

    /// Shards that are open or about to be: what counts against the account's limit.
    pub fn reserved_shards(&self) -> usize {
        let control = self.control.lock().expect("control lock");
        let open = self.layout.read().expect("layout lock").open().len();
        match control.pending {
            Some((Change::Resize { target }, _)) => open.max(target as usize),
            Some((Change::Split { .. }, _)) => open + 1,
            Some((Change::Merge { .. }, _)) | None => open,
        }
    }

    /// Begins a change of the shards; the stream is UPDATING until it comes into force. The caller has seen
    /// that the stream is active, and holds the lock on all streams, so that no other change begins.
    pub fn begin(&self, change: Change, now_us: WallUs) {
        self.control.lock().expect("control lock").pending = Some((change, now_us + TRANSITION_US));
        self.updating_until_us.store(now_us + TRANSITION_US, Ordering::Relaxed);
        self.look_again();
    }

    /// Takes one of the day's UpdateShardCount calls; false when there is none left.
    pub fn take_resize(&self, now_us: WallUs) -> bool {
        let mut control = self.control.lock().expect("control lock");
        control.resizes.take(limits::UPDATE_SHARD_COUNT_PER_DAY, now_us)
    }

    /// Switches the capacity mode and keeps the shards; false when the day's switches are used up.
    pub fn switch_mode(&self, on_demand: bool, now_us: WallUs) -> bool {
        let mut control = self.control.lock().expect("control lock");
        if !control.mode_switches.take(limits::MODE_SWITCHES_PER_DAY, now_us) {
            return false;
        }
        let open = self.layout.read().expect("layout lock").open().len() as u32;
        control.peaks = on_demand.then(|| Peaks::new(open, now_us));
        self.minute_records.store(0, Ordering::Relaxed);
        self.minute_bytes.store(0, Ordering::Relaxed);
        self.on_demand.store(on_demand, Ordering::Relaxed);
        self.updating_until_us.store(now_us + TRANSITION_US, Ordering::Relaxed);
        self.look_again();
        true
    }

    /// Counts what was taken in, for the scaling of an on-demand stream.
    pub fn count_written(&self, records: u64, bytes: u64) {
        if self.on_demand() {
            self.minute_records.fetch_add(records, Ordering::Relaxed);
            self.minute_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Whether this is the first time that records went before their retention was over.
    pub fn first_early_trim(&self) -> bool {
        !self.trimmed_early.swap(true, Ordering::Relaxed)
    }

    pub fn settings(&self) -> Settings {
        self.settings.read().expect("settings lock").clone()
    }

    /// (Milliseconds that records are kept, bytes that one record may have, whether encryption is on.)
    pub fn record_rules(&self) -> (i64, u64, bool) {
        let settings = self.settings.read().expect("settings lock");
        (
            i64::from(settings.retention_hours) * 3_600_000,
            u64::from(settings.max_record_kib) * 1_024,
            settings.kms_key.is_some(),
        )
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            retention_hours: *limits::RETENTION_HOURS.start(),
            max_record_kib: limits::RECORD_MAX_KIB_DEFAULT,
            kms_key: None,
            tags: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_from_creating_to_gone() {
        let stream = Stream::new("s".into(), "arn".into(), false, 1, Settings::default(), 1_000);
        assert_eq!(stream.status(1_000), Status::Creating);
        assert_eq!(stream.status(1_000 + TRANSITION_US), Status::Active);
        stream.delete(5_000_000);
        stream.delete(9_000_000);
        assert_eq!(stream.status(5_000_001), Status::Deleting);
        assert_eq!(stream.status(5_000_000 + TRANSITION_US), Status::Gone);
    }

    #[test]
    fn a_quota_comes_back_after_a_day() {
        let mut quota = Quota::default();
        assert!(quota.take(2, 0) && quota.take(2, HOUR_US) && !quota.take(2, 2 * HOUR_US));
        assert!(quota.take(2, 24 * HOUR_US) && !quota.take(2, 24 * HOUR_US));
    }
}
