"""The whole main job against an AWS emulator that others wrote: up, load, report, down, with `--target aws`.

Starts ministack on loopback, runs `streamgauge test plans/quickstart.yaml --target aws --endpoint-url ... --yes` with
made-up credentials, then checks report.json and, by boto3, that nothing was left behind. ministack has no AWS/Kinesis
metrics and no shard limits, and takes some 300 PutRecord calls a second: how fast it is decides nothing here. What
must hold is that every record sent is acked and delivered once, and that the report says what it could not get.

    python tests/contract/ministack_run.py target/release/streamgauge ministack-venv/bin/ministack
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLAN = ROOT / "plans" / "quickstart.yaml"
RECORDS = 9_000
# 39 s of load, up to 2 minutes of drain, 5 minutes of waiting for metrics that never come.
RUN_BOUND_S = 900
READY_BOUND_S = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Ministack:
    def __init__(self, program, directory):
        self.url = f"http://127.0.0.1:{free_port()}"
        port = self.url.rsplit(":", 1)[1]
        env = dict(os.environ, BIND_HOST="127.0.0.1", GATEWAY_PORT=port, IOT_MTLS_ENABLED="0")
        self.log = open(directory / "ministack.log", "wb")
        self.process = subprocess.Popen(
            [program], cwd=directory, env=env, stdout=self.log, stderr=subprocess.STDOUT
        )

    def wait_until_ready(self):
        ends = time.monotonic() + READY_BOUND_S
        while time.monotonic() < ends:
            assert self.process.poll() is None, f"ministack ended: see {self.log.name}"
            try:
                with urllib.request.urlopen(self.url + "/_ministack/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError(f"ministack was not ready within {READY_BOUND_S} s")

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=boto3.session.Config(s3={"addressing_style": "path"}),
        )

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=20)
        self.log.close()


def run(streamgauge, url, directory):
    env = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    env.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_REGION="us-east-1")
    env.update(AWS_EC2_METADATA_DISABLED="true", NO_PROXY="127.0.0.1")
    command = [streamgauge, "test", PLAN, "--target", "aws", "--endpoint-url", url, "--yes", "--format", "json"]
    ran = subprocess.run(
        command, cwd=directory, env=env, stdout=subprocess.PIPE, timeout=RUN_BOUND_S, check=False
    )
    # 1: it ran to its end, and a criterion failed (put latency, by ministack's speed) or could not be judged.
    assert ran.returncode in (0, 1), f"exit {ran.returncode}"
    return json.loads(ran.stdout)


def check_report(report):
    delivery = report["delivery"]
    counts = {key: delivery[key] for key in ("complete", "acked", "delivered", "lost", "unconfirmed", "dead_lettered")}
    wanted = dict(complete=True, acked=RECORDS, delivered=RECORDS, lost=0, unconfirmed=0, dead_lettered=0)
    assert counts == wanted, f"delivery: {delivery}"
    assert report["run"]["target"] == "aws", report["run"]
    (test,) = report["tests"]
    assert len(test["levels"]) == 6, [level["name"] for level in test["levels"]]
    assert sum(level["sent"] for level in test["levels"]) == RECORDS
    verdicts = {criterion["text"]: criterion for criterion in test["criteria"]}
    assert verdicts["lost == 0"]["verdict"] == "pass", verdicts["lost == 0"]
    for criterion in test["criteria"]:
        assert criterion["verdict"] == "pass" or criterion["reason"], criterion
    assert any("settle" in note for note in report["notes"]), f"no word of the missing metrics: {report['notes']}"


def check_nothing_left(cloud):
    stacks = cloud.client("cloudformation").list_stacks()["StackSummaries"]
    standing = [stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"]
    left = {
        "stacks": standing,
        "streams": cloud.client("kinesis").list_streams()["StreamNames"],
        "functions": [f["FunctionName"] for f in cloud.client("lambda").list_functions()["Functions"]],
        "mappings": cloud.client("lambda").list_event_source_mappings()["EventSourceMappings"],
        "queues": cloud.client("sqs").list_queues().get("QueueUrls", []),
        "log groups": cloud.client("logs").describe_log_groups()["logGroups"],
        "buckets": [bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]],
        "roles": [r["RoleName"] for r in cloud.client("iam").list_roles()["Roles"] if "streamgauge" in r["RoleName"]],
        "alarms": cloud.client("cloudwatch").describe_alarms()["MetricAlarms"],
    }
    left = {kind: names for kind, names in left.items() if names}
    assert not left, f"left behind: {left}"


def main():
    streamgauge = pathlib.Path(sys.argv[1]).resolve()
    # Not resolved: the venv's own link tells Python which packages it has.
    program = pathlib.Path(sys.argv[2]).absolute()
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        cloud = Ministack(program, directory)
        try:
            cloud.wait_until_ready()
            report = run(streamgauge, cloud.url, directory)
            check_nothing_left(cloud)
            check_report(report)
        finally:
            cloud.stop()
    print(f"ministack: {RECORDS} records sent, acked and delivered once; the report is complete; nothing is left")


if __name__ == "__main__":
    main()
