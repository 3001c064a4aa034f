"""Fixtures of the contract suite. Each test runs against every endpoint that has its service.

Which endpoints: the environment names their programs (`CONTRACT_OURS`, `CONTRACT_MINISTACK`,
`CONTRACT_FERROKINESIS`, `CONTRACT_MOTO`); one that it does not name is skipped, as NOT RUN.
A test file says `SERVICE = "kinesis"`. Where an endpoint does something else than AWS documents, deviations.py
says what: that test must fail there, so that a peer which learns it makes the suite say so.
"""

import os
import re
import signal
import time
import uuid

import boto3
import botocore.config
import botocore.exceptions
import pytest
from backends import SERVICES, Backend
from deviations import DEVIATIONS
from model_check import Watch

RUNNING = {}
WATCH = Watch()


def program(name):
    return os.environ.get(f"CONTRACT_{name.upper()}", "")


def backend(name):
    if name not in RUNNING:
        RUNNING[name] = Backend(name, program(name))
    return RUNNING[name]


def pytest_generate_tests(metafunc):
    if "aws" in metafunc.fixturenames:
        service = metafunc.module.SERVICE
        metafunc.parametrize("aws", [name for name, has in SERVICES.items() if service in has], indirect=True)


def pytest_collection_modifyitems(items):
    for item in items:
        if "aws" not in getattr(item, "fixturenames", ()):
            continue
        name = item.callspec.params["aws"]
        case = item.name.replace(f"[{name}-", "[").replace(f"[{name}]", "")
        reason = DEVIATIONS.get((name, case)) or DEVIATIONS.get((name, item.originalname))
        if reason:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def pytest_sessionstart():
    # A suite that is told to end must still end the endpoints that it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_sessionfinish():
    for running in RUNNING.values():
        running.stop()
    RUNNING.clear()


class Aws:
    """Clients of one endpoint, and names that belong to one test."""

    def __init__(self, name, url, test):
        self.backend, self.url = name, url
        self.clients = {}
        self.prefix = re.sub("[^a-z0-9]", "-", test.removeprefix("test_"))[:30].strip("-")

    def client(self, service, **settings):
        made = boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="123456789012",
            aws_secret_access_key="contract",
            config=botocore.config.Config(
                # What the model forbids must reach the endpoint too; a hanging endpoint must not hang the suite.
                parameter_validation=False,
                read_timeout=40,
                connect_timeout=5,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                **settings,
            ),
        )
        if self.backend == "ours":
            WATCH.watch(made)
        return made

    def __getattr__(self, service):
        if service.startswith("_"):
            raise AttributeError(service)
        if service not in self.clients:
            self.clients[service] = self.client({"lambda_": "lambda"}.get(service, service))
        return self.clients[service]

    def name(self, suffix=""):
        return f"{self.prefix}{suffix}-{uuid.uuid4().hex[:8]}"

    def stream(self, shards=1):
        """An active stream of its own."""
        name = self.name()
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        self.active(name)
        return name

    def active(self, name):
        def summary():
            found = self.kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
            return found if found["StreamStatus"] == "ACTIVE" else None

        return wait_for(f"{name} is ACTIVE", summary, every_s=0.05)

    def shards(self, name):
        return self.kinesis.list_shards(StreamName=name)["Shards"]

    def iterator(self, name, shard="shardId-000000000000", kind="TRIM_HORIZON", **more):
        answer = self.kinesis.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType=kind, **more)
        return answer["ShardIterator"]

    def read(self, iterator, want, bound_s=10.0):
        """Reads until `want` records came; paced below the five reads a second of a shard."""
        found, ends = [], time.monotonic() + bound_s
        while time.monotonic() < ends:
            answer = self.kinesis.get_records(ShardIterator=iterator)
            found += answer["Records"]
            iterator = answer.get("NextShardIterator")
            if len(found) >= want or iterator is None:
                break
            time.sleep(0.25)
        return found


def wait_for(what, probe, bound_s=20.0, every_s=0.2):
    """Polls `probe` until it returns something truthy; fails after `bound_s`."""
    ends = time.monotonic() + bound_s
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < ends, f"{what}: not within {bound_s:.0f} s"
        time.sleep(every_s)


def refused(codes, call, *arguments, status=400, **parameters):
    """The error response of a call that must be refused with one of `codes` (a string, or several) and `status`."""
    codes = {codes} if isinstance(codes, str) else set(codes)
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        call(*arguments, **parameters)
    answer = raised.value.response
    assert answer["Error"]["Code"] in codes, answer["Error"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status, answer["ResponseMetadata"]["HTTPStatusCode"]
    return answer


@pytest.fixture
def aws(request):
    name = request.param
    if not program(name):
        pytest.skip(f"NOT RUN: no program for {name} (CONTRACT_{name.upper()})")
    WATCH.problems.clear()
    yield Aws(name, backend(name).url, request.node.originalname)
    assert not WATCH.problems, "responses that botocore's models do not allow:\n" + "\n".join(WATCH.problems)


@pytest.fixture
def ours():
    if not program("ours"):
        pytest.skip("NOT RUN: no program for ours (CONTRACT_OURS)")
    return Aws("ours", backend("ours").url, "models")
