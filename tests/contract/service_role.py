"""Writes the policy for a CloudFormation service role into docs/permissions.md.

It is what the handlers of the resource types in stacks/ ask for, by the resource schemas that AWS publishes and cfn-lint
bundles. `.ci/run` runs this and then `git diff --exit-code`: a template with a new type, or a newer schema, shows there.
"""

import json
import pathlib
import re
import sys

from cfnlint.decode import decode
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

ROOT = pathlib.Path(__file__).parents[2]
BEGIN = "<!-- the service role's policy: begin (written by tests/contract/service_role.py) -->\n"
END = "<!-- the service role's policy: end -->\n"

# What our templates' resources are named. Source: Service Authorization Reference, "Resource types" of each service.
NAMED = {
    "cloudwatch": ["arn:aws:cloudwatch:*:*:alarm:streamgauge-*", "arn:aws:cloudwatch::*:dashboard/streamgauge-*"],
    "iam": ["arn:aws:iam::*:role/streamgauge-*"],
    "kinesis": ["arn:aws:kinesis:*:*:stream/streamgauge-*"],
    "lambda": ["arn:aws:lambda:*:*:function:streamgauge-*"],
    "logs": ["arn:aws:logs:*:*:log-group:/aws/lambda/streamgauge-*"],
    "s3": ["arn:aws:s3:::streamgauge-*", "arn:aws:s3:::streamgauge-*/*"],
    "scheduler": ["arn:aws:scheduler:*:*:schedule/*/streamgauge-*"],
    "sqs": ["arn:aws:sqs:*:*:streamgauge-*"],
}

# Actions for which IAM knows no resource, or whose resource does not bear our name: mappings have an id.
UNNAMED = re.compile(
    r"cloudwatch:DescribeAlarms$|iam:ListRoles$|kinesis:ListStreams$|lambda:\w*EventSourceMapping"
    r"|lambda:(GetCodeSigningConfig|GetLayerVersion|PassCapacityProvider|ListTags|TagResource|UntagResource)$"
    r"|logs:(DescribeLogGroups|CreateLogDelivery|\w*ResourcePolic\w+)$|s3:ListAllMyBuckets$"
)

# Actions of another service, or of a feature, which a handler asks for only when one of these properties is set.
ONLY_WITH = {
    "ec2": ["VpcConfig"],
    "elasticfilesystem": ["FileSystemConfigs"],
    "firehose": [],
    "kms": ["KmsKeyId", "KmsKeyArn", "KmsMasterKeyId", "KMSMasterKeyID", "StreamEncryption"],
    "s3files": ["FileSystemConfigs"],
    "s3tables": ["MetadataTableConfiguration"],
}

# Stands in the schema of AWS::Logs::LogGroup, and is no action that IAM knows.
NO_ACTIONS = {"s3:REST.PUT.OBJECT"}


def resources_and_properties():
    """Types in stacks/, and every property name that their resources set at the top level."""
    types, properties = set(), set()
    for path in sorted((ROOT / "stacks").glob("*.yaml")):
        template, problems = decode(str(path))
        if problems:
            sys.exit(f"{path}: {problems[0]}")
        for resource in template["Resources"].values():
            types.add(str(resource["Type"]))
            properties.update(str(name) for name in resource.get("Properties", {}))
    return sorted(types), properties


def permissions(kind):
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["handlers"]
    needed = ["create", "read", "update", "delete"]
    return {action for name in needed if name in handlers for action in handlers[name]["permissions"]}


def statements(actions):
    by_statement = {}
    for action in sorted(actions):
        service = action.split(":")[0]
        if service in NAMED and not UNNAMED.match(action) and action != "iam:PassRole":
            key = service.capitalize()
        else:
            key = "PassRole" if action == "iam:PassRole" else "Unscoped"
        by_statement.setdefault(key, []).append(action)
    result = []
    for sid in sorted(by_statement):
        statement = {"Sid": sid, "Effect": "Allow", "Action": by_statement[sid]}
        if sid == "PassRole":
            # The function's own role, handed to Lambda and to nobody else.
            statement["Resource"] = NAMED["iam"]
            services = ["lambda.amazonaws.com"]
            if any(action.startswith("scheduler:") for action in actions):
                services.append("scheduler.amazonaws.com")
            statement["Condition"] = {"StringEquals": {"iam:PassedToService": services}}
        else:
            statement["Resource"] = NAMED.get(sid.lower(), ["*"])
        result.append(statement)
    return result


def main():
    types, properties = resources_and_properties()
    actions = set().union(*map(permissions, types)) - NO_ACTIONS
    unused = {
        action
        for action in actions
        if action.split(":")[0] in ONLY_WITH and not properties.intersection(ONLY_WITH[action.split(":")[0]])
    }
    policy = {"Version": "2012-10-17", "Statement": statements(actions - unused)}
    lines = [BEGIN, "Resource types: " + ", ".join(f"`{kind}`" for kind in types) + ".\n\n"]
    lines += ["```json\n", json.dumps(policy, indent=2) + "\n", "```\n\n"]
    lines.append(
        "Left out, because a handler asks for them only with properties that the templates do not set: "
        + ", ".join(f"`{action}`" for action in sorted(unused))
        + ".\n"
    )
    page = ROOT / "docs/permissions.md"
    text = page.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(before + "".join(lines) + END + after)
    print(f"{len(types)} resource types, {len(actions - unused)} actions, {len(unused)} left out")


main()
