"""A client that others wrote drives the local endpoint through the whole pipeline.

Starts `streamgauge local`, creates the stack from stacks/pipeline.yaml, puts records, reads them back
with shard iterators, finds the receipts in SQS, gets AWS/Kinesis and AWS/Lambda metrics, sees stack
events, deletes the stack. Every wait has a bound; any surprise is an assertion with what was seen.

    python tests/contract/boto3_pipeline.py target/release/streamgauge target/release/consumer
"""

import base64
import datetime as dt
import io
import json
import pathlib
import subprocess
import sys
import time
import zipfile

import boto3
import botocore.exceptions
from hdrh.histogram import HdrHistogram

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN_ID = "20261121-000000-boto"
RECORDS = 250


def wait_for(what, probe, bound_s=60.0, every_s=0.2):
    """Polls `probe` until it returns something truthy; fails after `bound_s`."""
    ends = time.monotonic() + bound_s
    while time.monotonic() < ends:
        found = probe()
        if found:
            return found
        time.sleep(every_s)
    raise AssertionError(f"{what}: not within {bound_s:.0f} s")


def function_zip(bootstrap):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        info = zipfile.ZipInfo("bootstrap")
        info.external_attr = 0o755 << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, pathlib.Path(bootstrap).read_bytes())
    return buffer.getvalue()


def envelope(sequence):
    head = {"sg": {"r": RUN_ID, "l": 0, "s": sequence, "d": int(time.time() * 1e6)}, "text": "from boto3"}
    return json.dumps(head, separators=(",", ":")).encode()


class Endpoint:
    def __init__(self, streamgauge):
        self.process = subprocess.Popen(
            [streamgauge, "local", "--port", "0"], stdout=subprocess.PIPE, text=True, cwd=ROOT / "target"
        )
        line = self.process.stdout.readline()
        assert "http://127.0.0.1:" in line, f"first line on stdout: {line!r}"
        self.url = "http://127.0.0.1:" + line.split("http://127.0.0.1:")[1].split()[0].rstrip("/")

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=boto3.session.Config(s3={"addressing_style": "path"}),
        )

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)


def create_stack(cloud, s3, archive):
    s3.create_bucket(Bucket="boto3-artifacts")
    s3.put_object(Bucket="boto3-artifacts", Key="function.zip", Body=archive)
    assert s3.get_object(Bucket="boto3-artifacts", Key="function.zip")["Body"].read() == archive
    template = (ROOT / "stacks" / "pipeline.yaml").read_text()
    declared = {p["ParameterKey"]: p for p in cloud.validate_template(TemplateBody=template)["Parameters"]}
    wanted = {
        "EnvironmentName": "boto3",
        "CodeBucket": "boto3-artifacts",
        "CodeKey": "function.zip",
    }
    missing = set(wanted) - set(declared)
    assert not missing, f"stacks/pipeline.yaml has no parameter {missing}; it has {sorted(declared)}"
    without_value = [k for k, p in declared.items() if "DefaultValue" not in p and k not in wanted]
    assert not without_value, f"parameters without a default: {without_value}"
    cloud.create_stack(
        StackName="streamgauge-boto3-pipeline",
        TemplateBody=template,
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in wanted.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Tags=[{"Key": "made-by", "Value": "boto3"}],
    )
    cloud.get_waiter("stack_create_complete").wait(
        StackName="streamgauge-boto3-pipeline", WaiterConfig={"Delay": 1, "MaxAttempts": 90}
    )
    stack = cloud.describe_stacks(StackName="streamgauge-boto3-pipeline")["Stacks"][0]
    assert {"Key": "made-by", "Value": "boto3"} in stack["Tags"], stack["Tags"]
    return {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}


def put_records(kinesis, stream):
    single = kinesis.put_record(StreamName=stream, PartitionKey="key-0", Data=envelope(0))
    assert single["ShardId"].startswith("shardId-"), single
    answer = kinesis.put_records(
        StreamName=stream,
        Records=[{"PartitionKey": f"key-{n % 7}", "Data": envelope(n)} for n in range(1, RECORDS)],
    )
    assert answer["FailedRecordCount"] == 0, answer["FailedRecordCount"]


def read_back(kinesis, stream):
    """All records through shard iterators: our sequence -> Kinesis sequence number."""
    seen = {}
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        for _ in range(20):
            try:
                answer = kinesis.get_records(ShardIterator=iterator)
            except kinesis.exceptions.ProvisionedThroughputExceededException:
                time.sleep(0.3)  # Shared with the event source mapping: five reads a second.
                continue
            for record in answer["Records"]:
                assert isinstance(record["ApproximateArrivalTimestamp"], dt.datetime)
                sequence = json.loads(record["Data"])["sg"]["s"]
                assert sequence not in seen, f"record {sequence} twice"
                seen[sequence] = record["SequenceNumber"]
            iterator = answer["NextShardIterator"]
            if answer["MillisBehindLatest"] == 0:
                break
    assert sorted(seen) == list(range(RECORDS)), f"{len(seen)} records read back"
    return seen


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def signed(value):
    return (value >> 1) ^ -(value & 1)


def decode_records(text):
    """The records of a receipt, read as docs/receipts.md says: (level, sequence, outcome, sequence number)."""
    data, at, level, sequence, digits, found = base64.b64decode(text), 0, 0, 0, "", []
    while at < len(data):
        delta, at = varint(data, at)
        level += signed(delta)
        delta, at = varint(data, at)
        sequence = (sequence + signed(delta)) % 2**64
        outcome, at = data[at], at + 1
        shared, at = varint(data, at)
        count, at = varint(data, at)
        packed = data[at : at + (count + 1) // 2].hex()[:count]
        at += (count + 1) // 2
        digits = digits[:shared] + packed
        found.append((level, sequence, outcome, digits))
    return found


def receipts(sqs, queue_url, numbers):
    """Waits until the receipts name every record, each once, under the sequence number that Kinesis gave it."""
    received = {}

    def drain():
        answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            body = json.loads(message["Body"])
            assert body["run"] == RUN_ID, body
            received[(body["id"], body["part"])] = body
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return sum(body["count"] for body in received.values()) >= RECORDS

    wait_for("receipts of all records", drain)
    seen = {}
    for body in received.values():
        records = decode_records(body["records"])
        assert len(records) == body["count"], body
        for level, sequence, outcome, number in records:
            assert (level, outcome) == (0, 0), (level, outcome)
            assert sequence not in seen, f"record {sequence} twice"
            seen[sequence] = number
        latencies = HdrHistogram.decode(body["levels"][0]["e2e"])
        assert latencies.get_total_count() == body["count"]
        assert 0 < latencies.get_max_value() < 60_000_000, latencies.get_max_value()
    assert seen == numbers, "the receipts name other records than the stream holds"
    return len(received)


def metric_sum(cloudwatch, namespace, metric, dimension, value):
    now = dt.datetime.now(dt.timezone.utc)
    answer = cloudwatch.get_metric_data(
        StartTime=now - dt.timedelta(minutes=10),
        EndTime=now + dt.timedelta(minutes=2),
        MetricDataQueries=[
            {
                "Id": "m",
                "MetricStat": {
                    "Metric": {
                        "Namespace": namespace,
                        "MetricName": metric,
                        "Dimensions": [{"Name": dimension, "Value": value}],
                    },
                    "Period": 60,
                    "Stat": "Sum",
                },
            }
        ],
    )
    return sum(answer["MetricDataResults"][0]["Values"])


def main(streamgauge, consumer):
    endpoint = Endpoint(streamgauge)
    try:
        cloud, s3, kinesis = (endpoint.client(name) for name in ("cloudformation", "s3", "kinesis"))
        sqs, cloudwatch, awslambda = (endpoint.client(name) for name in ("sqs", "cloudwatch", "lambda"))
        logs = endpoint.client("logs")
        assert endpoint.client("sts").get_caller_identity()["Account"].isdigit()

        outputs = create_stack(cloud, s3, function_zip(consumer))
        stream, function = outputs["StreamName"], outputs["FunctionName"]
        put_records(kinesis, stream)
        count = receipts(sqs, outputs["ReceiptsQueueUrl"], read_back(kinesis, stream))
        assert metric_sum(cloudwatch, "AWS/Kinesis", "IncomingRecords", "StreamName", stream) == RECORDS
        invocations = metric_sum(cloudwatch, "AWS/Lambda", "Invocations", "FunctionName", function)
        assert invocations >= count, (invocations, count)
        listed = cloudwatch.list_metrics(Namespace="AWS/Lambda")["Metrics"]
        assert any(m["MetricName"] == "Duration" for m in listed), listed
        report = wait_for(
            "REPORT lines",
            lambda: logs.filter_log_events(logGroupName=outputs["LogGroupName"], filterPattern="REPORT")["events"],
        )
        assert "Billed Duration" in report[0]["message"], report[0]
        mapping = awslambda.list_event_source_mappings(FunctionName=function)["EventSourceMappings"][0]
        assert mapping["State"] == "Enabled" and mapping["StartingPosition"] == "TRIM_HORIZON", mapping

        events = cloud.describe_stack_events(StackName="streamgauge-boto3-pipeline")["StackEvents"]
        kinds = {(e["ResourceType"], e["ResourceStatus"]) for e in events}
        assert ("AWS::Kinesis::Stream", "CREATE_COMPLETE") in kinds, kinds
        cloud.delete_stack(StackName="streamgauge-boto3-pipeline")
        cloud.get_waiter("stack_delete_complete").wait(
            StackName="streamgauge-boto3-pipeline", WaiterConfig={"Delay": 1, "MaxAttempts": 90}
        )
        try:
            kinesis.describe_stream_summary(StreamName=stream)
            raise AssertionError("the stream is still there")
        except kinesis.exceptions.ResourceNotFoundException:
            pass
        try:
            boto3.client("kinesis", endpoint_url=endpoint.url, region_name="us-east-1",
                         config=boto3.session.Config(signature_version=botocore.UNSIGNED)).list_streams()
            raise AssertionError("an unsigned request was answered")
        except botocore.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error.response
        print(f"boto3: {RECORDS} records, {count} receipts, {int(invocations)} invocations, {len(events)} stack events: ok")
    finally:
        endpoint.stop()


if __name__ == "__main__":
    main(*sys.argv[1:3])
