//! Shard iterators: opaque to clients, a position to us.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// An iterator can be used for five minutes. Kinesis API reference, GetShardIterator.
pub const EXPIRES_AFTER_US: i64 = 300_000_000;

/// What an iterator says. It holds no state here: any number may be in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardIterator {
    pub stream: String,
    /// Creation of the stream: an iterator does not outlive its stream and work on one of the same name.
    pub created_us: i64,
    pub shard: u32,
    /// Count of the first record to read.
    pub count: u64,
    pub issued_us: i64,
}

impl ShardIterator {
    pub fn encode(&self) -> String {
        let ShardIterator { stream, created_us, shard, count, issued_us } = self;
        STANDARD.encode(format!("1/{stream}/{created_us}/{shard}/{count}/{issued_us}"))
    }

    pub fn decode(text: &str) -> Option<ShardIterator> {
        let bytes = STANDARD.decode(text).ok()?;
        let parts: Vec<&str> = std::str::from_utf8(&bytes).ok()?.split('/').collect();
        let ["1", stream, created_us, shard, count, issued_us] = parts[..] else { return None };
        Some(ShardIterator {
            stream: stream.to_owned(),
            created_us: created_us.parse().ok()?,
            shard: shard.parse().ok()?,
            count: count.parse().ok()?,
            issued_us: issued_us.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_back_and_fits_the_api(
            stream in "[a-zA-Z0-9_.-]{1,128}", created_us in 0i64.., shard in any::<u32>(),
            count in any::<u64>(), issued_us in 0i64..,
        ) {
            let iterator = ShardIterator { stream, created_us, shard, count, issued_us };
            let text = iterator.encode();
            prop_assert!(text.len() <= 512);
            prop_assert_eq!(ShardIterator::decode(&text), Some(iterator));
        }

        #[test]
        fn never_panics_on_other_text(text in ".{0,80}") {
            let _ = ShardIterator::decode(&text);
        }
    }
}
