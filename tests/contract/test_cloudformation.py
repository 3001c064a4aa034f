"""Stacks, as the CloudFormation user guide and API reference document them."""

import json

import pytest
from conftest import refused, wait_for

SERVICE = "cloudformation"
ENDED_WITHIN_S = 60


def stream(name=None, shards=1, retention=24, **attributes):
    properties = {"ShardCount": shards, "RetentionPeriodHours": retention, **({"Name": name} if name else {})}
    return {"Type": "AWS::Kinesis::Stream", "Properties": properties, **attributes}


def queue(**properties):
    return {"Type": "AWS::SQS::Queue", "Properties": properties}


# An event source of this name does not exist: making the mapping must fail.
BROKEN = {
    "Type": "AWS::Lambda::EventSourceMapping",
    "Properties": {
        "EventSourceArn": "arn:aws:kinesis:us-east-1:123456789012:stream/no-such-stream",
        "FunctionName": "no-such-function",
        "StartingPosition": "LATEST",
    },
}


def template(resources, **sections):
    return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources, **sections})


def status(aws, name):
    return aws.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]


def ended(aws, name, wanted):
    final = wait_for(f"{name} ends", lambda: (lambda s: "" if s.endswith("IN_PROGRESS") else s)(status(aws, name)),
                     bound_s=ENDED_WITHIN_S)
    assert final == wanted, [(e["LogicalResourceId"], e["ResourceStatus"], e.get("ResourceStatusReason"))
                             for e in aws.cloudformation.describe_stack_events(StackName=name)["StackEvents"]]


def create(aws, resources, wanted="CREATE_COMPLETE", name=None, **more):
    sections = more.pop("sections", {})
    name = name or aws.name()
    aws.cloudformation.create_stack(StackName=name, TemplateBody=template(resources, **sections), **more)
    ended(aws, name, wanted)
    return name


def update(aws, name, resources, wanted="UPDATE_COMPLETE", **more):
    sections = more.pop("sections", {})
    aws.cloudformation.update_stack(StackName=name, TemplateBody=template(resources, **sections), **more)
    ended(aws, name, wanted)


def physical(aws, name, logical):
    answer = aws.cloudformation.describe_stack_resource(StackName=name, LogicalResourceId=logical)
    return answer["StackResourceDetail"]["PhysicalResourceId"]


def test_stack_with_parameters_and_outputs(aws):
    """CreateStack, DescribeStacks: parameters, outputs with Ref, GetAtt, Sub; tags; CREATE_COMPLETE."""
    outputs = {"Name": {"Value": {"Ref": "S"}}, "Arn": {"Value": {"Fn::GetAtt": ["S", "Arn"]}},
               "Text": {"Value": {"Fn::Sub": "${AWS::StackName}/${Hours}"}}}
    sections = {"Parameters": {"Hours": {"Type": "Number", "Default": 24}}, "Outputs": outputs}
    wanted = aws.name("-s")
    name = create(aws, {"S": stream(wanted, retention={"Ref": "Hours"})}, sections=sections,
                  Parameters=[{"ParameterKey": "Hours", "ParameterValue": "36"}], Tags=[{"Key": "k", "Value": "v"}])
    found = aws.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    values = {o["OutputKey"]: o["OutputValue"] for o in found["Outputs"]}
    summary = aws.active(wanted)
    assert values == {"Name": wanted, "Arn": summary["StreamARN"], "Text": f"{name}/36"}
    assert summary["RetentionPeriodHours"] == 36
    assert found["Tags"] == [{"Key": "k", "Value": "v"}]
    assert found["Parameters"] == [{"ParameterKey": "Hours", "ParameterValue": "36"}]


def test_events_name_every_step(aws):
    """DescribeStackEvents: newest first; CREATE_IN_PROGRESS and CREATE_COMPLETE of each resource and of the stack."""
    name = create(aws, {"Q": queue()})
    events = aws.cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    steps = [(e["LogicalResourceId"], e["ResourceStatus"]) for e in reversed(events)]
    assert steps[0] == (name, "CREATE_IN_PROGRESS") and steps[-1] == (name, "CREATE_COMPLETE")
    assert ("Q", "CREATE_IN_PROGRESS") in steps and ("Q", "CREATE_COMPLETE") in steps


def test_same_stack_again_is_refused(aws):
    """CreateStack, Errors: AlreadyExistsException, 400."""
    name = create(aws, {"Q": queue()})
    refused("AlreadyExistsException", aws.cloudformation.create_stack, StackName=name,
            TemplateBody=template({"Q": queue()}))


def test_missing_stack(aws):
    """DescribeStacks: "If the stack doesn't exist, a ValidationError is returned", 400."""
    answer = refused("ValidationError", aws.cloudformation.describe_stacks, StackName=aws.name())
    assert "does not exist" in answer["Error"]["Message"]


@pytest.mark.parametrize("body", ["{", '{"Resources": {}}', template({"X": {"Type": "AWS::No::Such"}})],
                         ids=["syntax", "empty", "type"])
def test_bad_template_is_refused(aws, body):
    """CreateStack: ValidationError, 400, for a template that is not one."""
    refused("ValidationError", aws.cloudformation.create_stack, StackName=aws.name(), TemplateBody=body)


def test_missing_parameter_is_refused(aws):
    """User guide: "Parameters: [Name] must have values"."""
    body = template({"Q": queue()}, Parameters={"P": {"Type": "String"}})
    answer = refused("ValidationError", aws.cloudformation.create_stack, StackName=aws.name(), TemplateBody=body)
    assert "must have values" in answer["Error"]["Message"]


def test_failing_create_rolls_back(aws):
    """User guide, "Stack failure options": ROLLBACK_COMPLETE, and what was made is gone."""
    wanted = aws.name("-s")
    create(aws, {"S": stream(wanted), "B": {**BROKEN, "DependsOn": "S"}}, wanted="ROLLBACK_COMPLETE")
    wait_for("no stream", lambda: wanted not in aws.kinesis.list_streams(Limit=1000)["StreamNames"])


def test_failing_create_without_rollback_stays(aws):
    """CreateStack, OnFailure DO_NOTHING: CREATE_FAILED, what was made stays."""
    wanted = aws.name("-s")
    create(aws, {"S": stream(wanted), "B": {**BROKEN, "DependsOn": "S"}}, wanted="CREATE_FAILED",
           OnFailure="DO_NOTHING")
    assert aws.active(wanted)


def test_update_changes_the_resource(aws):
    """UpdateStack; AWS::Kinesis::Stream, RetentionPeriodHours: "Update requires: No interruption"."""
    wanted = aws.name("-s")
    name = create(aws, {"S": stream(wanted)})
    update(aws, name, {"S": stream(wanted, retention=48)})
    assert aws.active(wanted)["RetentionPeriodHours"] == 48


def test_update_changes_the_shards(aws):
    """AWS::Kinesis::Stream, ShardCount: "Update requires: No interruption"; UPDATE_COMPLETE means it was done."""
    wanted = aws.name("-s")
    name = create(aws, {"S": stream(wanted)})
    update(aws, name, {"S": stream(wanted, shards=2)})
    assert aws.active(wanted)["OpenShardCount"] == 2


def test_update_replaces_the_resource(aws):
    """AWS::Kinesis::Stream, Name: "Update requires: Replacement"; the old one goes in the clean-up."""
    old, new = aws.name("-old"), aws.name("-new")
    name = create(aws, {"S": stream(old)})
    update(aws, name, {"S": stream(new)})
    assert physical(aws, name, "S") == new and aws.active(new)
    wait_for("the old stream is gone", lambda: old not in aws.kinesis.list_streams(Limit=1000)["StreamNames"])


def test_update_adds_and_removes(aws):
    """User guide: what the new template does not have is deleted, what it adds is made."""
    name = create(aws, {"A": queue()})
    url = physical(aws, name, "A")
    update(aws, name, {"B": queue()})
    assert physical(aws, name, "B") != url
    refused(("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"), aws.sqs.get_queue_attributes,
            QueueUrl=url, AttributeNames=["All"])


def test_update_without_a_change(aws):
    """UpdateStack: ValidationError, "No updates are to be performed."."""
    name = create(aws, {"Q": queue()})
    answer = refused("ValidationError", aws.cloudformation.update_stack, StackName=name,
                     TemplateBody=template({"Q": queue()}))
    assert "No updates are to be performed" in answer["Error"]["Message"]


def test_failing_update_rolls_back(aws):
    """User guide: UPDATE_ROLLBACK_COMPLETE, and the resource is as it was."""
    wanted = aws.name("-s")
    name = create(aws, {"S": stream(wanted)})
    update(aws, name, {"S": stream(wanted, retention=48), "B": {**BROKEN, "DependsOn": "S"}},
           wanted="UPDATE_ROLLBACK_COMPLETE")
    assert aws.active(wanted)["RetentionPeriodHours"] == 24


def change_set(aws, name, resources, kind, set_name="change"):
    aws.cloudformation.create_change_set(StackName=name, ChangeSetName=set_name, ChangeSetType=kind,
                                         TemplateBody=template(resources))

    def described():
        found = aws.cloudformation.describe_change_set(StackName=name, ChangeSetName=set_name)
        return found if found["Status"] in ("CREATE_COMPLETE", "FAILED") else None

    return wait_for("the change set", described)


def test_change_set_creates_a_stack(aws):
    """CreateChangeSet CREATE: REVIEW_IN_PROGRESS, nothing made; ExecuteChangeSet makes it."""
    name, wanted = aws.name(), aws.name("-s")
    found = change_set(aws, name, {"S": stream(wanted)}, "CREATE")
    assert found["ExecutionStatus"] == "AVAILABLE"
    change = found["Changes"][0]["ResourceChange"]
    assert (change["Action"], change["LogicalResourceId"], change["ResourceType"]) == ("Add", "S", "AWS::Kinesis::Stream")
    assert status(aws, name) == "REVIEW_IN_PROGRESS"
    refused("ResourceNotFoundException", aws.kinesis.describe_stream_summary, StreamName=wanted)
    aws.cloudformation.execute_change_set(StackName=name, ChangeSetName="change")
    wait_for("the stack", lambda: status(aws, name) == "CREATE_COMPLETE", bound_s=ENDED_WITHIN_S)
    assert aws.active(wanted)


def test_change_set_says_what_it_replaces(aws):
    """DescribeChangeSet, ResourceChange: Modify with Replacement True or False; nothing changes before its execution."""
    first, second = aws.name("-a"), aws.name("-b")
    name = create(aws, {"A": stream(first), "B": stream(second)})
    found = change_set(aws, name, {"A": stream(first + "x"), "B": stream(second, retention=48)}, "UPDATE")
    changes = {c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"] for c in found["Changes"]}
    assert {k: (c["Action"], c["Replacement"]) for k, c in changes.items()} == {
        "A": ("Modify", "True"), "B": ("Modify", "False")}
    assert aws.active(second)["RetentionPeriodHours"] == 24


def test_change_set_without_changes_fails(aws):
    """User guide: FAILED, "The submitted information didn't contain changes."."""
    name = create(aws, {"Q": queue()})
    found = change_set(aws, name, {"Q": queue()}, "UPDATE")
    assert found["Status"] == "FAILED" and "didn't contain changes" in found["StatusReason"]


def test_delete_removes_everything(aws):
    """DeleteStack: DELETE_COMPLETE; by name the stack is gone, by its id it is still described."""
    wanted = aws.name("-s")
    name = create(aws, {"S": stream(wanted)})
    identity = aws.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    aws.cloudformation.delete_stack(StackName=name)
    wait_for("deleted", lambda: status(aws, identity) == "DELETE_COMPLETE", bound_s=ENDED_WITHIN_S)
    refused("ValidationError", aws.cloudformation.describe_stacks, StackName=name)
    wait_for("no stream", lambda: wanted not in aws.kinesis.list_streams(Limit=1000)["StreamNames"])


def test_delete_keeps_what_is_retained(aws):
    """DeletionPolicy Retain: "CloudFormation keeps the resource"."""
    wanted = aws.name("-s")
    name = create(aws, {"S": stream(wanted, DeletionPolicy="Retain")})
    identity = aws.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    aws.cloudformation.delete_stack(StackName=name)
    wait_for("deleted", lambda: status(aws, identity) == "DELETE_COMPLETE", bound_s=ENDED_WITHIN_S)
    assert aws.active(wanted)


def test_delete_that_fails(aws):
    """DeleteStack: a bucket with objects cannot go: DELETE_FAILED; RetainResources leaves it and ends the stack."""
    bucket = aws.name("-b")
    name = create(aws, {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}})
    identity = aws.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    aws.s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    aws.cloudformation.delete_stack(StackName=name)
    ended(aws, identity, "DELETE_FAILED")
    aws.cloudformation.delete_stack(StackName=name, RetainResources=["B"])
    wait_for("deleted", lambda: status(aws, identity) == "DELETE_COMPLETE", bound_s=ENDED_WITHIN_S)
    assert aws.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_template_is_validated(aws):
    """ValidateTemplate, GetTemplate, ListStackResources."""
    body = template({"Q": queue()}, Parameters={"P": {"Type": "String", "Default": "d", "Description": "text"}})
    found = aws.cloudformation.validate_template(TemplateBody=body)["Parameters"]
    assert [(p["ParameterKey"], p["DefaultValue"], p["NoEcho"]) for p in found] == [("P", "d", False)]
    name = create(aws, {"Q": queue()})
    listed = aws.cloudformation.list_stack_resources(StackName=name)["StackResourceSummaries"]
    assert [(r["LogicalResourceId"], r["ResourceStatus"]) for r in listed] == [("Q", "CREATE_COMPLETE")]
    kept = aws.cloudformation.get_template(StackName=name)["TemplateBody"]
    assert (json.loads(kept) if isinstance(kept, str) else kept) == json.loads(template({"Q": queue()}))


def test_template_body_limit(aws):
    """CreateStack, TemplateBody: 51,200 bytes at most."""
    body = template({"Q": queue()}, Description="x", Metadata={"m": "x" * 51_200})
    refused("ValidationError", aws.cloudformation.create_stack, StackName=aws.name(), TemplateBody=body)
