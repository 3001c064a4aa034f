"""The report of plans/breaking-point.yaml names the shard's write limit near 1,000 records/s.

    python tests/contract/breaking_point.py report.json
"""

import json
import pathlib
import sys


def main(path):
    report = json.loads(pathlib.Path(path).read_text())
    findings = [f for f in report["findings"] if "write" in f["limit"].lower()]
    assert findings, f"no finding names the write limit: {report['findings']}"
    finding = findings[0]
    assert 900 <= finding["from_rps"] <= 1300, finding
    assert float(finding["monthly_cost_of_change"]) > 0, finding
    delivery = report["delivery"]
    assert delivery["complete"] and delivery["lost"] == 0 and delivery["unconfirmed"] == 0, delivery
    assert delivery["delivered"] == delivery["acked"] > 0, delivery
    print(f"breaking point: {finding['limit']} from {finding['from_rps']}/s, {finding['change']}: ok")


if __name__ == "__main__":
    main(sys.argv[1])
