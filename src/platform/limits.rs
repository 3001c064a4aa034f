//! AWS's limits, each with where it is documented. Prices are in `prices/`, not here.

/// Records a second that one provisioned shard takes in. Kinesis developer guide, "Quotas and limits".
pub const SHARD_WRITE_RECORDS_PER_S: u64 = 1_000;
/// Bytes a second that one provisioned shard takes in (data and partition keys). Same source.
pub const SHARD_WRITE_BYTES_PER_S: u64 = 1_048_576;
/// Bytes a second that one shard gives out to shared readers. Same source.
pub const SHARD_READ_BYTES_PER_S: u64 = 2_097_152;
/// GetRecords calls a second that one shard answers. Same source.
pub const SHARD_READ_CALLS_PER_S: u64 = 5;
/// Records that one GetRecords call returns at most. Kinesis API reference, GetRecords.
pub const GET_RECORDS_MAX_RECORDS: usize = 10_000;
/// Bytes that one GetRecords call returns at most. Kinesis API reference, GetRecords.
pub const GET_RECORDS_MAX_BYTES: usize = 10 * 1_048_576;
/// Records that one PutRecords call takes. Kinesis API reference, PutRecords.
pub const PUT_RECORDS_MAX_RECORDS: usize = 500;
/// Bytes that one PutRecords call takes, partition keys included. Kinesis developer guide, 2025-10-28.
pub const PUT_RECORDS_MAX_BYTES: usize = 10 * 1_048_576;
/// Default and smallest maximum record size, KiB. CloudFormation schema, `MaxRecordSizeInKiB`.
pub const RECORD_MAX_KIB_DEFAULT: u32 = 1_024;
/// Largest maximum record size that a stream can opt in to, KiB. Same source.
pub const RECORD_MAX_KIB_LARGEST: u32 = 10_240;
/// Characters of a partition key. Kinesis API reference, PutRecord.
pub const PARTITION_KEY_MAX_CHARS: usize = 256;
/// Shards per account outside the three largest regions. Kinesis developer guide, "Quotas and limits".
pub const SHARDS_MAX: u32 = 20_000;
/// Shards of a new on-demand stream: 4 MB/s and 4,000 records/s. Kinesis developer guide, "Choose the right
/// mode to stream in".
pub const ON_DEMAND_SHARDS: u32 = 4;
/// Shards to which an on-demand stream grows: 10 GB/s in the three largest regions. Same guide, "Quotas and
/// limits".
pub const ON_DEMAND_SHARDS_MAX: u32 = 10_000;
/// On-demand streams per account. Same source.
pub const ON_DEMAND_STREAMS_MAX: usize = 50;
/// Largest target of UpdateShardCount. Kinesis API reference, UpdateShardCount.
pub const UPDATE_SHARD_COUNT_MAX: u32 = 10_000;
/// UpdateShardCount calls per stream in 24 hours. Same source.
pub const UPDATE_SHARD_COUNT_PER_DAY: usize = 10;
/// Switches of the capacity mode per stream in 24 hours. Kinesis developer guide, "Switch between modes".
pub const MODE_SWITCHES_PER_DAY: usize = 2;
/// Shards in one answer of DescribeStream. Kinesis API reference, DescribeStream.
pub const DESCRIBE_STREAM_MAX_SHARDS: usize = 100;
/// Shards in one answer of ListShards. Kinesis API reference, ListShards.
pub const LIST_SHARDS_MAX_SHARDS: usize = 1_000;
/// Registered consumers of a stream. Kinesis API reference, RegisterStreamConsumer.
pub const CONSUMERS_MAX: usize = 20;
/// Consumers of an account that may be CREATING at once. Same source.
pub const CONSUMERS_CREATING_MAX: usize = 5;
/// Retention bounds, hours. Kinesis developer guide.
pub const RETENTION_HOURS: std::ops::RangeInclusive<u32> = 24..=8_760;

/// Function memory, MB. Lambda developer guide, "Lambda quotas".
pub const FUNCTION_MEMORY_MB: std::ops::RangeInclusive<u32> = 128..=10_240;
/// With this memory a function has one vCPU, with less in proportion less, MB. Lambda developer guide, "Configure Lambda
/// function memory".
pub const FUNCTION_ONE_VCPU_MB: u32 = 1_769;
/// Function timeout, seconds. Lambda developer guide, "Lambda quotas".
pub const FUNCTION_TIMEOUT_S: std::ops::RangeInclusive<u32> = 1..=900;
/// Bytes of a synchronous invocation's payload. Same source.
pub const INVOKE_PAYLOAD_MAX_BYTES: usize = 6 * 1_048_576;
/// Concurrent executions of an account and region unless raised. Same source.
pub const ACCOUNT_CONCURRENCY_DEFAULT: u32 = 1_000;
/// Event source mapping of a stream: records a batch. Lambda API reference, CreateEventSourceMapping.
pub const MAPPING_BATCH_SIZE: std::ops::RangeInclusive<u32> = 1..=10_000;
/// Batching window, seconds. Same source.
pub const MAPPING_WINDOW_S: std::ops::RangeInclusive<u32> = 0..=300;
/// Concurrent batches a shard. Same source.
pub const MAPPING_PARALLELIZATION: std::ops::RangeInclusive<u32> = 1..=10;
/// Retries of a failing batch; -1 is until it expires. Same source.
pub const MAPPING_RETRIES: std::ops::RangeInclusive<i32> = -1..=10_000;
/// Maximum record age, seconds; -1 is none, otherwise at least 60. Same source.
pub const MAPPING_RECORD_AGE_S: std::ops::RangeInclusive<i32> = -1..=604_800;

/// Bytes of an SQS message. SQS developer guide (1 MiB since 2025).
pub const SQS_MESSAGE_MAX_BYTES: usize = 1_048_576;
/// Bytes that SQS bills as one request. SQS pricing page.
pub const SQS_BILLED_CHUNK_BYTES: u64 = 65_536;
/// Bytes of one Kinesis PUT payload unit. Kinesis pricing page.
pub const PUT_PAYLOAD_UNIT_BYTES: u64 = 25 * 1_024;
/// Bytes of a template given in the request body. CloudFormation quotas.
pub const TEMPLATE_BODY_MAX_BYTES: usize = 51_200;
