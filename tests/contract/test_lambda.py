"""Functions and invocations, as the Lambda API reference and developer guide document them."""

import base64
import json
import threading

import functions
import pytest
from conftest import refused, wait_for

SERVICE = "lambda"


def invoke(aws, name, **more):
    event = {key: more.pop(key) for key in ("do", "s", "line", "path") if key in more}
    answer = aws.lambda_.invoke(FunctionName=name, Payload=json.dumps(event), **more)
    text = answer["Payload"].read()
    return answer, json.loads(text) if text else None


def test_function_is_created_and_described(aws):
    """CreateFunction, GetFunction: State, CodeSha256, CodeSize, Timeout, MemorySize; 201 then 200."""
    name = aws.name()
    arn = functions.create(aws, name, MODE="x")
    found = aws.lambda_.get_function(FunctionName=name)
    configuration = found["Configuration"]
    assert configuration["FunctionArn"] == arn == f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
    assert (configuration["State"], configuration["LastUpdateStatus"]) == ("Active", "Successful")
    assert (configuration["Timeout"], configuration["MemorySize"]) == (10, 128)
    assert configuration["CodeSize"] == len(functions.archive())
    assert configuration["Environment"] == {"Variables": {"MODE": "x"}}
    assert configuration["Version"] == "$LATEST" and configuration["PackageType"] == "Zip"
    assert found["Code"]["RepositoryType"] == "S3"
    assert name in [f["FunctionName"] for f in aws.lambda_.list_functions()["Functions"]]


def test_same_name_again_is_a_conflict(aws):
    """CreateFunction, Errors: ResourceConflictException, 409."""
    name = aws.name()
    functions.create(aws, name)
    refused("ResourceConflictException", aws.lambda_.create_function, status=409, FunctionName=name,
            Runtime="provided.al2023", Role=functions.ROLE, Handler="b", Code={"ZipFile": functions.archive()})


@pytest.mark.parametrize("operation", ["get_function", "delete_function", "invoke", "get_function_configuration"])
def test_missing_function_is_not_found(aws, operation):
    """Errors of each: ResourceNotFoundException, 404."""
    refused("ResourceNotFoundException", getattr(aws.lambda_, operation), status=404, FunctionName=aws.name())


def test_settings_out_of_range(aws):
    """Quotas: timeout 1 to 900 s, memory 128 to 10,240 MB. ValidationException or InvalidParameterValueException, 400."""
    name = aws.name()
    functions.create(aws, name)
    for bad in ({"Timeout": 901}, {"Timeout": 0}, {"MemorySize": 127}, {"MemorySize": 10_241}):
        refused(("InvalidParameterValueException", "ValidationException"),
                aws.lambda_.update_function_configuration, FunctionName=name, **bad)


def test_invoke_and_wait(aws):
    """Invoke, RequestResponse: 200, the function's answer, ExecutedVersion."""
    name = aws.name()
    arn = functions.create(aws, name)
    answer, result = invoke(aws, name, do="echo")
    assert answer["StatusCode"] == 200 and "FunctionError" not in answer
    assert answer["ExecutedVersion"] == "$LATEST"
    assert result["event"] == {"do": "echo"} and result["arn"] == arn


def test_invoke_with_its_log(aws):
    """Invoke, LogType Tail: "the last 4 KB of the execution log", base64; START, END and REPORT lines."""
    name = aws.name()
    functions.create(aws, name)
    answer, _ = invoke(aws, name, do="log", line="a line of its own", LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode()
    for part in ("START RequestId: ", "a line of its own", "END RequestId: ", "REPORT RequestId: ", "Billed Duration: ",
                 "Memory Size: 128 MB"):
        assert part in log, log


def test_dry_run(aws):
    """Invoke, DryRun: 204, and the function does not run."""
    name = aws.name()
    functions.create(aws, name)
    answer, result = invoke(aws, name, InvocationType="DryRun")
    assert answer["StatusCode"] == 204 and result is None


def test_asynchronous_invocation(aws, tmp_path):
    """Invoke, Event: 202 without an answer; the function runs."""
    name, trace = aws.name(), tmp_path / "trace"
    functions.create(aws, name)
    answer, result = invoke(aws, name, do="trace", path=str(trace), InvocationType="Event")
    assert answer["StatusCode"] == 202 and result is None
    wait_for("the function runs", trace.exists)


def test_failing_function(aws):
    """Invoke: 200 with FunctionError and an answer with errorMessage and errorType."""
    name = aws.name()
    functions.create(aws, name)
    answer, result = invoke(aws, name, do="fail")
    assert answer["StatusCode"] == 200 and answer["FunctionError"] == "Unhandled"
    assert (result["errorType"], result["errorMessage"]) == ("ValueError", "asked to fail")


def test_ending_function(aws):
    """Developer guide: a runtime that exits gives Runtime.ExitError; the next invocation gets a new environment."""
    name = aws.name()
    functions.create(aws, name)
    answer, result = invoke(aws, name, do="exit")
    assert answer["FunctionError"] == "Unhandled" and result["errorType"] == "Runtime.ExitError"
    answer, _ = invoke(aws, name, do="echo")
    assert "FunctionError" not in answer


def test_function_that_takes_too_long(aws):
    """Developer guide: "Task timed out after N.NN seconds", FunctionError Unhandled."""
    name = aws.name()
    functions.create(aws, name, timeout_s=1)
    answer, result = invoke(aws, name, do="sleep", s=5)
    assert answer["FunctionError"] == "Unhandled"
    assert "Task timed out after 1.00 seconds" in result["errorMessage"]


def test_reserved_concurrency_throttles(aws, tmp_path):
    """Invoke, Errors: TooManyRequestsException, 429, Reason ReservedFunctionConcurrentInvocationLimitExceeded."""
    name, runs = aws.name(), tmp_path / "runs"
    functions.create(aws, name)
    aws.lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    assert aws.lambda_.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 1
    other, event = aws.client("lambda"), json.dumps({"do": "sleep", "s": 3, "path": str(runs)})
    occupied = threading.Thread(target=other.invoke, kwargs={"FunctionName": name, "Payload": event})
    occupied.start()
    try:
        wait_for("the first invocation runs", runs.exists, every_s=0.05)
        answer = refused("TooManyRequestsException", aws.lambda_.invoke, status=429, FunctionName=name, Payload="{}")
    finally:
        occupied.join(15)
    assert answer["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_reserved_concurrency_of_zero_stops_all(aws):
    """Developer guide: "To throttle a function, set the reserved concurrency to zero"."""
    name = aws.name()
    functions.create(aws, name)
    aws.lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    refused("TooManyRequestsException", aws.lambda_.invoke, status=429, FunctionName=name, Payload="{}")
    aws.lambda_.delete_function_concurrency(FunctionName=name)
    assert "FunctionError" not in invoke(aws, name)[0]


def test_code_is_replaced(aws):
    """UpdateFunctionCode: the next invocation runs the new code; CodeSha256 and RevisionId change."""
    name = aws.name()
    functions.create(aws, name)
    before = aws.lambda_.get_function_configuration(FunctionName=name)
    assert invoke(aws, name)[1]["version"] == "1"
    aws.lambda_.update_function_code(FunctionName=name, ZipFile=functions.archive("2"))
    aws.lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 10})
    after = aws.lambda_.get_function_configuration(FunctionName=name)
    assert before["CodeSha256"] != after["CodeSha256"] and before["RevisionId"] != after["RevisionId"]
    assert invoke(aws, name)[1]["version"] == "2"


def test_variables_are_replaced(aws):
    """UpdateFunctionConfiguration: a new environment has the new variables."""
    name = aws.name()
    functions.create(aws, name, MODE="one")
    assert invoke(aws, name)[1]["mode"] == "one"
    aws.lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": {"MODE": "two"}})
    aws.lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 10})
    assert invoke(aws, name)[1]["mode"] == "two"


def test_tags_of_a_function(aws):
    """TagResource, ListTags, UntagResource."""
    name = aws.name()
    arn = functions.create(aws, name)
    aws.lambda_.tag_resource(Resource=arn, Tags={"a": "1", "b": "2"})
    aws.lambda_.untag_resource(Resource=arn, TagKeys=["a"])
    assert aws.lambda_.list_tags(Resource=arn)["Tags"] == {"b": "2"}


def test_payload_limit(aws):
    """Quotas: 6 MB each for request and response, synchronous. RequestTooLargeException, 413."""
    name = aws.name()
    functions.create(aws, name)
    payload = json.dumps({"text": "x" * 6_400_000})
    refused("RequestTooLargeException", aws.lambda_.invoke, status=413, FunctionName=name, Payload=payload)


def test_payload_that_is_no_json(aws):
    """Invoke, Errors: InvalidRequestContentException, 400."""
    name = aws.name()
    functions.create(aws, name)
    refused("InvalidRequestContentException", aws.lambda_.invoke, FunctionName=name, Payload="no json")


def test_output_goes_to_the_log_group(aws):
    """Developer guide: output goes to /aws/lambda/<function name>."""
    name = aws.name()
    functions.create(aws, name)
    invoke(aws, name, do="log", line="find-me")

    def logged():
        try:
            found = aws.logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern='"find-me"')
        except aws.logs.exceptions.ResourceNotFoundException:
            return None
        return found["events"]

    assert "find-me" in wait_for("the line", logged)[0]["message"]
