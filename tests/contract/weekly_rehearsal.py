"""The whole weekly plan, rehearsed: every test is judged, 3.1 breaks at one shard's write limit, and with twice the rates
on two shards at twice that; within its bound of memory.

    python tests/contract/weekly_rehearsal.py STREAMGAUGE [--test ID]...

Rehearses plans/weekly.yaml (of it the tests named, if any are) in the folder `weekly-rehearsal` under the working
directory, and leaves the reports there. How long it took is printed, not judged: machines differ.
"""

import json
import pathlib
import re
import resource
import subprocess
import sys
import time

PLAN = pathlib.Path(__file__).resolve().parents[2] / "plans/weekly.yaml"
MEMORY_MAX_MB = 300
# Kinesis developer guide, "Quotas and limits": records a second that a shard takes in.
SHARD_RECORDS_PER_S = 1_000
# The ramp that breaks goes through the limit; where within it the first refusals were confirmed is between these.
BREAKS_WITHIN = (1.0, 1.3)
# A rehearsal leaves out what tells of the machine.
OF_THE_MACHINE = "drift(generator_memory)"


def rehearse(streamgauge, folder, plan, tests):
    """The report, with what is known of the process."""
    selected = [part for test in tests for part in ("--test", test)]
    started = time.monotonic()
    done = subprocess.run(
        [streamgauge, "rehearse", plan, "--format", "json", *selected], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    took_s = time.monotonic() - started
    # 3.1 is expected to fail, and the generator's memory cannot be judged.
    assert done.returncode in (0, 1), f"exit {done.returncode}"
    # The largest of all children so far: each of them must stay below.
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    report = json.loads(done.stdout)
    records = (report["delivery"] or {}).get("acked", 0)
    print(f"{plan}: {records:,} records in {took_s:.1f} s, at most {peak_mb:.0f} MB")
    assert report["run"]["rehearsal"] is True and report["run"]["end"] == "completed", report["run"]
    assert peak_mb <= MEMORY_MAX_MB, f"{peak_mb:.0f} MB, allowed are {MEMORY_MAX_MB}"
    return report


def check_judged(report):
    """Every criterion has a verdict, of the tests and of the whole."""
    judged = 0
    for part in [*report["tests"], report]:
        for criterion in part["criteria"]:
            if criterion["text"].startswith(OF_THE_MACHINE):
                assert "rehearsal" in criterion["reason"], criterion
                continue
            assert criterion["verdict"] in ("pass", "fail"), (part.get("id"), criterion)
            judged += 1
    for test in report["tests"]:
        assert all(level["void"] in (None, False) for level in test["levels"]), test["id"]
    delivery = report["delivery"]
    assert delivery["complete"] and delivery["lost"] == 0 and delivery["unconfirmed"] == 0, delivery
    print(f"  {len(report['tests'])} tests, {judged} criteria judged, every acked record accounted for")


def check_break(report, shards):
    """Test 3.1 breaks where its shards take no more."""
    test = next(test for test in report["tests"] if test["id"] == "3.1")
    limit = SHARD_RECORDS_PER_S * shards
    broke = test["breaking_point"]
    assert broke and broke["first"] == "Kinesis write: records per shard", broke
    finding = next(found for found in report["findings"] if found["limit"] == broke["first"])
    low, high = (limit * part for part in BREAKS_WITHIN)
    assert low <= finding["from_rps"] <= high, finding
    # What it was sent beyond that was refused: this is what came through.
    most = max(level["achieved_rps"] for level in test["levels"])
    # A shard that was idle takes a second's records on top, once.
    assert 0.95 * limit <= most <= 1.1 * limit, most
    print(f"  3.1 on {shards} shard(s): {broke['first']} from {finding['from_rps']:.0f}/s, at most {most:.0f}/s acked")


def doubled(text):
    """The same plan with twice the rates on two shards. Payloads, durations and criteria stay."""
    text, shards = re.subn(r"stream: {shards: 1}", "stream: {shards: 2}", text)
    text, rates = re.subn(r"(target: )([0-9]+)", lambda found: found[1] + str(2 * int(found[2])), text)
    text, peaks = re.subn(r"(expected_peak: )([0-9]+)", lambda found: found[1] + str(2 * int(found[2])), text)
    assert shards == 1 and rates > 50 and peaks == 1, "the shipped plan has changed"
    return text


def main(streamgauge, tests):
    streamgauge = str(pathlib.Path(streamgauge).resolve())
    folder = pathlib.Path("weekly-rehearsal").resolve()
    folder.mkdir(exist_ok=True)
    text = PLAN.read_text()
    (folder / "weekly.yaml").write_text(text)
    report = rehearse(streamgauge, folder, "weekly.yaml", tests)
    (folder / "report.json").write_text(json.dumps(report))
    check_judged(report)
    if not tests:
        known = set(re.findall(r'- id: "([0-9.]+)"', text))
        assert {test["id"] for test in report["tests"]} == known, known
    if not tests or "3.1" in tests:
        check_break(report, 1)
        (folder / "doubled.yaml").write_text(doubled(text))
        check_break(rehearse(streamgauge, folder, "doubled.yaml", ["3.1"]), 2)


if __name__ == "__main__":
    main(sys.argv[1], [test for flag, test in zip(sys.argv[2::2], sys.argv[3::2]) if flag == "--test"])
