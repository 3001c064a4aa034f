"""The interval log of a run, read by the HdrHistogram project's own Python reader.

    python tests/contract/hlog_reader.py .streamgauge/runs/<run-id>

Checks that the counts of put_latency equal the acked records of report.json, and that the percentiles, the average and the
maximum that report.json gives for put latency, service time and generator lag are those that the reader works out.

Two programs may differ by a little and both be right:
- rank: which of n ordered values is the p99 is a matter of rounding n * 0.99 up or to the nearest, so that the neighbours
  one rank below and above are allowed;
- bucket: with three significant digits a value is known to 1/1000 of itself (and to 1 us), and one program may name the
  bucket's lower end and the other its upper;
- the report rounds to 1/1000 ms.
"""

import json
import pathlib
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

METRICS = {"put_latency": "put_latency_ms", "service_time": "service_time_ms", "generator_lag": "generator_lag_ms"}
QUANTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
MAX_US = 3_600_000_000
SIGNIFICANT_DIGITS = 3


def totals(path):
    """One histogram for each (level, metric) of the log."""
    found = {}
    reader = HistogramLogReader(str(path), HdrHistogram(1, MAX_US, SIGNIFICANT_DIGITS))
    while (interval := reader.get_next_interval_histogram()) is not None:
        level, metric = interval.get_tag().split("/")
        key = (int(level), metric)
        found.setdefault(key, HdrHistogram(1, MAX_US, SIGNIFICANT_DIGITS)).add(interval)
    return found


def bounds_ms(histogram, percentile):
    """The least and the largest value that may be called this percentile."""
    count = histogram.get_total_count()
    one_rank = 100.0 / count
    low_us = histogram.get_value_at_percentile(max(percentile - one_rank, 0.0))
    high_us = histogram.get_value_at_percentile(min(percentile + one_rank, 100.0))
    bucket = 10.0**-SIGNIFICANT_DIGITS
    return (low_us * (1 - bucket) - 1.5) / 1_000, (high_us * (1 + bucket) + 1.5) / 1_000


def check_level(index, level, histograms):
    """Number of figures compared."""
    compared = 0
    for metric, key in METRICS.items():
        histogram, told = histograms.get((index, metric)), level[key]
        where = f"level {index} ({level['name']}) {key}"
        if told is None:
            assert histogram is None, f"{where}: null in the report, {histogram.get_total_count()} values in the log"
            continue
        assert histogram is not None, f"{where}: not in the log"
        assert histogram.get_total_count() == told["count"], (where, histogram.get_total_count(), told["count"])
        for name, percentile in QUANTILES.items():
            low, high = bounds_ms(histogram, percentile)
            assert low <= told[name] <= high, f"{where}.{name}: {told[name]}, expected {low} to {high}"
            compared += 1
        mean_ms = histogram.get_mean_value() / 1_000
        assert abs(mean_ms - told["avg"]) <= mean_ms / 1_000 + 0.0015, f"{where}.avg: {told['avg']}, expected {mean_ms}"
        compared += 1
    return compared


def main(run_dir):
    run_dir = pathlib.Path(run_dir)
    histograms = totals(run_dir / "intervals.hlog")
    report = json.loads((run_dir / "report.json").read_text())
    levels = [level for test in report["tests"] for level in test["levels"]]
    assert levels
    compared = 0
    for index, level in enumerate(levels):
        acked = histograms[(index, "put_latency")].get_total_count() if (index, "put_latency") in histograms else 0
        assert acked == level["acked"], (index, acked, level["acked"])
        compared += check_level(index, level, histograms)
    assert compared > 0
    values = sum(histogram.get_total_count() for histogram in histograms.values())
    print(f"hdrhistogram: {values} values in {len(histograms)} histograms of {len(levels)} levels, {compared} figures: ok")


if __name__ == "__main__":
    main(sys.argv[1])
