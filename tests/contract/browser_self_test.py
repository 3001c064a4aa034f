"""Whether browser.py finds what it is there to find: each fault is planted in a good page, and must be named.

A check that passes says something only where it has been seen to fail.
"""

import collections
import pathlib
import tempfile

Fault = collections.namedtuple("Fault", "check mode text script")

# The first chart over time, and the first other one.
LINES = '[...document.querySelectorAll("figure svg[role=img]")].find((svg) => svg.querySelector("path.line, polyline.line"))'
BARS = '[...document.querySelectorAll("figure svg[role=img]")].find((svg) => !svg.querySelector("path.line, polyline.line"))'

FAULTS = [
    Fault("sideways", "phone-light", "planted wide", """
        const wide = document.createElement("div");
        wide.style.width = "600px"; wide.textContent = "planted wide"; document.body.append(wide);"""),
    Fault("sideways", "paper", "planted table", """
        const box = document.createElement("div");
        box.style.overflowX = "auto";
        box.innerHTML = "<div style='width:1000px'>planted table</div>"; document.body.append(box);"""),
    Fault("chart-text-overlap", "desktop-light", "planted", f"""
        const text = [...{LINES}.querySelectorAll("text")].find((text) => text.checkVisibility());
        const copy = text.cloneNode(true); copy.textContent = "planted"; text.after(copy);"""),
    Fault("chart-text-outside", "phone-light", "planted outside", f"""
        const text = {LINES}.querySelector("text").cloneNode(true);
        text.removeAttribute("class"); text.setAttribute("text-anchor", "end"); text.setAttribute("x", 5); text.setAttribute("y", 100);
        text.textContent = "planted outside"; {LINES}.append(text);"""),
    Fault("text-overlap", "desktop-light", "planted over", """
        const under = document.querySelector("p");
        const over = document.createElement("span");
        over.textContent = "planted over"; over.style.cssText = "position:absolute; margin-left:0";
        under.prepend(over);"""),
    Fault("block-overlap", "desktop-dark", "<figure>", """
        document.querySelector("figure").style.marginTop = "-60px";"""),
    Fault("figure-caption", "desktop-light", "", """
        document.querySelector("figcaption").remove();"""),
    Fault("figure-unit", "desktop-light", "Planted caption", """
        const caption = document.querySelector("figcaption");
        caption.textContent = "Planted caption (over the whole test)";
        caption.closest("figure").querySelectorAll(".axis, .axis-label, .unit").forEach((text) => text.remove());"""),
    Fault("figure-svg", "desktop-light", "", f"""
        {LINES}.remove();"""),
    Fault("figure-aria", "desktop-light", "", f"""
        {LINES}.setAttribute("aria-label", " ");"""),
    Fault("axis-labels", "desktop-light", "", f"""
        {LINES}.querySelectorAll("text").forEach((text) => text.remove());"""),
    Fault("axis-labels", "desktop-light", "read the same", f"""
        const ticks = [...{LINES}.querySelectorAll("text[text-anchor=end]")].filter((text) => /^[\\d.,]+$/.test(text.textContent));
        ticks[1].textContent = ticks[0].textContent;"""),
    Fault("text-contrast", "desktop-light", "planted pale", """
        const pale = document.createElement("p");
        pale.style.color = "#999"; pale.textContent = "planted pale"; document.body.append(pale);"""),
    Fault("text-contrast", "desktop-dark", "planted dim", """
        const dim = document.createElement("p");
        dim.style.opacity = 0.4; dim.textContent = "planted dim"; document.body.append(dim);"""),
    Fault("text-contrast", "desktop-light", "planted cell", f"""
        const chart = {LINES};
        chart.insertAdjacentHTML("beforeend", "<rect x='100' y='50' width='200' height='60' fill='#222' class=''></rect><text x='120' y='80' style='fill:#333'>planted cell</text>");"""),
    Fault("text-contrast", "paper", "planted dark", """
        document.body.insertAdjacentHTML("beforeend", "<p style='background:#0f1419; color:#444'>planted dark</p>");"""),
    Fault("line-contrast", "desktop-light", "", f"""
        {LINES}.querySelector(".line").style.stroke = "#ddd";"""),
    Fault("chart-font", "phone-light", "", f"""
        {LINES}.querySelectorAll("text").forEach((text) => text.style.fontSize = "12px");"""),
    Fault("anchor", "desktop-light", "planted link", """
        document.body.insertAdjacentHTML("beforeend", "<a href='#planted-nowhere'>planted link</a>");"""),
    Fault("hover", "desktop-light", "", f"""
        {LINES}.querySelectorAll("title").forEach((title) => title.remove());
        document.querySelectorAll("style").forEach((style) => style.textContent = style.textContent.replaceAll(":hover", ":active"));"""),
    Fault("hover", "desktop-light", "", f"""
        {BARS}.querySelectorAll("title").forEach((title) => title.remove());"""),
    Fault("numbers", "desktop-light", "", """
        document.querySelectorAll("h1, h2, h3, h4").forEach((heading) => heading.querySelectorAll(".verdict").forEach((verdict) => verdict.textContent = "splendid"));"""),
    # Every number of every table, a tenth too large: an axis would not show it, a reader would be misled.
    Fault("numbers", "desktop-light", " / ", """
        document.querySelectorAll("td").forEach((cell) => {
          const value = Number(cell.textContent.replaceAll(",", ""));
          if (value && !cell.children.length) cell.textContent = (value * 1.1).toPrecision(3);
        });"""),
    Fault("print", "paper", "PDF", """
        document.body.insertAdjacentHTML("beforeend", "<div style='height:50000px'>planted length</div>");"""),
    Fault("console", "desktop-light", "planted error", """console.error("planted error");"""),
    # The page's own policy refuses it, and says so.
    Fault("console", "desktop-light", "", """
        document.body.insertAdjacentHTML("beforeend", "<img src='http://127.0.0.1:9/planted.png'>");
        return new Promise((done) => setTimeout(done, 300));"""),
]

# Without a policy the request goes out: nothing listens there, and it must be seen all the same.
LEAKY = "<!DOCTYPE html><title>planted</title><img src='http://127.0.0.1:9/planted.png' alt=''>"


def run(browser, page):
    """Prints what was not found; returns the exit code."""
    import browser as checks

    modes = {mode.name: mode for mode in checks.MODES}
    before = {name: names_of(look(checks, browser, page, mode, "")) for name, mode in modes.items()}
    missed = []
    for fault in FAULTS:
        after = names_of(look(checks, browser, page, modes[fault.mode], fault.script))
        fresh = after - before[fault.mode]
        # Of two that overlap, either may be the one that is named.
        if not any(name == fault.check and fault.text in f"{text} {detail}" for name, text, detail in fresh):
            seen = sorted({name for name, _, _ in fresh}) or "nothing"
            missed.append(f"{fault.check} [{fault.mode}] \"{fault.text}\": planted, and found {seen}")
    with tempfile.TemporaryDirectory(prefix="streamgauge-browser-") as folder:
        leaky = pathlib.Path(folder) / "leaky.html"
        leaky.write_text(LEAKY)
        checks.open_in(browser, leaky, modes["desktop-light"])
        if not any(problem["check"] == "network" for problem in checks.loaded(browser, leaky)):
            missed.append("network: a page that asks for a picture, and nothing was found")
    for one in missed:
        print(f"  {one}")
    print(f"browser self-test: {len(FAULTS) + 1} faults planted, {len(missed)} not found")
    return 1 if missed else 0


def look(checks, browser, page, mode, script):
    checks.open_in(browser, page, mode)
    browser.evaluate(f"(() => {{ {script} }})()")
    return checks.problems_in(browser, page, mode)


def names_of(problems):
    return {(problem["check"], problem["text"], problem["detail"]) for problem in problems}
