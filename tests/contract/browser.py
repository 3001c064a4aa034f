"""The HTML reports, opened in headless Chromium at desktop and phone width, light, dark and on paper.

    python tests/contract/browser.py [--shots DIR] PAGE.html...     checks each page
    python tests/contract/browser.py --self-test PAGE.html          plants faults in a page and expects each to be found

Nothing overlaps or runs out of its frame, every chart has units, labels and values on hover, colours can be read, the
numbers are those of the report.json beside the page, and the page asks the network for nothing. What it looks for in the
page is browser_checks.js. Ends with 1 and names page, mode, text and place of everything found, with a screenshot of each
page and mode in DIR (target/browser); with 2 where no chromium is installed.
"""

import argparse
import base64
import collections
import json
import os
import pathlib
import re
import signal
import sys

import browser_self_test
import chromium

CHECKS = (pathlib.Path(__file__).parent / "browser_checks.js").read_text()
Mode = collections.namedtuple("Mode", "name width height scheme media mobile")
# A4 between margins of 10 mm, in CSS pixels.
PAPER_PX = 718
MODES = [
    Mode("desktop-light", 1280, 900, "light", "screen", False),
    Mode("desktop-dark", 1280, 900, "dark", "screen", False),
    Mode("phone-light", 390, 844, "light", "screen", True),
    Mode("phone-dark", 390, 844, "dark", "screen", True),
    # Whoever prints may read on a dark screen: paper is white all the same.
    Mode("paper", PAPER_PX, 1000, "dark", "print", False),
]
# For each megabyte of the page that was begun: quickstart takes 5 sheets of paper, a campaign brings many runs.
PAPER_PAGES_MAX = 40
# A page of 5 MB takes more than a minute on a busy machine.
PRINT_S = 240.0
SHOWN_PER_CHECK = 6
# For all pages together: a hanging browser ends the check, not the CI's job.
WHOLE_S = 900

# Where a reader would point in a chart over time, from its left and top, as parts of its width and height.
HOVER_AT = [(x / 10, 0.5) for x in (2, 3, 4, 5, 6, 7, 8)]
# A page of many runs repeats the same charts: some of each kind are enough.
HOVERED_CHARTS = 40
# The charts that can be seen; legends' keys are hidden from readers of screens and have no role.
CHARTS = """[...document.querySelectorAll("figure svg[role=img]")].filter((svg) => svg.checkVisibility())"""
CHART_LABELS = f"""{CHARTS}.map((svg) => svg.getAttribute("aria-label"))"""
# Where to point: in a line over time anywhere, in any other chart at its marks.
CHART_PLACES = f"""((index, most) => {{
  const svg = {CHARTS}[index];
  svg.scrollIntoView({{ block: "center", behavior: "instant" }});
  const {{ left, top, width, height }} = svg.getBoundingClientRect();
  if (svg.querySelector("path.line, polyline.line") && !svg.querySelector("circle"))
    return {json.dumps(HOVER_AT)}.map(([x, y]) => [left + x * width, top + y * height]);
  const marks = [...svg.querySelectorAll("circle, rect, path, polygon")]
    .filter((mark) => mark.querySelector("title") || mark.parentElement.querySelector(":scope > title"));
  const every = Math.max(1, Math.floor(marks.length / most));
  return marks.filter((_, at) => at % every === 0).slice(0, most).map((mark) => {{
    const at = mark.getBoundingClientRect();
    return [at.left + at.width / 2, at.top + at.height / 2];
  }});
}})"""
# What can be read at a place: the title of what is pointed at, and the figure's visible text.
CHART_READ = f"""((index, x, y) => {{
  const svg = {CHARTS}[index];
  let title = null;
  for (let at = document.elementFromPoint(x, y); at && !title && svg.contains(at); at = at.parentElement)
    title = [...at.children].find((child) => child.tagName.toLowerCase() === "title")?.textContent || null;
  const texts = [...svg.closest("figure").querySelectorAll("text, tspan, .readout")]
    .filter((text) => text.checkVisibility({{ opacityProperty: true, visibilityProperty: true }})).map((text) => text.textContent);
  return {{ title, texts }};
}})"""
# `2.1 ms`, `99.9 %`, `USD 0.04`; a level's name, such as `50/s hold`, is no value, nor is a payload's `500 B`.
VALUE_WITH_UNIT = re.compile(r"\d ?%|\d (?!B\b)[a-zA-Zµ]+|[A-Z]{3} \d")

TABLE_ROWS = """[...document.querySelectorAll("tr")].map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"""
HEADINGS = """[...document.querySelectorAll("h1, h2, h3, h4")].map((heading) => heading.textContent.replace(/\\s+/g, " ").trim())"""


def found(check, text, detail, x=0, y=0):
    return {"check": check, "text": text, "detail": detail, "x": x, "y": y}


def open_in(browser, page, mode):
    features = [{"name": "prefers-color-scheme", "value": mode.scheme}]
    browser.call("Emulation.setEmulatedMedia", media=mode.media, features=features)
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=mode.width,
        height=mode.height,
        deviceScaleFactor=2 if mode.mobile else 1,
        mobile=mode.mobile,
    )
    browser.open(page.resolve().as_uri())
    # What a reader can unfold must be as good as what is unfolded already.
    browser.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")


def laid_out(browser, mode):
    asked = json.dumps({"width": mode.width, "print": mode.media == "print"})
    return browser.evaluate(f"({CHECKS.strip()})({asked})")


def loaded(browser, page):
    """What the page asked for, and what the browser had to say about it."""
    problems = []
    own = page.resolve().as_uri()
    for event in browser.events:
        method, told = event["method"], event["params"]
        if method == "Network.requestWillBeSent":
            url = told["request"]["url"]
            if url != own and not url.startswith("data:"):
                problems.append(found("network", url, "the page asked for it"))
        elif method == "Runtime.exceptionThrown":
            problems.append(found("console", told["exceptionDetails"]["text"], "an exception"))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            problems.append(found("console", str(told["args"]), told["type"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            problems.append(found("console", told["entry"]["text"], told["entry"]["source"]))
        elif method == "Audits.issueAdded" and told["issue"]["code"] == "ContentSecurityPolicyIssue":
            problems.append(found("console", told["issue"]["code"], json.dumps(told["issue"]["details"])[:200]))
    return problems


def hovered(browser):
    """Every chart tells its values to whoever points at it."""
    problems = []
    labels = browser.evaluate(CHART_LABELS)
    for index, label in list(enumerate(labels))[:: max(1, len(labels) // HOVERED_CHARTS)]:
        places = browser.evaluate(f"{CHART_PLACES}({index}, {len(HOVER_AT)})")
        at_rest = read_at(browser, index, 1, 1)
        told = 0
        for x, y in places:
            now = read_at(browser, index, x, y)
            fresh = collections.Counter(now["texts"]) - collections.Counter(at_rest["texts"])
            told += bool(VALUE_WITH_UNIT.search(now["title"] or "") or VALUE_WITH_UNIT.search(" ".join(fresh)))
        # A chart may have a gap where nothing was measured.
        if told * 2 < len(places) or not places:
            last = f", at the last one \"{now['title']}\"" if places else ""
            problems.append(found("hover", label, f"a value with its unit is shown at {told} of {len(places)} places{last}"))
    return problems


def read_at(browser, index, x, y):
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    return browser.evaluate(f"{CHART_READ}({index}, {x}, {y})")


def printed(browser, page):
    """The page as PDF."""
    pdf = browser.call(
        "Page.printToPDF", within_s=PRINT_S, paperWidth=8.27, paperHeight=11.69, marginTop=0.394, marginBottom=0.394, marginLeft=0.394,
        marginRight=0.394, printBackground=True,
    )
    pages = len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(pdf["data"])))
    most = PAPER_PAGES_MAX * (1 + page.stat().st_size // 1_000_000)
    if not 1 <= pages <= most:
        return [found("print", "PDF", f"{pages} pages, expected 1 to {most}")]
    return []


def numbers_in(cells):
    for cell in cells:
        try:
            yield float(cell.replace(",", ""))
        except ValueError:
            pass


def shows(cells, value):
    """Whether a cell is `value` as the report rounds it: whole counts exactly, else three significant digits."""
    if isinstance(value, int):
        return any(number == value for number in numbers_in(cells))
    return any(abs(number - value) <= max(0.0051 * abs(value), 0.0006) for number in numbers_in(cells))


def told_as_json(browser, page):
    """The page says what the JSON beside it says: the verdicts, and acked records and p95 of each level."""
    beside = page.with_suffix(".json")
    report = json.loads(beside.read_text()) if beside.exists() else {}
    of_what = {"streamgauge/report/v1": "run", "streamgauge/period/v1": "period"}.get(report.get("schema"))
    if not of_what:
        return []
    problems = []
    headings, rows = browser.evaluate(HEADINGS), browser.evaluate(TABLE_ROWS)
    whole = browser.evaluate("document.body.textContent")
    head = report[of_what]
    if not (headings and head["plan"] in headings[0] and head["verdict"] in headings[0]):
        problems.append(found("numbers", head["plan"], f"the first heading does not say plan and verdict {head['verdict']}"))
    for run in [head] if of_what == "run" else report["runs"]:
        if run["id"] not in whole:
            problems.append(found("numbers", run["id"], "the run's id is not on the page"))
    named = headings + [" ".join(cells) for cells in rows]
    for test in report["tests"]:
        if test["verdict"] and not any(test["name"] in text and test["verdict"] in text for text in named):
            problems.append(found("numbers", test["id"], f"no heading and no row has its name and verdict {test['verdict']}"))
        # Of a period each test brings the report of its run.
        for level in (test if of_what == "run" else test["report"] or {}).get("levels", []):
            problems += level_told(test, level, rows)
    delivery = report.get("delivery")
    if delivery and f"{delivery['delivered']:,}" not in whole:
        problems.append(found("numbers", str(delivery["delivered"]), "delivered records are not on the page"))
    return problems


def level_told(test, level, rows):
    own = [cells[1:] for cells in rows if cells and cells[0].startswith(level["name"])]
    wanted = {"acked": level["acked"]}
    for kind in ("put_latency_ms", "e2e_latency_ms"):
        if level[kind]:
            wanted[f"{kind}.p95"] = level[kind]["p95"]
    missing = [f"{name} {value}" for name, value in wanted.items() if not any(shows(cells, value) for cells in own)]
    if missing:
        return [found("numbers", f"{test['id']} / {level['name']}", f"no row of it shows {', '.join(missing)}")]
    return []


def problems_in(browser, page, mode):
    """Everything found on a page that is open in a mode."""
    problems = laid_out(browser, mode) + loaded(browser, page)
    if mode.name == "desktop-light":
        problems += hovered(browser) + told_as_json(browser, page)
    if mode.media == "print":
        problems += printed(browser, page)
    return problems


def check(browser, page, shots):
    """Checks a page in every mode; prints what was found and returns how much that was."""
    whole = 0
    for mode in MODES:
        open_in(browser, page, mode)
        problems = problems_in(browser, page, mode)
        whole += len(problems)
        if problems:
            shots.mkdir(parents=True, exist_ok=True)
            shot = shots / f"{page.resolve().parent.name}-{page.stem}-{mode.name}.png"
            browser.screenshot(shot)
            show(page, mode, problems, shot)
    return whole


def show(page, mode, problems, shot):
    print(f"\n{page} [{mode.name}]: {len(problems)} found, see {shot}")
    by_check = collections.defaultdict(list)
    for problem in problems:
        by_check[problem["check"]].append(problem)
    for name, some in by_check.items():
        for one in some[:SHOWN_PER_CHECK]:
            print(f"  {name}: \"{one['text']}\" at {one['x']:.0f},{one['y']:.0f}: {one['detail']}")
        if len(some) > SHOWN_PER_CHECK:
            print(f"  {name}: and {len(some) - SHOWN_PER_CHECK} more")


def out_of_time(*_):
    raise chromium.BrowserError(f"not done within {WHOLE_S} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", action="store_true", help="plant faults in the first page and expect each to be found")
    parser.add_argument("--shots", type=pathlib.Path, help="folder of the screenshots [default: target/browser]")
    parser.add_argument("pages", type=pathlib.Path, nargs="+")
    asked = parser.parse_args()
    shots = asked.shots or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "browser"
    program = chromium.find()
    if not program:
        print("no chromium is installed", file=sys.stderr)
        return 2
    signal.signal(signal.SIGALRM, out_of_time)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.alarm(WHOLE_S)
    try:
        with chromium.Browser(program) as browser:
            if asked.self_test:
                return browser_self_test.run(browser, asked.pages[0])
            whole = sum(check(browser, page, shots) for page in asked.pages)
    except chromium.BrowserError as error:
        print(f"browser: {error}", file=sys.stderr)
        return 1
    modes = ", ".join(mode.name for mode in MODES)
    print(f"browser: {len(asked.pages)} pages as {modes}: {'ok' if not whole else f'{whole} found'}")
    return 1 if whole else 0


if __name__ == "__main__":
    sys.exit(main())
