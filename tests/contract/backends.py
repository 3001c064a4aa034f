"""The endpoints that the suite runs against: ours and those that others wrote, each a process on loopback."""

import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

# What each of them has, as far as the suite asks for it.
SERVICES = {
    "ours": {"kinesis", "lambda", "mapping", "sqs", "s3", "logs", "cloudwatch", "cloudformation", "iam", "sts"},
    "ministack": {"kinesis", "lambda", "mapping", "sqs", "s3", "logs", "cloudwatch", "cloudformation", "iam", "sts"},
    "ferrokinesis": {"kinesis"},
    "moto": {"kinesis"},
}
READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 20.0


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Backend:
    """One endpoint process. `program` is its executable; ready once any HTTP answer comes from `health`."""

    def __init__(self, name, program):
        self.name = name
        self.folder = tempfile.TemporaryDirectory(prefix=f"contract-{name}-")
        self.log = open(pathlib.Path(self.folder.name) / "log", "w+")
        port = free_port()
        arguments, settings, health = command(name, port)
        # Nothing of the caller's AWS settings reaches an endpoint.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [str(pathlib.Path(program).resolve()), *arguments],
            cwd=self.folder.name,
            env={**environment, **settings},
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self.wait_until_ready(self.url + health)
        except BaseException:
            self.stop()
            raise

    def wait_until_ready(self, address):
        ends = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < ends:
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}: {self.said()}"
            try:
                urllib.request.urlopen(address, timeout=2).close()
                return
            except urllib.error.HTTPError:
                return  # It answers; that the bare address is refused is right.
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"{self.name}: not ready within {READY_WITHIN_S:.0f} s: {self.said()}")

    def said(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()[-2000:]

    def stop(self):
        """Ends the process, and what is left of the session that it leads (functions)."""
        self.process.terminate()
        try:
            self.process.wait(timeout=STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(timeout=STOPPED_WITHIN_S)
        self.log.close()
        self.folder.cleanup()


def command(name, port):
    """Arguments, environment and health address of a backend."""
    if name == "ours":
        return ["local", "--port", str(port)], {}, "/_streamgauge/health"
    if name == "ministack":
        settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0"}
        return [], settings, "/_ministack/health"
    if name == "ferrokinesis":
        return [str(port)], {}, "/_health/ready"
    if name == "moto":
        return ["-H", "127.0.0.1", "-p", str(port)], {}, "/moto-api/data.json"
    raise ValueError(name)
