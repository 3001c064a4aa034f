"""A short real run on the local endpoint, calibrated on, predicts itself: rehearsed and compared, level by level.

    python3 tests/contract/prediction.py target/release/streamgauge plans/quickstart.yaml
"""

import json
import pathlib
import subprocess
import sys
import tempfile

# Percent by which the prediction of a judged level may be off. docs/rehearse.md says why it is not closer.
BOUNDS = {"records_per_invocation": 15, "e2e_latency.p95": 10, "cost_per_million": 15}
THROTTLES_BOUND = 60


def main(binary, plan):
    binary, plan = pathlib.Path(binary).resolve(), pathlib.Path(plan).resolve()
    with tempfile.TemporaryDirectory() as directory:

        def run(*args):
            done = subprocess.run(
                [binary, *args, "--format", "json"], cwd=directory, stdout=subprocess.PIPE, check=False
            )
            assert done.returncode in (0, 1), f"{args}: exit {done.returncode}"
            return json.loads(done.stdout)

        measured = run("test", plan)["run"]["id"]
        predicted = run("rehearse", plan, "--calibrate", measured)["run"]["id"]
        compared = run("compare", measured, predicted)
    checked = 0
    for test in compared["tests"]:
        for level in filter(lambda level: level["judged"] and not level["doubt"], test["levels"]):
            checked += check(level)
    assert checked > 0, "no figure of a judged level was compared: is every level void?"
    print(f"prediction of {plan.name}: {checked} figures within their bounds: ok")


def check(level):
    figures = {figure["figure"]: figure for figure in level["figures"]}
    bounds = {**BOUNDS, "throttles": THROTTLES_BOUND}
    checked = 0
    for key, bound in bounds.items():
        before, after = figures[key]["before"], figures[key]["after"]
        if before is None or after is None:
            continue
        # A handful of refusals is chance.
        slack = 50 if key == "throttles" else 0
        off = abs(after - before)
        assert off <= bound / 100 * before + slack, f"{level['name']}: {key} measured {before}, predicted {after}"
        checked += 1
    return checked


if __name__ == "__main__":
    main(*sys.argv[1:3])
