"""Streams, shards and their settings, as the Kinesis API reference and developer guide document them."""

import pytest
from conftest import refused, wait_for

SERVICE = "kinesis"
TOP_HASH_KEY = 2**128 - 1
OUT_OF_RANGE = ("InvalidArgumentException", "ValidationException")


def ranges(shards):
    return sorted(
        (int(s["HashKeyRange"]["StartingHashKey"]), int(s["HashKeyRange"]["EndingHashKey"])) for s in shards
    )


def open_shards(shards):
    return [s for s in shards if "EndingSequenceNumber" not in s["SequenceNumberRange"]]


def covers_everything(shards):
    found = ranges(shards)
    following = [start for start, _ in found[1:]] + [TOP_HASH_KEY + 1]
    return found[0][0] == 0 and [end + 1 for _, end in found] == following


def test_new_stream_is_creating_then_active(aws):
    """CreateStream: "sets the stream status to CREATING [...] after the stream is created, to ACTIVE"."""
    name = aws.name()
    aws.kinesis.create_stream(StreamName=name, ShardCount=2)
    first = aws.kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    assert first["StreamStatus"] == "CREATING"
    summary = aws.active(name)
    assert summary["OpenShardCount"] == 2
    assert summary["RetentionPeriodHours"] == 24
    assert summary["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    assert summary["EncryptionType"] == "NONE"
    assert summary["ConsumerCount"] == 0
    assert summary["StreamARN"].startswith("arn:aws:kinesis:us-east-1:")
    assert summary["StreamARN"].endswith(f":stream/{name}")


def test_same_name_again_is_refused(aws):
    """CreateStream, Errors: ResourceInUseException, 400."""
    refused("ResourceInUseException", aws.kinesis.create_stream, StreamName=aws.stream(), ShardCount=1)


def test_bad_stream_name_is_refused(aws):
    """CreateStream: pattern [a-zA-Z0-9_.-]+, up to 128 characters; common errors: ValidationException, 400."""
    refused("ValidationException", aws.kinesis.create_stream, StreamName="no spaces", ShardCount=1)
    refused("ValidationException", aws.kinesis.create_stream, StreamName="n" * 129, ShardCount=1)


@pytest.mark.parametrize("operation", ["describe_stream", "describe_stream_summary", "list_shards", "delete_stream"])
def test_missing_stream_is_not_found(aws, operation):
    """Errors of each: ResourceNotFoundException, 400."""
    refused("ResourceNotFoundException", getattr(aws.kinesis, operation), StreamName=aws.name())


def test_stream_by_arn(aws):
    """DescribeStreamSummary: "you must use either the StreamARN or the StreamName parameter, or both"."""
    name = aws.stream()
    arn = aws.active(name)["StreamARN"]
    found = aws.kinesis.describe_stream_summary(StreamARN=arn)["StreamDescriptionSummary"]
    assert found["StreamName"] == name
    assert aws.kinesis.put_record(StreamARN=arn, PartitionKey="a", Data=b"x")["SequenceNumber"]


def test_deleted_stream_goes(aws):
    """DeleteStream: DELETING, then gone."""
    name = aws.stream()
    aws.kinesis.delete_stream(StreamName=name)

    def gone():
        return name not in aws.kinesis.list_streams(Limit=10000)["StreamNames"]

    wait_for("the stream is gone", gone)
    refused("ResourceNotFoundException", aws.kinesis.describe_stream_summary, StreamName=name)


def test_list_streams_pages(aws):
    """ListStreams: Limit, HasMoreStreams, ExclusiveStartStreamName; StreamSummaries beside the names."""
    names = sorted(aws.stream() for _ in range(3))
    before = names[0][:-1]
    page = aws.kinesis.list_streams(Limit=2, ExclusiveStartStreamName=before)
    assert len(page["StreamNames"]) == 2 and page["HasMoreStreams"] is True
    assert [s["StreamName"] for s in page["StreamSummaries"]] == page["StreamNames"]
    seen = page["StreamNames"]
    while page["HasMoreStreams"]:
        page = aws.kinesis.list_streams(Limit=2, ExclusiveStartStreamName=seen[-1])
        seen += page["StreamNames"]
    assert seen == sorted(set(seen)) and set(names) <= set(seen)


def test_shards_divide_the_hash_keys(aws):
    """Terminology, "Partition key": hash keys are 128 bit; CreateStream divides them among the shards."""
    shards = aws.shards(aws.stream(shards=3))
    assert [s["ShardId"] for s in shards] == [f"shardId-{n:012}" for n in range(3)]
    assert covers_everything(shards)


def test_describe_stream_pages_shards(aws):
    """DescribeStream: Limit, ExclusiveStartShardId, HasMoreShards."""
    name = aws.stream(shards=3)
    first = aws.kinesis.describe_stream(StreamName=name, Limit=2)["StreamDescription"]
    assert len(first["Shards"]) == 2 and first["HasMoreShards"] is True
    last = first["Shards"][-1]["ShardId"]
    rest = aws.kinesis.describe_stream(StreamName=name, ExclusiveStartShardId=last)["StreamDescription"]
    assert [s["ShardId"] for s in rest["Shards"]] == ["shardId-000000000002"]
    assert rest["HasMoreShards"] is False


def test_list_shards_pages(aws):
    """ListShards: MaxResults and NextToken; "you cannot specify both" a token and a stream's name."""
    name = aws.stream(shards=3)
    page = aws.kinesis.list_shards(StreamName=name, MaxResults=2)
    assert len(page["Shards"]) == 2
    refused(OUT_OF_RANGE, aws.kinesis.list_shards, StreamName=name, NextToken=page["NextToken"])
    rest = aws.kinesis.list_shards(NextToken=page["NextToken"])
    assert [s["ShardId"] for s in rest["Shards"]] == ["shardId-000000000002"]
    assert "NextToken" not in rest


def test_split_shard_makes_two_children(aws):
    """SplitShard; developer guide, "Split a shard": the parent is closed, its children share its hash keys."""
    name = aws.stream()
    aws.kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    aws.active(name)
    parent, low, high = aws.shards(name)
    assert int(parent["SequenceNumberRange"]["EndingSequenceNumber"]) > int(
        parent["SequenceNumberRange"]["StartingSequenceNumber"]
    )
    assert low["ParentShardId"] == high["ParentShardId"] == parent["ShardId"]
    assert ranges([low, high]) == [(0, 2**127 - 1), (2**127, TOP_HASH_KEY)]
    assert open_shards([parent, low, high]) == [low, high]


def test_split_shard_refuses_a_key_outside(aws):
    """SplitShard, Errors: InvalidArgumentException for a hash key that is not inside the shard."""
    name = aws.stream(shards=2)
    last = aws.shards(name)[1]
    refused("InvalidArgumentException", aws.kinesis.split_shard, StreamName=name, ShardToSplit=last["ShardId"],
            NewStartingHashKey="5")
    refused("ResourceNotFoundException", aws.kinesis.split_shard, StreamName=name,
            ShardToSplit="shardId-000000000009", NewStartingHashKey="5")


def test_merge_shards_names_both_parents(aws):
    """MergeShards: one child with ParentShardId and AdjacentParentShardId."""
    name = aws.stream(shards=2)
    aws.kinesis.merge_shards(
        StreamName=name, ShardToMerge="shardId-000000000000", AdjacentShardToMerge="shardId-000000000001"
    )
    aws.active(name)
    child = aws.shards(name)[2]
    assert {child["ParentShardId"], child["AdjacentParentShardId"]} == {f"shardId-{n:012}" for n in range(2)}
    assert open_shards(aws.shards(name)) == [child] and covers_everything([child])


def test_merge_refuses_shards_that_do_not_touch(aws):
    """MergeShards, Errors: InvalidArgumentException unless the two form a contiguous range."""
    name = aws.stream(shards=3)
    refused("InvalidArgumentException", aws.kinesis.merge_shards, StreamName=name,
            ShardToMerge="shardId-000000000000", AdjacentShardToMerge="shardId-000000000002")


def test_update_shard_count_doubles_and_halves(aws):
    """UpdateShardCount, UNIFORM_SCALING: open shards of even size; the closed ones stay listed."""
    name = aws.stream(shards=2)
    answer = aws.kinesis.update_shard_count(StreamName=name, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (2, 4)
    assert aws.active(name)["OpenShardCount"] == 4
    shards = aws.shards(name)
    assert len(open_shards(shards)) == 4 and len(shards) > 4 and covers_everything(open_shards(shards))
    aws.kinesis.update_shard_count(StreamName=name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    assert aws.active(name)["OpenShardCount"] == 2
    assert covers_everything(open_shards(aws.shards(name)))


def test_update_shard_count_beyond_double_is_refused(aws):
    """UpdateShardCount: not "more than double" nor "below half" the current count."""
    name = aws.stream(shards=4)
    codes = ("InvalidArgumentException", "LimitExceededException", "ValidationException")
    for target in (9, 1):
        refused(codes, aws.kinesis.update_shard_count, StreamName=name, TargetShardCount=target,
                ScalingType="UNIFORM_SCALING")


def test_list_shards_filters(aws):
    """ListShards, ShardFilter: AT_LATEST gives the open shards, AFTER_SHARD_ID those after one, the others all here."""
    name = aws.stream()
    aws.kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    aws.active(name)

    def ids(**shard_filter):
        listed = aws.kinesis.list_shards(StreamName=name, ShardFilter=shard_filter)["Shards"]
        return [int(s["ShardId"].rsplit("-", 1)[1]) for s in listed]

    assert ids(Type="AT_LATEST") == [1, 2]
    assert ids(Type="AFTER_SHARD_ID", ShardId="shardId-000000000001") == [2]
    assert ids(Type="FROM_TRIM_HORIZON") == [0, 1, 2]
    assert ids(Type="AT_TRIM_HORIZON") == [0]


def test_retention_goes_up_and_down(aws):
    """Increase- and DecreaseStreamRetentionPeriod: 24 to 8,760 hours."""
    name = aws.stream()
    aws.kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=48)
    assert aws.active(name)["RetentionPeriodHours"] == 48
    refused("InvalidArgumentException", aws.kinesis.increase_stream_retention_period, StreamName=name,
            RetentionPeriodHours=30)
    aws.kinesis.decrease_stream_retention_period(StreamName=name, RetentionPeriodHours=24)
    assert aws.active(name)["RetentionPeriodHours"] == 24
    refused(OUT_OF_RANGE, aws.kinesis.decrease_stream_retention_period, StreamName=name, RetentionPeriodHours=23)
    refused(OUT_OF_RANGE, aws.kinesis.increase_stream_retention_period, StreamName=name, RetentionPeriodHours=8761)


def test_on_demand_stream_has_four_shards(aws):
    """Developer guide, "On-demand mode": a new stream takes 4 MB/s and 4,000 records/s: four shards."""
    name = aws.name()
    aws.kinesis.create_stream(StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    summary = aws.active(name)
    assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert summary["OpenShardCount"] == 4
    assert len(aws.shards(name)) == 4


def test_stream_mode_switch_keeps_shards(aws):
    """UpdateStreamMode; developer guide: the shard count stays as it was."""
    name = aws.stream(shards=2)
    arn = aws.active(name)["StreamARN"]
    aws.kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    summary = aws.active(name)
    assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"} and summary["OpenShardCount"] == 2


def test_on_demand_refuses_resharding(aws):
    """UpdateShardCount and SplitShard: "only supported for [...] provisioned" streams; ValidationException."""
    name = aws.name()
    aws.kinesis.create_stream(StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    aws.active(name)
    refused(OUT_OF_RANGE, aws.kinesis.update_shard_count, StreamName=name, TargetShardCount=8,
            ScalingType="UNIFORM_SCALING")


def test_tags_of_a_stream(aws):
    """AddTagsToStream, ListTagsForStream, RemoveTagsFromStream."""
    name = aws.stream()
    aws.kinesis.add_tags_to_stream(StreamName=name, Tags={"a": "1", "b": "2"})
    aws.kinesis.remove_tags_from_stream(StreamName=name, TagKeys=["a"])
    answer = aws.kinesis.list_tags_for_stream(StreamName=name)
    assert answer["Tags"] == [{"Key": "b", "Value": "2"}] and answer["HasMoreTags"] is False


def test_tags_of_a_resource(aws):
    """TagResource, ListTagsForResource, UntagResource with the stream's ARN."""
    arn = aws.active(aws.stream())["StreamARN"]
    aws.kinesis.tag_resource(ResourceARN=arn, Tags={"a": "1", "b": "2"})
    aws.kinesis.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert aws.kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]


def test_encryption_starts_and_stops(aws):
    """StartStreamEncryption and StopStreamEncryption: KMS and its key, then NONE."""
    name = aws.stream()
    aws.kinesis.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    summary = aws.active(name)
    assert (summary["EncryptionType"], summary["KeyId"]) == ("KMS", "alias/aws/kinesis")
    aws.kinesis.stop_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    assert aws.active(name)["EncryptionType"] == "NONE"


def test_enhanced_monitoring_is_remembered(aws):
    """EnableEnhancedMonitoring answers the metrics before and after; ALL stands for every one."""
    name = aws.stream()
    answer = aws.kinesis.enable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=["IncomingBytes"])
    assert answer["CurrentShardLevelMetrics"] == []
    assert answer["DesiredShardLevelMetrics"] == ["IncomingBytes"]
    monitored = aws.active(name)["EnhancedMonitoring"]
    assert [m["ShardLevelMetrics"] for m in monitored] == [["IncomingBytes"]]
    answer = aws.kinesis.disable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=["ALL"])
    assert answer["CurrentShardLevelMetrics"] == ["IncomingBytes"]
    assert answer["DesiredShardLevelMetrics"] == []


def test_consumers_register_and_go(aws):
    """RegisterStreamConsumer, DescribeStreamConsumer, ListStreamConsumers, DeregisterStreamConsumer."""
    arn = aws.active(aws.stream())["StreamARN"]
    made = aws.kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="reader")["Consumer"]
    assert made["ConsumerARN"].startswith(f"{arn}/consumer/reader:") and made["ConsumerStatus"] == "CREATING"

    def status():
        answer = aws.kinesis.describe_stream_consumer(StreamARN=arn, ConsumerName="reader")
        return answer["ConsumerDescription"]["ConsumerStatus"]

    wait_for("the consumer is ACTIVE", lambda: status() == "ACTIVE")
    refused("ResourceInUseException", aws.kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="reader")
    assert [c["ConsumerName"] for c in aws.kinesis.list_stream_consumers(StreamARN=arn)["Consumers"]] == ["reader"]
    aws.kinesis.deregister_stream_consumer(StreamARN=arn, ConsumerName="reader")
    wait_for("no consumer", lambda: aws.kinesis.list_stream_consumers(StreamARN=arn)["Consumers"] == [])


def test_delete_with_consumers_is_refused(aws):
    """DeleteStream: with EnforceConsumerDeletion unset or false and consumers, ResourceInUseException."""
    name = aws.stream()
    arn = aws.active(name)["StreamARN"]
    aws.kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="reader")
    refused("ResourceInUseException", aws.kinesis.delete_stream, StreamName=name)
    aws.kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)
    wait_for("the stream is gone", lambda: name not in aws.kinesis.list_streams(Limit=10000)["StreamNames"])


def is_deleting(aws, name):
    try:
        summary = aws.kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    except aws.kinesis.exceptions.ResourceNotFoundException:
        return False
    return summary["StreamStatus"] == "DELETING"


def test_limits_count_open_shards(aws):
    """DescribeLimits: ShardLimit, OpenShardCount, OnDemandStreamCount, OnDemandStreamCountLimit."""
    names = aws.kinesis.list_streams(Limit=10000)["StreamNames"]
    for name in names:  # What earlier tests delete must not go while this one counts.
        wait_for(f"{name} is not DELETING", lambda: not is_deleting(aws, name), every_s=0.05)
    before = aws.kinesis.describe_limits()["OpenShardCount"]
    aws.stream(shards=2)
    after = aws.kinesis.describe_limits()
    assert after["OpenShardCount"] == before + 2
    assert after["ShardLimit"] >= 20_000 or aws.backend == "ferrokinesis"  # There we set the limit.
    assert after["OnDemandStreamCountLimit"] >= after["OnDemandStreamCount"] >= 0
