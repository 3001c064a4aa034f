"""Event source mappings from Kinesis, as the Lambda developer guide ("Using Lambda with Kinesis") documents them."""

import json

import functions
import pytest
from conftest import refused, wait_for
from functions import Trace

SERVICE = "mapping"


class Pipeline:
    """A stream of one shard, a function and the mapping between them."""

    def __init__(self, aws, tmp_path, variables=None, records=(), **settings):
        self.aws, self.trace, self.stream = aws, Trace(tmp_path), aws.stream()
        self.function = aws.name("-f")
        functions.create(aws, self.function, TRACE=str(self.trace.path), **(variables or {}))
        self.stream_arn = aws.active(self.stream)["StreamARN"]
        for text in records:
            self.put(text)
        settings = {"StartingPosition": "TRIM_HORIZON", **settings}
        self.uuid = aws.lambda_.create_event_source_mapping(
            EventSourceArn=self.stream_arn, FunctionName=self.function, **settings
        )["UUID"]

    def put(self, text):
        return self.aws.kinesis.put_record(StreamName=self.stream, PartitionKey="a", Data=text.encode())

    def found(self):
        return self.aws.lambda_.get_event_source_mapping(UUID=self.uuid)

    def state(self, wanted):
        wait_for(f"the mapping is {wanted}", lambda: self.found()["State"] == wanted, bound_s=45)

    def sees(self, *texts, bound_s=25):
        wait_for(f"{texts} in {self.trace.texts()}", lambda: set(texts) <= set(self.trace.texts()), bound_s=bound_s)


def failure_queue(aws):
    url = aws.sqs.create_queue(QueueName=aws.name("-q"))["QueueUrl"]
    return url, aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def failure_message(aws, url):
    def received():
        return aws.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages")

    return json.loads(wait_for("the on-failure message", received, bound_s=15)[0]["Body"])


def test_mapping_defaults(aws, tmp_path):
    """CreateEventSourceMapping: BatchSize 100, window 0, parallelization 1, retries and age -1, no bisect."""
    found = Pipeline(aws, tmp_path).found()
    assert (found["BatchSize"], found["MaximumBatchingWindowInSeconds"], found["ParallelizationFactor"]) == (100, 0, 1)
    assert (found["MaximumRetryAttempts"], found["MaximumRecordAgeInSeconds"]) == (-1, -1)
    assert found["BisectBatchOnFunctionError"] is False and found["StartingPosition"] == "TRIM_HORIZON"


@pytest.mark.parametrize("bad", [{"BatchSize": 10_001}, {"ParallelizationFactor": 11}, {"MaximumRetryAttempts": 10_001},
                                 {"MaximumBatchingWindowInSeconds": 301}], ids=lambda bad: next(iter(bad)))
def test_mapping_bounds(aws, tmp_path, bad):
    """CreateEventSourceMapping: the ranges of its numbers; InvalidParameterValueException or ValidationException."""
    pipeline = Pipeline(aws, tmp_path)
    refused(("InvalidParameterValueException", "ValidationException"), aws.lambda_.update_event_source_mapping,
            UUID=pipeline.uuid, **bad)


def test_records_reach_the_function_in_order(aws, tmp_path):
    """Developer guide: Lambda reads records from the stream and invokes the function with batches, in order."""
    texts = [f"r{n}" for n in range(20)]
    pipeline = Pipeline(aws, tmp_path, records=texts, BatchSize=7)
    pipeline.sees(*texts)
    assert pipeline.trace.texts() == texts
    assert max(len(batch) for batch in pipeline.trace.batches()) <= 7


def test_window_gathers_records(aws, tmp_path):
    """"Batching behavior": waits up to the window for a full batch."""
    pipeline = Pipeline(aws, tmp_path, BatchSize=100, MaximumBatchingWindowInSeconds=4)
    pipeline.state("Enabled")
    pipeline.put("one")
    pipeline.put("two")
    pipeline.sees("one", "two")
    assert pipeline.trace.batches() == [["one", "two"]]


def test_failed_batch_goes_to_the_queue(aws, tmp_path):
    """"Retain discarded batch records": after the retries the queue gets the shard and its sequence range."""
    url, arn = failure_queue(aws)
    variables = {"MODE": "raise", "POISON": "bad"}
    pipeline = Pipeline(aws, tmp_path, variables, ["bad"], MaximumRetryAttempts=1,
                        DestinationConfig={"OnFailure": {"Destination": arn}})
    message = failure_message(aws, url)
    assert message["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert message["requestContext"]["approximateInvokeCount"] == 2
    batch = message["KinesisBatchInfo"]
    assert batch["shardId"] == "shardId-000000000000" and batch["batchSize"] == 1
    assert batch["startSequenceNumber"] == batch["endSequenceNumber"]
    assert batch["streamArn"] == pipeline.stream_arn
    assert pipeline.trace.batches() == [["bad"], ["bad"]]
    pipeline.put("good")
    pipeline.sees("good")


def test_bisect_isolates_the_record(aws, tmp_path):
    """BisectBatchOnFunctionError: "split the batch in two and retry"; only the failing record is given up."""
    url, arn = failure_queue(aws)
    texts = [f"r{n}" for n in range(7)] + ["bad"]
    pipeline = Pipeline(aws, tmp_path, {"MODE": "raise", "POISON": "bad"}, texts, MaximumRetryAttempts=0,
                        BisectBatchOnFunctionError=True, DestinationConfig={"OnFailure": {"Destination": arn}})
    assert failure_message(aws, url)["KinesisBatchInfo"]["batchSize"] == 1
    assert ["bad"] in pipeline.trace.batches()
    good = [t for batch in pipeline.trace.batches() if "bad" not in batch for t in batch]
    assert good == texts[:-1]


def test_partial_response_goes_on_from_the_failed_record(aws, tmp_path):
    """"Configuring partial batch response": retries from the lowest failed sequence number on."""
    url, arn = failure_queue(aws)
    pipeline = Pipeline(aws, tmp_path, {"POISON": "bad"}, ["a", "b", "bad", "c"], MaximumRetryAttempts=1,
                        FunctionResponseTypes=["ReportBatchItemFailures"],
                        DestinationConfig={"OnFailure": {"Destination": arn}})
    assert failure_message(aws, url)["KinesisBatchInfo"]["shardId"] == "shardId-000000000000"
    batches = pipeline.trace.batches()
    assert batches[0][:3] == ["a", "b", "bad"] and batches[1][0] == "bad"
    assert sum(batch.count("a") for batch in batches) == 1


def test_filter_keeps_matching_records(aws, tmp_path):
    """"Control which events Lambda sends": records that do not match are not sent, and not kept for later."""
    criteria = {"Filters": [{"Pattern": json.dumps({"data": {"kind": ["wanted"]}})}]}
    texts = [json.dumps({"kind": kind, "n": n}) for n, kind in enumerate(["wanted", "other", "wanted"])]
    pipeline = Pipeline(aws, tmp_path, records=texts, FilterCriteria=criteria)
    pipeline.sees(texts[0], texts[2])
    assert texts[1] not in pipeline.trace.texts()


def test_disabled_mapping_waits(aws, tmp_path):
    """UpdateEventSourceMapping, Enabled: pauses polling; enabled again, it goes on where it was."""
    pipeline = Pipeline(aws, tmp_path, records=["one"])
    pipeline.sees("one")
    aws.lambda_.update_event_source_mapping(UUID=pipeline.uuid, Enabled=False)
    pipeline.state("Disabled")
    pipeline.put("two")
    aws.lambda_.update_event_source_mapping(UUID=pipeline.uuid, Enabled=True)
    pipeline.state("Enabled")
    pipeline.sees("two")
    assert pipeline.trace.texts() == ["one", "two"]


def test_mapping_is_updated(aws, tmp_path):
    """UpdateEventSourceMapping: new settings hold for what follows."""
    pipeline = Pipeline(aws, tmp_path)
    aws.lambda_.update_event_source_mapping(UUID=pipeline.uuid, BatchSize=2, MaximumRetryAttempts=3)
    pipeline.state("Enabled")
    assert (pipeline.found()["BatchSize"], pipeline.found()["MaximumRetryAttempts"]) == (2, 3)
    aws.kinesis.put_records(StreamName=pipeline.stream, Records=[
        {"Data": f"r{n}".encode(), "PartitionKey": "a"} for n in range(6)
    ])
    pipeline.sees(*[f"r{n}" for n in range(6)])
    assert max(len(batch) for batch in pipeline.trace.batches()) <= 2


def test_mapping_is_deleted(aws, tmp_path):
    """DeleteEventSourceMapping: Deleting, then ResourceNotFoundException, 404."""
    pipeline = Pipeline(aws, tmp_path)
    aws.lambda_.delete_event_source_mapping(UUID=pipeline.uuid)

    def gone():
        listed = aws.lambda_.list_event_source_mappings(FunctionName=pipeline.function)["EventSourceMappings"]
        return not listed

    wait_for("the mapping is gone", gone, bound_s=45)
    refused("ResourceNotFoundException", aws.lambda_.get_event_source_mapping, status=404, UUID=pipeline.uuid)


def test_mapping_follows_a_split(aws, tmp_path):
    """Developer guide: records of a parent are processed before those of its children."""
    pipeline = Pipeline(aws, tmp_path, records=["before"])
    aws.kinesis.split_shard(StreamName=pipeline.stream, ShardToSplit="shardId-000000000000",
                            NewStartingHashKey=str(2**127))
    aws.active(pipeline.stream)
    pipeline.put("after")
    pipeline.sees("before", "after", bound_s=25)
    assert pipeline.trace.texts() == ["before", "after"]


def test_tumbling_window_is_said_or_kept(aws, tmp_path):
    """CreateEventSourceMapping, TumblingWindowInSeconds: honoured, or refused; never taken without a word."""
    try:
        pipeline = Pipeline(aws, tmp_path, TumblingWindowInSeconds=30)
    except aws.lambda_.exceptions.InvalidParameterValueException as error:
        assert "umbling" in error.response["Error"]["Message"]
    else:
        assert pipeline.found()["TumblingWindowInSeconds"] == 30
