"""Records: puts, limits, iterators and reads, as the Kinesis API reference and developer guide document them."""

import datetime
import hashlib
import time

import botocore.exceptions
import pytest
from conftest import refused, wait_for

SERVICE = "kinesis"
# The reference gives InvalidArgumentException for arguments and ValidationException as a common error; the
# pages do not say which of them a length or a range brings.
INVALID = ("InvalidArgumentException", "ValidationException")
MIB = 1024 * 1024
LEFT, RIGHT = "shardId-000000000000", "shardId-000000000001"


def put(aws, name, data=b"x", key="a", **more):
    return aws.kinesis.put_record(StreamName=name, PartitionKey=key, Data=data, **more)


def test_sequence_numbers_rise(aws):
    """PutRecord: sequence numbers "generally increase over time" in a shard; each is unique there."""
    name = aws.stream()
    numbers = [int(put(aws, name)["SequenceNumber"]) for _ in range(20)]
    assert numbers == sorted(set(numbers))
    assert int(aws.shards(name)[0]["SequenceNumberRange"]["StartingSequenceNumber"]) < numbers[0]


def test_sequence_number_for_ordering(aws):
    """PutRecord, SequenceNumberForOrdering: "guarantees strictly increasing sequence numbers" from one client."""
    name = aws.stream()
    first = put(aws, name)["SequenceNumber"]
    second = put(aws, name, SequenceNumberForOrdering=first)["SequenceNumber"]
    assert int(second) > int(first)
    refused(INVALID, put, aws, name, SequenceNumberForOrdering="no number")


def test_records_come_back_whole(aws):
    """GetRecords: Data, PartitionKey, SequenceNumber, ApproximateArrivalTimestamp."""
    name = aws.stream()
    data = bytes(range(256))
    number = put(aws, name, data, "schlüssel")["SequenceNumber"]
    record = aws.read(aws.iterator(name), 1)[0]
    assert (record["Data"], record["PartitionKey"], record["SequenceNumber"]) == (data, "schlüssel", number)
    age = datetime.datetime.now(datetime.timezone.utc) - record["ApproximateArrivalTimestamp"]
    assert abs(age.total_seconds()) < 60


def test_partition_key_goes_by_md5(aws):
    """Terminology, "Partition key": "An MD5 hash function is used to map partition keys to 128-bit integer values"."""
    name = aws.stream(shards=2)
    for key in ("a", "b", "c", "key-7"):
        wanted = RIGHT if int(hashlib.md5(key.encode()).hexdigest(), 16) >= 2**127 else LEFT
        assert put(aws, name, key=key)["ShardId"] == wanted


def test_explicit_hash_key_overrides(aws):
    """PutRecord, ExplicitHashKey: "overriding the partition key hash"."""
    name = aws.stream(shards=2)
    assert put(aws, name, ExplicitHashKey="0")["ShardId"] == LEFT
    assert put(aws, name, ExplicitHashKey=str(2**128 - 1))["ShardId"] == RIGHT
    answer = aws.kinesis.put_records(StreamName=name, Records=[
        {"Data": b"x", "PartitionKey": "a", "ExplicitHashKey": hash_key} for hash_key in ("0", str(2**127))
    ])
    assert [r["ShardId"] for r in answer["Records"]] == [LEFT, RIGHT]


def test_explicit_hash_key_beyond_128_bit(aws):
    """PutRecord: pattern 0|([1-9]\\d{0,38}); a value above 2^128 - 1 is an InvalidArgumentException."""
    name = aws.stream()
    refused("InvalidArgumentException", put, aws, name, ExplicitHashKey=str(2**128))
    refused(INVALID, put, aws, name, ExplicitHashKey="-1")


@pytest.mark.parametrize("key", ["", "k" * 257], ids=["empty", "long"])
def test_partition_key_length(aws, key):
    """PutRecord, PartitionKey: 1 to 256 characters."""
    refused(INVALID, put, aws, aws.stream(), key=key)


def test_put_to_missing_stream(aws):
    """PutRecord and PutRecords, Errors: ResourceNotFoundException."""
    refused("ResourceNotFoundException", put, aws, aws.name())
    refused("ResourceNotFoundException", aws.kinesis.put_records, StreamName=aws.name(),
            Records=[{"Data": b"x", "PartitionKey": "a"}])


def test_record_of_one_mib_with_its_key(aws):
    """Quotas: a record has up to 1 MiB by default; PutRecord counts data and partition key."""
    name = aws.stream()
    assert put(aws, name, b"x" * (MIB - 1))["SequenceNumber"]
    refused(INVALID, put, aws, aws.stream(), b"x" * (MIB + 1))


def test_put_records_takes_500(aws):
    """PutRecords: "up to 500 records"; at least one."""
    name = aws.stream()
    records = [{"Data": b"x", "PartitionKey": str(n)} for n in range(501)]
    refused(INVALID, aws.kinesis.put_records, StreamName=name, Records=records)
    refused(INVALID, aws.kinesis.put_records, StreamName=name, Records=[])
    answer = aws.kinesis.put_records(StreamName=name, Records=records[:500])
    assert answer["FailedRecordCount"] == 0 and len(answer["Records"]) == 500
    assert all(set(r) == {"SequenceNumber", "ShardId"} for r in answer["Records"])


def test_put_records_takes_ten_mib(aws):
    """PutRecords: "up to [...] 10 MiB for the entire request, including partition keys"."""
    name = aws.stream(shards=2)
    records = [{"Data": b"x" * (MIB - 10), "PartitionKey": str(n)} for n in range(11)]
    refused(INVALID, aws.kinesis.put_records, StreamName=name, Records=records)


def test_put_records_beyond_the_shard_fails_in_part(aws):
    """PutRecords: 200, FailedRecordCount, and per record ErrorCode ProvisionedThroughputExceededException."""
    name = aws.stream()
    records = [{"Data": b"x", "PartitionKey": "a"}] * 500
    answers = [aws.kinesis.put_records(StreamName=name, Records=records) for _ in range(5)]
    failed = sum(answer["FailedRecordCount"] for answer in answers)
    results = [r for answer in answers for r in answer["Records"]]
    errors = [r for r in results if "ErrorCode" in r]
    assert len(results) == 2500 and failed == len(errors) > 0
    assert {r["ErrorCode"] for r in errors} == {"ProvisionedThroughputExceededException"}
    assert all(r["ErrorMessage"] and "SequenceNumber" not in r for r in errors)


def test_put_record_beyond_the_shard_is_refused(aws):
    """Quotas: 1 MB/s a shard; PutRecord, Errors: ProvisionedThroughputExceededException, 400."""
    name = aws.stream()
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        for _ in range(6):
            put(aws, name, b"x" * 700_000)
    assert raised.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_trim_horizon_reads_all(aws):
    """GetShardIterator: TRIM_HORIZON starts "at the last untrimmed record in the shard"."""
    name = aws.stream()
    numbers = [put(aws, name)["SequenceNumber"] for _ in range(3)]
    assert [r["SequenceNumber"] for r in aws.read(aws.iterator(name), 3)] == numbers


def test_latest_reads_what_comes_after(aws):
    """GetShardIterator: LATEST starts "just after the most recent record in the shard"."""
    name = aws.stream()
    put(aws, name, b"before")
    iterator = aws.iterator(name, kind="LATEST")
    put(aws, name, b"after")
    assert [r["Data"] for r in aws.read(iterator, 1)] == [b"after"]


def test_iterators_by_sequence_number(aws):
    """GetShardIterator: AT_SEQUENCE_NUMBER starts with the record, AFTER_SEQUENCE_NUMBER right after it."""
    name = aws.stream()
    numbers = [put(aws, name)["SequenceNumber"] for _ in range(3)]
    at = aws.iterator(name, kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1])
    after = aws.iterator(name, kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1])
    assert [r["SequenceNumber"] for r in aws.read(at, 2)] == numbers[1:]
    assert [r["SequenceNumber"] for r in aws.read(after, 1)] == numbers[2:]


def test_iterator_at_timestamp(aws):
    """GetShardIterator, AT_TIMESTAMP: the next record when none has the exact time stamp; old ones mean the horizon."""
    name = aws.stream()
    put(aws, name, b"before")
    time.sleep(1.1)
    between = datetime.datetime.now(datetime.timezone.utc)
    time.sleep(1.1)
    put(aws, name, b"after")
    assert [r["Data"] for r in aws.read(aws.iterator(name, kind="AT_TIMESTAMP", Timestamp=between), 1)] == [b"after"]
    old = between - datetime.timedelta(days=2)
    assert len(aws.read(aws.iterator(name, kind="AT_TIMESTAMP", Timestamp=old), 2)) == 2


def test_iterator_arguments_are_checked(aws):
    """GetShardIterator, Errors: InvalidArgumentException; ResourceNotFoundException for an unknown shard."""
    name = aws.stream()
    get = aws.kinesis.get_shard_iterator
    refused(INVALID, get, StreamName=name, ShardId=LEFT, ShardIteratorType="AT_SEQUENCE_NUMBER")
    refused(INVALID, get, StreamName=name, ShardId=LEFT, ShardIteratorType="AT_TIMESTAMP")
    refused(INVALID, get, StreamName=name, ShardId=LEFT, ShardIteratorType="SOMEWHERE")
    refused("ResourceNotFoundException", get, StreamName=name, ShardId="shardId-000000000077",
            ShardIteratorType="LATEST")


def test_iterator_of_nonsense_is_refused(aws):
    """GetRecords, Errors: InvalidArgumentException, 400."""
    refused("InvalidArgumentException", aws.kinesis.get_records, ShardIterator="A" * 120)


def test_get_records_limit(aws):
    """GetRecords, Limit: up to 10,000, more is refused; the next iterator goes on without a gap."""
    name = aws.stream()
    numbers = [put(aws, name)["SequenceNumber"] for _ in range(5)]
    page = aws.kinesis.get_records(ShardIterator=aws.iterator(name), Limit=2)
    assert [r["SequenceNumber"] for r in page["Records"]] == numbers[:2]
    rest = aws.kinesis.get_records(ShardIterator=page["NextShardIterator"], Limit=10_000)
    assert [r["SequenceNumber"] for r in rest["Records"]] == numbers[2:]
    refused(INVALID, aws.kinesis.get_records, ShardIterator=page["NextShardIterator"], Limit=10_001)


def test_millis_behind_latest(aws):
    """GetRecords, MillisBehindLatest: time from the tip; "a value of zero indicates that record processing is caught up"."""
    name = aws.stream()
    put(aws, name)
    time.sleep(0.3)
    put(aws, name)
    behind = aws.kinesis.get_records(ShardIterator=aws.iterator(name), Limit=1)
    assert behind["MillisBehindLatest"] > 0
    caught_up = aws.kinesis.get_records(ShardIterator=behind["NextShardIterator"])
    assert caught_up["MillisBehindLatest"] == 0


def test_five_reads_a_second(aws):
    """GetRecords: "five transactions per second" a shard, then ProvisionedThroughputExceededException, 400."""
    name = aws.stream()
    iterator = aws.iterator(name, kind="LATEST")
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        for _ in range(20):
            iterator = aws.kinesis.get_records(ShardIterator=iterator)["NextShardIterator"]
    assert raised.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_closed_shard_ends_with_its_children(aws):
    """GetRecords: at a closed shard's end NextShardIterator is null, and ChildShards names the children."""
    name = aws.stream()
    put(aws, name, b"before")
    aws.kinesis.split_shard(StreamName=name, ShardToSplit=LEFT, NewStartingHashKey=str(2**127))
    aws.active(name)
    put(aws, name, b"after", ExplicitHashKey="0")
    answer, seen = aws.kinesis.get_records(ShardIterator=aws.iterator(name)), []

    def ended():
        nonlocal answer
        seen.extend(r["Data"] for r in answer["Records"])
        if answer.get("NextShardIterator") is None:
            return True
        answer = aws.kinesis.get_records(ShardIterator=answer["NextShardIterator"])
        return False

    wait_for("the closed shard ends", ended, bound_s=5, every_s=0.3)
    assert seen == [b"before"]
    children = {child["ShardId"]: child["ParentShards"] for child in answer["ChildShards"]}
    assert children == {RIGHT: [LEFT], "shardId-000000000002": [LEFT]}
    assert [r["Data"] for r in aws.read(aws.iterator(name, RIGHT), 1)] == [b"after"]


def test_larger_records_when_allowed(aws):
    """Developer guide, "Large records": up to 10 MiB where MaxRecordSizeInKiB says so."""
    name = aws.name()
    aws.kinesis.create_stream(StreamName=name, ShardCount=1, MaxRecordSizeInKiB=2048)
    assert aws.active(name)["MaxRecordSizeInKiB"] == 2048
    assert put(aws, name, b"x" * (2 * MIB - 1))["SequenceNumber"]
    refused(INVALID, put, aws, name, b"x" * (2 * MIB + 1))


def test_unknown_operation(aws):
    """Common errors: UnknownOperationException, 400, for a target that the service does not have."""
    import urllib.request

    request = urllib.request.Request(aws.url, data=b"{}", headers={
        "X-Amz-Target": "Kinesis_20131202.NoSuchThing", "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Date": "20261121T000000Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/20261121/us-east-1/kinesis/aws4_request, "
                         "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
    })
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=10)
    assert raised.value.code == 400 and b"UnknownOperationException" in raised.value.read()
