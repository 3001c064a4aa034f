"""The interval log of a run, read by the HdrHistogram project's own Python reader.

    python tests/contract/hlog_reader.py .streamgauge/runs/<run-id>

Checks that the tags are there and that the counts of put_latency equal the acked records of report.json.
"""

import collections
import json
import pathlib
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader


def main(run_dir):
    run_dir = pathlib.Path(run_dir)
    counts = collections.Counter()
    reader = HistogramLogReader(str(run_dir / "intervals.hlog"), HdrHistogram(1, 3_600_000_000, 3))
    while True:
        histogram = reader.get_next_interval_histogram()
        if histogram is None:
            break
        level, metric = histogram.get_tag().split("/")
        counts[(int(level), metric)] += histogram.get_total_count()
    report = json.loads((run_dir / "report.json").read_text())
    index = 0
    for test in report["tests"]:
        for level in test["levels"]:
            assert counts[(index, "put_latency")] == level["acked"], (index, counts, level["acked"])
            index += 1
    assert index > 0
    print(f"hdrhistogram: {sum(counts.values())} values in {len(counts)} histograms of {index} levels: ok")


if __name__ == "__main__":
    main(sys.argv[1])
