"""The files of a run that other programs read: junit.xml, levels.csv and summary.md, with readers that others wrote.

    python tests/contract/formats.py .streamgauge/runs/<run-id> [junit-10.xsd]

With a schema (.ci/run takes the one that Jenkins publishes out of pytest's source package) junit.xml is validated, too.
"""

import csv
import json
import pathlib
import sys

import junitparser

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def check_junit(path, report, schema):
    if schema:
        import xmlschema

        xmlschema.XMLSchema(schema).validate(str(path))
    suites = list(junitparser.JUnitXml.fromfile(str(path)))
    assert len(suites) == len(report["tests"]) + 1, "a suite a test, and one for the whole run"
    assert len({suite.name for suite in suites}) == len(suites), "two suites of one name"
    cases = failures = 0
    for suite in suites:
        names = [case.name for case in suite]
        assert len(set(names)) == len(names), f"two cases of one name: {names}"
        failed = [case for case in suite if any(isinstance(each, junitparser.Failure) for each in case.result)]
        skipped = [case for case in suite if any(isinstance(each, junitparser.Skipped) for each in case.result)]
        assert (suite.tests, suite.failures, suite.skipped, suite.errors) == (len(names), len(failed), len(skipped), 0)
        assert suite.time is None or suite.time >= 0
        cases, failures = cases + len(names), failures + len(failed)
    criteria = sum(len(test["criteria"]) for test in report["tests"]) + len(report["criteria"])
    assert cases == criteria + len(suites), "a case a criterion, and one for the end of each suite"
    assert (failures == 0) == (report["run"]["verdict"] == "pass"), report["run"]["verdict"]
    return cases


def same(cell, value):
    if value is None:
        return cell == ""
    if isinstance(value, bool):
        return cell == str(value).lower()
    return float(cell) == value if isinstance(value, (int, float)) else cell == value


def figures(level, prefix=""):
    """(column, value) of each figure of a level; its name, whose column is `level`, and CloudWatch's reasons aside."""
    for key, value in level.items():
        if prefix == "cloudwatch_":
            yield prefix + key, value["value"]
        elif isinstance(value, dict):
            yield from figures(value, f"{prefix}{key}_")
        elif prefix or key != "name":
            yield prefix + key, value


def check_csv(path, report):
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("\r\n") and not text.startswith("\ufeff")
    rows = list(csv.DictReader(text.splitlines(), strict=True))
    levels = [(test, level) for test in report["tests"] for level in test["levels"]]
    assert len(rows) == len(levels), (len(rows), len(levels))
    compared = 0
    for row, (test, level) in zip(rows, levels):
        assert None not in row and None not in row.values(), "a row of another length than the header's"
        assert row["run_id"] == report["run"]["id"] and row["test_id"] == test["id"] and row["level"] == level["name"]
        assert not any(cell.startswith(FORMULA_STARTS) for cell in row.values() if not is_number(cell))
        for column, value in figures(level):
            # A map's key that no level has a value for has no column.
            assert same(row.get(column, ""), value), (column, row.get(column), value)
            compared += 1
    return compared


def is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def check_short(path, report):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < 10_000 and len(text.splitlines()) <= 45, (len(text), len(text.splitlines()))
    assert text.startswith(f"## {report['run']['plan']}: {report['run']['verdict']}\n"), text.splitlines()[0]
    return len(text.splitlines())


def main(run_dir, schema=None):
    run_dir = pathlib.Path(run_dir)
    report = json.loads((run_dir / "report.json").read_text())
    cases = check_junit(run_dir / "junit.xml", report, schema)
    compared = check_csv(run_dir / "levels.csv", report)
    lines = check_short(run_dir / "summary.md", report)
    validated = "valid" if schema else "not validated, no schema given"
    print(f"formats: junit.xml {cases} cases ({validated}), levels.csv {compared} figures, summary.md {lines} lines: ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
