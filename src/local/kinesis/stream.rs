//! One stream: its shards, its settings, and its life from CREATING to gone.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, RwLock};

use tokio::sync::watch;

use super::hash;
use super::shard::Shard;
use crate::platform::clock::WallUs;
use crate::platform::limits;

/// How long a stream is CREATING, and how long DELETING. AWS takes some ten seconds; callers must wait,
/// but no one gains by waiting long.
pub const TRANSITION_US: i64 = 500_000;
/// Shards of a new on-demand stream: 4 MiB/s and 4,000 records/s. Kinesis developer guide, "Choose the
/// data stream capacity mode". It does not scale up here.
pub const ON_DEMAND_SHARDS: u32 = 4;

pub struct Stream {
    pub name: String,
    pub arn: String,
    pub created_us: WallUs,
    pub on_demand: bool,
    pub settings: RwLock<Settings>,
    pub shards: Vec<ShardSlot>,
    /// When the stream is gone; set by DeleteStream.
    gone_us: OnceLock<WallUs>,
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

pub struct ShardSlot {
    pub id: String,
    pub first_hash: u128,
    pub last_hash: u128,
    shard: Mutex<Shard>,
    changed: watch::Sender<u64>,
}

impl ShardSlot {
    pub fn lock(&self) -> MutexGuard<'_, Shard> {
        self.shard.lock().expect("shard lock")
    }

    /// Wakes whoever waits for records. Whoever subscribes later reads the shard after that.
    pub fn notify(&self) {
        if self.changed.receiver_count() > 0 {
            self.changed.send_modify(|times| *times += 1);
        }
    }

    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Creating,
    Active,
    Deleting,
    Gone,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Creating => "CREATING",
            Status::Active => "ACTIVE",
            Status::Deleting | Status::Gone => "DELETING",
        }
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
        let slots = hash::ranges(shards)
            .into_iter()
            .zip(0u32..)
            .map(|((first_hash, last_hash), index)| ShardSlot {
                id: shard_id(index),
                first_hash,
                last_hash,
                shard: Mutex::new(Shard::new(index, now_us)),
                changed: watch::Sender::new(0),
            })
            .collect();
        Stream {
            name,
            arn,
            created_us: now_us,
            on_demand,
            settings: RwLock::new(settings),
            shards: slots,
            gone_us: OnceLock::new(),
        }
    }

    /// Computed from the time, so that no timer has to run for it.
    pub fn status(&self, now_us: WallUs) -> Status {
        match self.gone_us.get() {
            Some(gone_us) if now_us >= *gone_us => Status::Gone,
            Some(_) => Status::Deleting,
            None if now_us < self.created_us + TRANSITION_US => Status::Creating,
            None => Status::Active,
        }
    }

    /// Begins the deletion; a second call changes nothing.
    pub fn delete(&self, now_us: WallUs) {
        let _ = self.gone_us.set(now_us + TRANSITION_US);
    }

    /// Index of the shard whose range holds a hash key.
    pub fn shard_of(&self, hash_key: u128) -> usize {
        self.shards.partition_point(|slot| slot.last_hash < hash_key)
    }

    /// A shard by `shardId-000000000003`; the API also takes `3`.
    pub fn shard_named(&self, id: &str) -> Option<&ShardSlot> {
        self.shards.get(shard_index(id)?)
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

/// `shardId-000000000003`.
pub fn shard_id(index: u32) -> String {
    format!("shardId-{index:012}")
}

fn shard_index(id: &str) -> Option<usize> {
    let digits = id.split_once('-').map_or(id, |(_, digits)| digits);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn every_hash_key_finds_the_shard_that_holds_it(shards in 1u32..500, hash_key in any::<u128>()) {
            let stream = Stream::new("s".into(), "arn".into(), false, shards, Settings::default(), 0);
            let slot = &stream.shards[stream.shard_of(hash_key)];
            prop_assert!((slot.first_hash..=slot.last_hash).contains(&hash_key));
            prop_assert_eq!(&stream.shard_named(&slot.id).expect("by name").id, &slot.id);
        }
    }
}
