"""A function in Python as its own bootstrap, and the zip that carries it: what provided.al2023 runs."""

import io
import json
import pathlib
import sys
import zipfile

# The bootstrap writes each event that it got, and what it answered, to the file that TRACE names: functions of these
# endpoints are processes of this machine.
SOURCE = '''#!{python}
import base64, json, os, sys, time, urllib.request

API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/"
VERSION = "{version}"


def post(path, value):
    body = json.dumps(value).encode()
    urllib.request.urlopen(urllib.request.Request(API + path, data=body, method="POST")).read()


def records(event):
    poison, failures, numbers = os.environ.get("POISON", ""), [], []
    for record in event["Records"]:
        text = base64.b64decode(record["kinesis"]["data"]).decode()
        numbers.append(text)
        if poison and text == poison:
            failures.append(dict(itemIdentifier=record["kinesis"]["sequenceNumber"]))
    with open(os.environ["TRACE"], "a") as trace:
        trace.write(json.dumps(numbers) + "\\n")
    if failures and os.environ.get("MODE") == "raise":
        raise ValueError("poison")
    return dict(batchItemFailures=failures)


def handle(event, headers):
    if "Records" in event:
        return records(event)
    do = event.get("do")
    if do == "fail":
        raise ValueError("asked to fail")
    if do == "sleep":
        if "path" in event:
            open(event["path"], "w").close()
        time.sleep(event["s"])
    if do == "exit":
        sys.exit(3)
    if do == "log":
        print(event["line"], flush=True)
    if do == "trace":
        with open(event["path"], "a") as trace:
            trace.write("called\\n")
    return dict(event=event, version=VERSION, mode=os.environ.get("MODE"), arn=headers.get("Lambda-Runtime-Invoked-Function-Arn"))


while True:
    with urllib.request.urlopen(API + "invocation/next") as answer:
        event, headers = json.loads(answer.read()), answer.headers
    request = headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        result = handle(event, headers)
    except Exception as error:
        post("invocation/" + request + "/error", dict(errorType=type(error).__name__, errorMessage=str(error)))
    else:
        post("invocation/" + request + "/response", result)
'''
ROLE = "arn:aws:iam::123456789012:role/contract"


def archive(version="1"):
    """The zip of the function, executable as `bootstrap`."""
    source = SOURCE.replace("{python}", sys.executable).replace("{version}", version)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        info = zipfile.ZipInfo("bootstrap")
        info.external_attr = 0o755 << 16
        made.writestr(info, source)
    return buffer.getvalue()


def create(aws, name, timeout_s=10, **variables):
    """An active function; its ARN."""
    made = aws.lambda_.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Role=ROLE,
        Handler="bootstrap",
        Code={"ZipFile": archive()},
        Timeout=timeout_s,
        MemorySize=128,
        Environment={"Variables": variables},
    )
    aws.lambda_.get_waiter("function_active_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 15}
    )
    return made["FunctionArn"]


class Trace:
    """What a function wrote: one line an invocation, each the texts of the records that it got."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "trace"

    def batches(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def texts(self):
        return [text for batch in self.batches() for text in batch]
