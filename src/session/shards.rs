//! The open shards, for keys that take turns over them.

use std::sync::Arc;

use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_kinesis::types::{Shard, ShardFilter, ShardFilterType};

use crate::plan::{KeyDistribution, Test};
use crate::platform::refusals::is_denial;

use super::SessionError;
use super::run::RunRequest;

/// Answers of ListShards that are read, each of up to 1,000 shards: the largest stream has 20,000.
const PAGES_MAX: usize = 100;

/// For a test whose keys take turns: the middle of each open shard's hash keys, in the shards' order, as
/// `ExplicitHashKey` takes it. For any other: none. A shard that splits or merges later hands its part on to the
/// child that holds its middle.
///
/// # Errors
/// The shards cannot be listed.
pub(super) async fn hash_keys(request: &RunRequest, test: &Test) -> Result<Arc<[Arc<str>]>, SessionError> {
    if test.keys.distribution != KeyDistribution::RoundRobin {
        return Ok(Arc::default());
    }
    let open = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build();
    let open = open.expect("its type, all that is required, is set");
    let (mut middles, mut token) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let call = request.clients.kinesis.list_shards();
        // A token brings the stream and the filter with it, and stands alone.
        let call = match token {
            None => call.stream_name(&request.standing.stream_name).shard_filter(open.clone()),
            Some(token) => call.next_token(token),
        };
        let page = call.send().await.map_err(|error| {
            let detail = DisplayErrorContext(&error).to_string();
            match error.code().is_some_and(is_denial) {
                true => SessionError::Denied { doing: "list the stream's shards", detail },
                false => SessionError::EnvironmentGone(format!("the shards cannot be listed: {detail}")),
            }
        })?;
        middles.extend(page.shards().iter().filter_map(middle));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    Ok(middles.into())
}

/// The middle of a shard's hash keys.
fn middle(shard: &Shard) -> Option<Arc<str>> {
    let range = shard.hash_key_range()?;
    let first: u128 = range.starting_hash_key().parse().ok()?;
    let last: u128 = range.ending_hash_key().parse().ok()?;
    let middle = first + last.checked_sub(first)? / 2;
    Some(middle.to_string().into())
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::types::HashKeyRange;

    use super::*;

    #[test]
    fn the_middle_of_a_range_is_inside_it_however_large() {
        let shard = |first: u128, last: u128| {
            let range = HashKeyRange::builder();
            let range = range.starting_hash_key(first.to_string()).ending_hash_key(last.to_string());
            Shard::builder().shard_id("s").hash_key_range(range.build().unwrap()).sequence_number_range(
                aws_sdk_kinesis::types::SequenceNumberRange::builder()
                    .starting_sequence_number("1")
                    .build()
                    .unwrap(),
            )
        };
        let middle_of =
            |first, last| middle(&shard(first, last).build().unwrap()).map(|text| text.to_string());
        assert_eq!(middle_of(0, u128::MAX), Some((u128::MAX / 2).to_string()));
        assert_eq!(middle_of(u128::MAX - 2, u128::MAX), Some((u128::MAX - 1).to_string()));
        assert_eq!(middle_of(7, 7), Some("7".to_owned()));
    }
}
