"""Debian's chromium, headless, driven over a pair of pipes: no port is opened, nothing is downloaded.

`--remote-debugging-pipe` speaks the DevTools protocol on file descriptors 3 and 4: JSON messages, each ended by a
NUL byte. Every wait here has a bound, and the browser is ended by its own process id.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# A page of 5 MB takes seconds on a busy machine; a browser that hangs must not hang the checks.
ANSWER_S = 60.0
START_S = 60.0
END_S = 10.0
# Longer than any message that a report causes: a PDF of 40 pages is under 5 MB.
MESSAGE_BYTES_MAX = 200 * 1024 * 1024
# Twice as many on a phone's screen; chromium draws no picture beyond 16,384.
SHOT_PX_MAX = 8_000

# Puts the pipes' ends where the browser looks for them, then becomes the browser: same process id.
LAUNCHER = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execvp(sys.argv[3], sys.argv[3:])"

FLAGS = [
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--metrics-recording-only",
    "--password-store=basic",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
]


class BrowserError(Exception):
    pass


def find():
    """The path of a chromium, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One browser with one page. Use as a context: leaving it ends the process and removes its folder."""

    def __init__(self, program):
        self.program = program
        self.events = []
        self.buffer = bytearray()
        self.last_id = 0
        self.session = None

    def __enter__(self):
        # Above the numbers that the launcher writes over.
        ours_in, theirs_out = map(_high, os.pipe())
        theirs_in, ours_out = map(_high, os.pipe())
        self.read_fd, self.write_fd = ours_in, ours_out
        self.folder = tempfile.mkdtemp(prefix="streamgauge-chromium-")
        self.log = open(os.path.join(self.folder, "stderr.log"), "w+b")
        # Chromium's sandbox refuses to work for root. What is opened here is our own file.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = [self.program, *FLAGS, *sandbox, f"--user-data-dir={self.folder}/profile", "about:blank"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(theirs_in), str(theirs_out), *browser],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            self._attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close", within_s=END_S)
        except (BrowserError, OSError):
            pass
        for end in (self.read_fd, self.write_fd):
            os.close(end)
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            # Its own session: the group is the browser and the processes that it started, and nobody else.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(END_S)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _attach(self):
        targets = self.call("Target.getTargets", within_s=START_S)["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
            self.call(f"{domain}.enable")

    def call(self, method, within_s=ANSWER_S, **parameters):
        """Sends one command and returns its result; what happens meanwhile is kept in `events`."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self._send(json.dumps(message).encode() + b"\0", method)
        ends = time.monotonic() + within_s
        while True:
            answer = self._receive(ends, method)
            if answer.get("id") == self.last_id:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error'].get('message')}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def wait_for(self, event, within_s=ANSWER_S):
        """Waits until `event` came, also one that came already; returns it."""
        ends = time.monotonic() + within_s
        seen = 0
        while True:
            for message in self.events[seen:]:
                if message["method"] == event:
                    return message
            seen = len(self.events)
            answer = self._receive(ends, event)
            if "method" in answer:
                self.events.append(answer)

    def evaluate(self, expression):
        """The JSON value of a JavaScript expression; promises are awaited."""
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            details = got["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description") or details.get("text"))
        return got["result"].get("value")

    def open(self, url):
        self.events.clear()
        answer = self.call("Page.navigate", url=url)
        if answer.get("errorText"):
            raise BrowserError(f"{url}: {answer['errorText']}")
        self.wait_for("Page.loadEventFired")

    def screenshot(self, path):
        """The page from its top, down to what a picture can hold."""
        whole = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": whole["width"], "height": min(whole["height"], SHOT_PX_MAX), "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _send(self, data, what):
        view = memoryview(data)
        ends = time.monotonic() + ANSWER_S
        while view:
            left_s = ends - time.monotonic()
            _, ready, _ = select.select([], [self.write_fd], [], max(left_s, 0))
            if not ready:
                raise BrowserError(f"{what}: the browser takes no command")
            # A pipe that is ready takes this much without blocking.
            view = view[os.write(self.write_fd, view[: select.PIPE_BUF]) :]

    def _receive(self, ends, what):
        while True:
            head, separator, tail = self.buffer.partition(b"\0")
            if separator:
                self.buffer = tail
                return json.loads(head)
            if len(self.buffer) > MESSAGE_BYTES_MAX:
                raise BrowserError(f"{what}: an answer over {MESSAGE_BYTES_MAX} bytes")
            ready, _, _ = select.select([self.read_fd], [], [], max(ends - time.monotonic(), 0))
            if not ready:
                raise BrowserError(f"{what}: no answer in time")
            data = os.read(self.read_fd, 1 << 20)
            if not data:
                raise BrowserError(f"{what}: the browser ended\n{self._last_words()}")
            self.buffer += data

    def _last_words(self):
        self.log.seek(0)
        return self.log.read()[-2_000:].decode(errors="replace")


def _high(descriptor):
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return high
