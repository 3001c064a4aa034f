"""SQS, S3, CloudWatch Logs, IAM and STS, as far as stacks, functions and reports need them."""

import hashlib
import json
import time

from conftest import refused, wait_for

SERVICE = "sqs"
NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


def queue(aws, suffix="", **attributes):
    return aws.sqs.create_queue(QueueName=aws.name(suffix), Attributes=attributes)["QueueUrl"]


def attributes(aws, url):
    return aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def test_queue_defaults(aws):
    """CreateQueue: visibility 30 s, retention 345,600 s, delay 0 s, wait 0 s; maximum size 1,048,576 bytes."""
    found = attributes(aws, queue(aws))
    wanted = {"VisibilityTimeout": "30", "MessageRetentionPeriod": "345600", "DelaySeconds": "0",
              "ReceiveMessageWaitTimeSeconds": "0", "MaximumMessageSize": "1048576"}
    assert {key: found[key] for key in wanted} == wanted


def test_message_comes_and_goes(aws):
    """SendMessage, ReceiveMessage, DeleteMessage: MD5 of the body; hidden after it was received."""
    url = queue(aws)
    sent = aws.sqs.send_message(QueueUrl=url, MessageBody="text",
                                MessageAttributes={"a": {"DataType": "String", "StringValue": "v"}})
    assert sent["MD5OfMessageBody"] == hashlib.md5(b"text").hexdigest()
    message = aws.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2, MessageAttributeNames=["All"],
                                      MessageSystemAttributeNames=["All"])["Messages"][0]
    assert message["Body"] == "text" and message["MessageId"] == sent["MessageId"]
    assert message["MessageAttributes"]["a"]["StringValue"] == "v"
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "Messages" not in aws.sqs.receive_message(QueueUrl=url)
    aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert attributes(aws, url)["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_visibility_ends(aws):
    """Developer guide, "Visibility timeout": afterwards the message is received again."""
    url = queue(aws)
    aws.sqs.send_message(QueueUrl=url, MessageBody="text")
    first = aws.sqs.receive_message(QueueUrl=url, VisibilityTimeout=1)["Messages"][0]
    again = aws.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"][0]
    assert again["MessageId"] == first["MessageId"]
    aws.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"], VisibilityTimeout=0)
    assert aws.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2)["Messages"]


def test_batches(aws):
    """SendMessageBatch and DeleteMessageBatch: up to 10 entries of distinct ids."""
    url = queue(aws)
    entries = [{"Id": str(n), "MessageBody": f"m{n}"} for n in range(11)]
    refused(("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "TooManyEntriesInBatchRequest"),
            aws.sqs.send_message_batch, QueueUrl=url, Entries=entries)
    refused(("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "BatchEntryIdsNotDistinct"),
            aws.sqs.send_message_batch, QueueUrl=url, Entries=[entries[0], entries[0]])
    assert len(aws.sqs.send_message_batch(QueueUrl=url, Entries=entries[:10])["Successful"]) == 10
    got = aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)["Messages"]
    gone = aws.sqs.delete_message_batch(QueueUrl=url, Entries=[
        {"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(got)])
    assert len(gone["Successful"]) == len(got)


def test_dead_letters(aws):
    """Developer guide, "Dead-letter queues": moved after maxReceiveCount receives."""
    dead = queue(aws, "-dead")
    policy = {"deadLetterTargetArn": attributes(aws, dead)["QueueArn"], "maxReceiveCount": 1}
    url = queue(aws, RedrivePolicy=json.dumps(policy), VisibilityTimeout="0")
    aws.sqs.send_message(QueueUrl=url, MessageBody="text")
    aws.sqs.receive_message(QueueUrl=url)

    def moved():
        aws.sqs.receive_message(QueueUrl=url)
        return aws.sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=1).get("Messages")

    assert wait_for("the dead letter", moved)[0]["Body"] == "text"


def test_long_poll_ends_early(aws):
    """ReceiveMessage, WaitTimeSeconds: waits, and returns as soon as a message is there."""
    url = queue(aws)
    before = time.monotonic()
    assert "Messages" not in aws.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    assert time.monotonic() - before > 0.9
    aws.sqs.send_message(QueueUrl=url, MessageBody="text", DelaySeconds=1)
    before = time.monotonic()
    assert aws.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]
    assert 0.5 < time.monotonic() - before < 5


def test_missing_queue(aws):
    """GetQueueUrl, SendMessage, Errors: QueueDoesNotExist, 400."""
    refused(NO_QUEUE, aws.sqs.get_queue_url, QueueName=aws.name())
    url = queue(aws)
    aws.sqs.delete_queue(QueueUrl=url)
    refused(NO_QUEUE, aws.sqs.send_message, QueueUrl=url, MessageBody="text")


def test_message_limit(aws):
    """SendMessage: 1 MiB a message."""
    url = queue(aws)
    assert aws.sqs.send_message(QueueUrl=url, MessageBody="x" * 1_048_576)["MessageId"]
    refused(("InvalidParameterValue", "InvalidMessageContents", "AWS.SimpleQueueService.BatchRequestTooLong"),
            aws.sqs.send_message, QueueUrl=url, MessageBody="x" * 1_048_577)


def test_queue_tags_and_lists(aws):
    """TagQueue, ListQueueTags, UntagQueue, ListQueues with a prefix, SetQueueAttributes."""
    url = queue(aws)
    name = url.rsplit("/", 1)[1]
    aws.sqs.tag_queue(QueueUrl=url, Tags={"a": "1", "b": "2"})
    aws.sqs.untag_queue(QueueUrl=url, TagKeys=["a"])
    assert aws.sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "2"}
    assert aws.sqs.list_queues(QueueNamePrefix=name)["QueueUrls"] == [url]
    assert aws.sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"})
    assert attributes(aws, url)["VisibilityTimeout"] == "7"


def bucket(aws):
    name = aws.name("-b")
    aws.s3.create_bucket(Bucket=name)
    return name


def test_object_comes_back(aws):
    """S3 PutObject, GetObject, HeadObject: ETag is the MD5, metadata and type are kept; ranges, 206."""
    name = bucket(aws)
    put = aws.s3.put_object(Bucket=name, Key="a/b c", Body=b"0123456789", ContentType="text/x", Metadata={"k": "v"})
    assert put["ETag"] == f'"{hashlib.md5(b"0123456789").hexdigest()}"'
    got = aws.s3.get_object(Bucket=name, Key="a/b c")
    assert got["Body"].read() == b"0123456789" and got["ContentType"] == "text/x" and got["Metadata"] == {"k": "v"}
    part = aws.s3.get_object(Bucket=name, Key="a/b c", Range="bytes=2-4")
    assert part["Body"].read() == b"234" and part["ContentRange"] == "bytes 2-4/10"
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert aws.s3.head_object(Bucket=name, Key="a/b c")["ContentLength"] == 10


def test_missing_objects_and_buckets(aws):
    """S3 errors: NoSuchKey, NoSuchBucket, 404; BucketNotEmpty, 409."""
    name = bucket(aws)
    refused("NoSuchKey", aws.s3.get_object, status=404, Bucket=name, Key="k")
    refused("NoSuchBucket", aws.s3.list_objects_v2, status=404, Bucket=aws.name("-none"))
    refused("404", aws.s3.head_bucket, status=404, Bucket=aws.name("-none"))
    aws.s3.put_object(Bucket=name, Key="k", Body=b"x")
    refused("BucketNotEmpty", aws.s3.delete_bucket, status=409, Bucket=name)
    aws.s3.delete_object(Bucket=name, Key="k")
    aws.s3.delete_bucket(Bucket=name)


def test_object_lists(aws):
    """ListObjectsV2: prefix, delimiter, MaxKeys, continuation; keys in order."""
    name = bucket(aws)
    for key in ("a/1", "a/2", "b", "c"):
        aws.s3.put_object(Bucket=name, Key=key, Body=b"x")
    found = aws.s3.list_objects_v2(Bucket=name, Delimiter="/")
    assert [c["Key"] for c in found["Contents"]] == ["b", "c"]
    assert found["CommonPrefixes"] == [{"Prefix": "a/"}]
    page = aws.s3.list_objects_v2(Bucket=name, MaxKeys=3)
    assert page["IsTruncated"] and [c["Key"] for c in page["Contents"]] == ["a/1", "a/2", "b"]
    rest = aws.s3.list_objects_v2(Bucket=name, ContinuationToken=page["NextContinuationToken"])
    assert [c["Key"] for c in rest["Contents"]] == ["c"] and not rest["IsTruncated"]
    gone = aws.s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "b"}, {"Key": "c"}]})
    assert sorted(d["Key"] for d in gone["Deleted"]) == ["b", "c"]


def test_multipart_upload(aws):
    """CreateMultipartUpload, UploadPart, CompleteMultipartUpload: the ETag ends in the number of parts."""
    name = bucket(aws)
    upload = aws.s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    bodies = [b"x" * 5 * 1024 * 1024, b"end"]
    parts = [{"PartNumber": n, "ETag": aws.s3.upload_part(Bucket=name, Key="k", UploadId=upload, PartNumber=n,
                                                          Body=body)["ETag"]} for n, body in enumerate(bodies, 1)]
    done = aws.s3.complete_multipart_upload(Bucket=name, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    assert done["ETag"].strip('"').endswith("-2")
    assert aws.s3.get_object(Bucket=name, Key="k")["Body"].read() == b"".join(bodies)


def test_object_versions(aws):
    """User guide, "Versioning": a deleted object leaves a marker, its versions stay."""
    name = bucket(aws)
    aws.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    first = aws.s3.put_object(Bucket=name, Key="k", Body=b"1")["VersionId"]
    aws.s3.put_object(Bucket=name, Key="k", Body=b"2")
    aws.s3.delete_object(Bucket=name, Key="k")
    refused("NoSuchKey", aws.s3.get_object, status=404, Bucket=name, Key="k")
    assert aws.s3.get_object(Bucket=name, Key="k", VersionId=first)["Body"].read() == b"1"
    listed = aws.s3.list_object_versions(Bucket=name)
    assert len(listed["Versions"]) == 2 and len(listed["DeleteMarkers"]) == 1


def test_log_events(aws):
    """Logs PutLogEvents, GetLogEvents, FilterLogEvents: in order of time; terms; both directions."""
    group, now = aws.name("-g"), int(time.time() * 1000)
    aws.logs.create_log_group(logGroupName=group)
    aws.logs.create_log_stream(logGroupName=group, logStreamName="s")
    events = [{"timestamp": now - 10 + n, "message": f"line {n} {'ERROR' if n == 2 else 'fine'}"} for n in range(4)]
    aws.logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)
    got = aws.logs.get_log_events(logGroupName=group, logStreamName="s", startFromHead=True)
    assert [e["message"] for e in got["events"]] == [e["message"] for e in events]
    assert got["nextForwardToken"].startswith("f/") and got["nextBackwardToken"].startswith("b/")
    last = aws.logs.get_log_events(logGroupName=group, logStreamName="s", limit=1)
    assert [e["message"] for e in last["events"]] == ["line 3 fine"]
    found = aws.logs.filter_log_events(logGroupName=group, filterPattern="ERROR")["events"]
    assert [e["message"] for e in found] == ["line 2 ERROR"]


def test_log_groups(aws):
    """CreateLogGroup, DescribeLogGroups, PutRetentionPolicy; ResourceAlreadyExistsException, 400."""
    group = aws.name("-g")
    aws.logs.create_log_group(logGroupName=group)
    refused("ResourceAlreadyExistsException", aws.logs.create_log_group, logGroupName=group)
    aws.logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    found = aws.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [(g["logGroupName"], g["retentionInDays"]) for g in found] == [(group, 7)]
    refused("InvalidParameterException", aws.logs.put_retention_policy, logGroupName=group, retentionInDays=8)
    aws.logs.delete_log_group(logGroupName=group)
    refused("ResourceNotFoundException", aws.logs.delete_log_group, logGroupName=group)


def test_roles(aws):
    """IAM CreateRole, PutRolePolicy, DeleteRole: DeleteConflict, 409, while it has a policy; NoSuchEntity, 404."""
    name = aws.name("-r")
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role = aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    assert role["Arn"] == f"arn:aws:iam::123456789012:role/{name}"
    assert aws.iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"] == trust
    refused("EntityAlreadyExists", aws.iam.create_role, status=409, RoleName=name,
            AssumeRolePolicyDocument=json.dumps(trust))
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    aws.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    assert aws.iam.get_role_policy(RoleName=name, PolicyName="p")["PolicyDocument"] == policy
    refused("DeleteConflict", aws.iam.delete_role, status=409, RoleName=name)
    aws.iam.delete_role_policy(RoleName=name, PolicyName="p")
    aws.iam.delete_role(RoleName=name)
    refused("NoSuchEntity", aws.iam.get_role, status=404, RoleName=name)


def test_who_am_i(aws):
    """STS GetCallerIdentity: Account of 12 digits, Arn, UserId."""
    found = aws.sts.get_caller_identity()
    assert found["Account"] == "123456789012" and found["Arn"].startswith("arn:aws:") and found["UserId"]
