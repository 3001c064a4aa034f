"""Every operation of every service model is asked of our endpoint.

Each gets the smallest input that its model allows. Those that docs/local.md lists under "Operations" must be answered:
with a response that the model allows, or with an error of theirs; all others with the error that AWS gives for an
operation that it does not know. What the other test files get back is held against the models too (model_check.py).
"""

import pathlib
import re

import botocore.exceptions
import botocore.loaders
import botocore.session
import pytest
from conftest import WATCH

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "local.md"
SERVICES = ["kinesis", "lambda", "sqs", "s3", "logs", "cloudwatch", "cloudformation", "iam", "sts"]
# What each protocol answers to an operation that the service does not have.
UNKNOWN = {
    "json": ("UnknownOperationException", 400),
    "smithy-rpc-v2-cbor": ("UnknownOperationException", 400),
    "query": ("InvalidAction", 400),
    "rest-json": ("UnknownOperationException", 404),
    "rest-xml": ("NotImplemented", 501),
}
# Refused before any service is asked: signed for services of their own (s3express, s3-object-lambda), or not signed.
REFUSED_AT_THE_DOOR = {
    "ListDirectoryBuckets", "WriteGetObjectResponse", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity",
}
# Errors that any operation may give ("Common errors"), by the codes that the protocols write.
COMMON = {
    "ValidationException", "ValidationError", "InvalidParameterValue", "InvalidParameterValueException",
    "InvalidParameterCombination", "InvalidParameterCombinationException", "MissingParameter",
    "MissingRequiredParameterException", "SerializationException", "InvalidArgument", "InvalidRequest", "MalformedXML",
    "NoSuchBucket", "NoSuchKey", "404", "ResourceNotFound",
    # The code of QueueDoesNotExist in the query protocol, which SQS sends along for clients that know it.
    "AWS.SimpleQueueService.NonExistentQueue",
    "InvalidAddress", "InvalidAttributeValue", "NoSuchUpload", "InvalidPart",
}


def smallest(shape, name="", depth=0):
    """The smallest value that the shape allows: required members alone."""
    kind = shape.type_name
    if kind == "structure":
        return {m: smallest(shape.members[m], m, depth + 1) for m in shape.required_members} if depth < 8 else {}
    if kind == "list":
        return [smallest(shape.member, name, depth + 1)] * max(1, shape.metadata.get("min", 0))
    if kind == "map":
        return {smallest(shape.key, name, depth + 1): smallest(shape.value, name, depth + 1)}
    if kind == "string":
        return shape.enum[0] if shape.enum else text(shape, name)
    if kind in ("integer", "long", "float", "double"):
        return shape.metadata.get("min", 1)
    return {"boolean": False, "blob": b"x", "timestamp": 1_790_000_000}[kind]


def text(shape, name):
    if "Arn" in name or "ARN" in name:
        return "arn:aws:kinesis:us-east-1:123456789012:stream/models"
    return "models" + "s" * max(0, shape.metadata.get("min", 0) - 6)


def documented():
    """Service -> the operations that docs/local.md says are answered."""
    section = DOCS.read_text().split("\n## Operations\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| (.*) \|$", section, re.M)
    return {service: set(listed.split(", ")) for service, listed in rows}


def ask(client, operation):
    """None where the operation was answered with success, otherwise its error code and HTTP status."""
    shape = operation.input_shape
    try:
        client._make_api_call(operation.name, smallest(shape) if shape else {})
        return None
    except botocore.exceptions.ClientError as error:
        answer = error.response
        return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation(ours, service):
    """Common errors: UnknownOperationException (JSON), InvalidAction (query), NotImplemented (S3)."""
    client = ours.client(service, inject_host_prefix=False)
    model = client.meta.service_model
    unknown = UNKNOWN[model.resolved_protocol]
    WATCH.problems.clear()
    answered, strange = set(), []
    for name in model.operation_names:
        operation = model.operation_model(name)
        error = ask(client, operation)
        if error == unknown or (error and name in REFUSED_AT_THE_DOOR):
            continue
        answered.add(name)
        modelled = {s.metadata.get("error", {}).get("code", s.name) for s in operation.error_shapes}
        modelled |= {s.name for s in operation.error_shapes}
        if error and error[0] not in modelled | COMMON:
            strange.append(f"{name}: {error}")
    assert not WATCH.problems, "\n".join(WATCH.problems)
    assert not strange, f"errors that the model of {service} does not have:\n" + "\n".join(strange)
    row = f"| {service} | {', '.join(sorted(answered))} |"
    assert documented().get(service) == answered, f"docs/local.md, Operations, should say:\n{row}"


class OnlyProtocol(botocore.loaders.Loader):
    """Service models as they are, but with one protocol to choose from."""

    protocol = ""

    def load_service_model(self, service_name, type_name, api_version=None):
        model = super().load_service_model(service_name, type_name, api_version)
        if service_name == "cloudwatch" and type_name == "service-2":
            model = {**model, "metadata": {**model["metadata"], "protocols": [self.protocol], "protocol": self.protocol}}
        return model


@pytest.mark.parametrize("protocol", ["smithy-rpc-v2-cbor", "json", "query"])
def test_cloudwatch_in_each_protocol(ours, protocol):
    """Smithy RPC v2 CBOR, AWS JSON 1.0 and query say the same."""
    loader = OnlyProtocol(botocore.loaders.create_loader().search_paths)
    loader.protocol = protocol
    session = botocore.session.get_session()
    session.register_component("data_loader", loader)
    client = session.create_client("cloudwatch", endpoint_url=ours.url, region_name="us-east-1",
                                   aws_access_key_id="a", aws_secret_access_key="b")
    assert client.meta.service_model.resolved_protocol == protocol
    WATCH.watch(client)
    WATCH.problems.clear()
    namespace = ours.name()
    client.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "m", "Value": 2.5}])
    assert [m["MetricName"] for m in client.list_metrics(Namespace=namespace)["Metrics"]] == ["m"]
    client.put_metric_alarm(AlarmName=namespace, Namespace=namespace, MetricName="m", Period=60, Statistic="Sum",
                            EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold")
    found = client.describe_alarms(AlarmNames=[namespace])["MetricAlarms"]
    assert [(a["AlarmName"], a["Threshold"]) for a in found] == [(namespace, 1.0)]
    with pytest.raises(client.exceptions.ClientError) as raised:
        client.set_alarm_state(AlarmName="none", StateValue="OK", StateReason="r")
    assert raised.value.response["Error"]["Code"] == "ResourceNotFound", raised.value.response
    assert not WATCH.problems, "\n".join(WATCH.problems)
