// What a person would object to, looked for in the page as the browser laid it out. Evaluated by browser.py, which
// passes the mode; gives [{check, text, x, y, detail}], x and y in CSS pixels from the page's top left corner.
(mode) => {
  const TOLERANCE_PX = 1;
  const TEXT_CONTRAST = 4.5;
  const LINE_CONTRAST = 3;
  const CHART_TEXT_PX = 10;
  // A unit that a number can have: in the caption's parentheses, or at an axis.
  const UNIT = /(^|[^a-z])(us|µs|ms|s|min|minutes?|seconds?|h|hours?|days?|records?|invocations?|batches|shards?|functions?|containers?|sandboxes|starts|runs|count|bytes|kb|mb|gb|kib|mib|usd|eur|[a-z]{3} per|percent|%|requests?|messages?|lanes?|times|errors?|throttles)([^a-z]|$)/i;

  const found = [];
  const shown = (text) => (text || "").trim().replace(/\s+/g, " ").slice(0, 80);
  const report = (check, text, rect, detail) =>
    found.push({ check, text: shown(text), x: Math.round(rect.left + scrollX), y: Math.round(rect.top + scrollY), detail });
  const visible = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true });
  const overlap = (a, b) => ({
    x: Math.min(a.right, b.right) - Math.max(a.left, b.left),
    y: Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top),
  });
  const box = (left, top, right, bottom) => ({ left, top, right, bottom, width: right - left, height: bottom - top });

  // Of a box, the part that is not cut off by an ancestor that scrolls or hides; null where nothing is left.
  const clips = new Map();
  function clip_of(element) {
    if (!element || element === document.body || element === document.documentElement) return null;
    if (clips.has(element)) return clips.get(element);
    let clip = clip_of(element.parentElement);
    const style = getComputedStyle(element);
    if (style.overflowX !== "visible" && !(element instanceof SVGElement)) {
      const own = element.getBoundingClientRect();
      clip = clip ? cut(own, clip) || box(0, 0, 0, 0) : own;
    }
    clips.set(element, clip);
    return clip;
  }
  function cut(rect, clip) {
    if (!clip) return rect;
    const part = box(Math.max(rect.left, clip.left), Math.max(rect.top, clip.top),
      Math.min(rect.right, clip.right), Math.min(rect.bottom, clip.bottom));
    return part.width > 0 && part.height > 0 ? part : null;
  }

  // ---- colours ----
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const colours = new Map();
  function rgba(css) {
    if (!colours.has(css)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = "rgba(0,0,0,0)";
      pen.fillStyle = css;
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      colours.set(css, [r, g, b, a / 255]);
    }
    return colours.get(css);
  }
  const over = (top, under, alpha = 1) => {
    const a = top[3] * alpha;
    return [0, 1, 2].map((i) => top[i] * a + under[i] * (1 - a)).concat(1);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  // WCAG 2.2, "contrast ratio".
  const contrast = (a, b) => {
    const [light, dark] = [luminance(a), luminance(b)].sort((one, other) => other - one);
    return (light + 0.05) / (dark + 0.05);
  };
  const hex = (colour) => "#" + colour.slice(0, 3).map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");

  // What is painted behind an element: the backgrounds of its ancestors, from the canvas up. `color-scheme: dark` makes the
  // canvas dark where nothing is painted on it.
  const backgrounds = new Map();
  function background_of(element) {
    if (!element) return over([0, 0, 0, 0], rgba("Canvas"));
    if (!backgrounds.has(element)) {
      const style = getComputedStyle(element);
      const under = background_of(element.parentElement);
      backgrounds.set(element, over(rgba(style.backgroundColor), under));
    }
    return backgrounds.get(element);
  }
  const opacity_of = (element) => {
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= parseFloat(getComputedStyle(at).opacity);
    return opacity;
  };
  // Within a chart: the shapes that were drawn before this one and lie under its middle.
  function painted_under(mark, svg) {
    const rect = mark.getBoundingClientRect();
    const [x, y] = [(rect.left + rect.right) / 2, (rect.top + rect.bottom) / 2];
    let colour = background_of(svg);
    for (const shape of svg.querySelectorAll("rect, circle")) {
      if (!(shape.compareDocumentPosition(mark) & Node.DOCUMENT_POSITION_FOLLOWING)) continue;
      const at = shape.getBoundingClientRect();
      if (x < at.left || x > at.right || y < at.top || y > at.bottom || !visible(shape)) continue;
      const style = getComputedStyle(shape);
      if (style.fill === "none") continue;
      colour = over(rgba(style.fill), colour, opacity_of(shape) * parseFloat(style.fillOpacity));
    }
    return colour;
  }

  // ---- what there is ----
  const charts = [...document.querySelectorAll("figure svg")].filter((svg) => !svg.closest("[aria-hidden=true]") && visible(svg));
  // The text of a chart, piece by piece: a tspan with a place of its own is one.
  const chart_texts = (svg) => [...svg.querySelectorAll("text")].filter(visible).flatMap((text) => {
    const placed = [...text.querySelectorAll("tspan")].filter((span) => span.hasAttribute("x") || span.hasAttribute("y") || span.hasAttribute("dy"));
    return placed.length ? placed : [text];
  }).filter((text) => text.textContent.trim() && text.getBoundingClientRect().width > 0);
  const scale_of = (mark) => {
    const matrix = mark.getScreenCTM();
    return matrix ? Math.hypot(matrix.a, matrix.b) : 1;
  };

  // Where the ink of a chart's text is: its box leaves room for accents that it may not have. Turned text: the box.
  function ink_of(text) {
    const rect = text.getBoundingClientRect();
    const matrix = text.getScreenCTM();
    if (!matrix || matrix.b || matrix.c) return rect;
    const style = getComputedStyle(text);
    pen.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const measured = pen.measureText(text.textContent);
    const baseline = rect.top + measured.fontBoundingBoxAscent * matrix.d;
    return box(rect.left, baseline - measured.actualBoundingBoxAscent * matrix.d, rect.right, baseline + measured.actualBoundingBoxDescent * matrix.d);
  }

  function page_texts() {
    const texts = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const parent = node.parentElement;
      if (!node.data.trim() || parent.closest("svg, style, script, title") || !visible(parent)) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const rect of range.getClientRects()) {
        const part = cut(rect, clip_of(parent));
        if (part && part.width > 0.5) texts.push({ node, parent, text: node.data, rect: part });
      }
    }
    return texts;
  }

  // ---- the checks ----
  function sideways() {
    const width = document.documentElement.scrollWidth;
    const limit = mode.width + TOLERANCE_PX;
    if (width > limit) report("sideways", document.title, box(width, 0, width, 0), `the page is ${width} px wide, the window ${mode.width}`);
    const out = new Set();
    for (const element of document.body.querySelectorAll("*")) {
      if (element.closest("svg") && element.tagName !== "svg") continue;
      if (!visible(element)) continue;
      const rect = cut(element.getBoundingClientRect(), clip_of(element.parentElement));
      if (!rect || (rect.right <= limit && rect.left >= -TOLERANCE_PX)) continue;
      out.add(element);
      // What a wide element holds is out with it.
      if (out.has(element.parentElement)) continue;
      report("sideways", `<${element.tagName.toLowerCase()}> ${element.textContent}`, rect, `from ${Math.round(rect.left)} to ${Math.round(rect.right)} px of ${mode.width}`);
    }
    if (!mode.print) return;
    // Paper does not scroll: what is cut off there is gone.
    for (const element of document.body.querySelectorAll("*")) {
      if (element.closest("svg") || !visible(element)) continue;
      if (getComputedStyle(element).overflowX !== "visible" && element.scrollWidth > element.clientWidth + TOLERANCE_PX)
        report("sideways", element.textContent, element.getBoundingClientRect(), `cut off on paper: ${element.scrollWidth} px in ${element.clientWidth}`);
    }
  }

  function texts_apart(texts, check) {
    const open = [];
    texts.sort((a, b) => a.rect.top - b.rect.top);
    for (const one of texts) {
      for (let i = open.length - 1; i >= 0; i--) if (open[i].rect.bottom <= one.rect.top + TOLERANCE_PX) open.splice(i, 1);
      for (const other of open) {
        if (other.node === one.node) continue;
        const shared = overlap(one.rect, other.rect);
        if (shared.x > TOLERANCE_PX && shared.y > TOLERANCE_PX)
          report(check, one.text, one.rect, `overlaps "${shown(other.text)}" by ${shared.x.toFixed(1)} x ${shared.y.toFixed(1)} px`);
      }
      open.push(one);
    }
  }

  function charts_apart() {
    for (const svg of charts) {
      const frame = svg.getBoundingClientRect();
      const texts = chart_texts(svg).map((node) => ({ node, text: node.textContent, rect: node.getBoundingClientRect() }));
      for (const { node, text } of texts) {
        const rect = ink_of(node);
        const out = Math.max(frame.left - rect.left, rect.right - frame.right, frame.top - rect.top, rect.bottom - frame.bottom);
        if (out > TOLERANCE_PX) report("chart-text-outside", text, rect, `${out.toFixed(1)} px outside its chart "${svg.getAttribute("aria-label")}"`);
      }
      texts_apart(texts, "chart-text-overlap");
    }
  }

  function blocks_apart() {
    const blocks = [...document.querySelectorAll("figure, figcaption, figure svg, table, .card, .legend, h1, h2, h3, h4, p, ul, ol, dl, nav, header, footer, details, pre")]
      .filter((element) => visible(element) && !element.closest("[aria-hidden=true], figure svg *"))
      .map((element) => ({ element, rect: cut(element.getBoundingClientRect(), clip_of(element.parentElement)) }))
      .filter(({ rect }) => rect && rect.width > 0 && rect.height > 0)
      .sort((a, b) => a.rect.top - b.rect.top);
    const open = [];
    for (const one of blocks) {
      for (let i = open.length - 1; i >= 0; i--) if (open[i].rect.bottom <= one.rect.top + TOLERANCE_PX) open.splice(i, 1);
      for (const other of open) {
        if (other.element.contains(one.element) || one.element.contains(other.element)) continue;
        const shared = overlap(one.rect, other.rect);
        if (shared.x > TOLERANCE_PX && shared.y > TOLERANCE_PX)
          report("block-overlap", `<${one.element.tagName.toLowerCase()}> ${one.element.textContent}`, one.rect,
            `overlaps <${other.element.tagName.toLowerCase()}> "${shown(other.element.textContent)}" by ${shared.x.toFixed(1)} x ${shared.y.toFixed(1)} px`);
      }
      open.push(one);
    }
  }

  // Of labels, the largest number that stand in one line: with the same `at`, to within 2 px.
  const in_line = (labels, at) => Math.max(0, ...labels.map((one) => labels.filter((other) => Math.abs(at(one) - at(other)) <= 2).length));

  function figures() {
    for (const figure of document.querySelectorAll("figure")) {
      if (!visible(figure)) continue;
      const rect = figure.getBoundingClientRect();
      const caption = figure.querySelector("figcaption")?.textContent || "";
      const own = charts.filter((svg) => figure.contains(svg));
      if (!caption.trim()) report("figure-caption", figure.textContent, rect, "no figcaption");
      const parentheses = (caption.match(/\(([^()]*)\)/g) || []).join(" ");
      const axis = own.flatMap((svg) => [...svg.querySelectorAll(".axis, .axis-label, .unit")]).map((text) => text.textContent).join(" ");
      if (!UNIT.test(`${parentheses} ${axis}`)) report("figure-unit", caption, rect, "no unit in the caption's parentheses or at an axis");
      if (!own.length && !figure.querySelector("table, img")) report("figure-svg", caption, rect, "no chart");
      for (const svg of own) chart_parts(svg, caption);
    }
  }

  function chart_parts(svg, caption) {
    const rect = svg.getBoundingClientRect();
    if (svg.getAttribute("role") !== "img" || !svg.getAttribute("aria-label")?.trim())
      report("figure-aria", caption, rect, "its svg has no role=img with an aria-label");
    const labels = chart_texts(svg).map((text) => text.getBoundingClientRect());
    const rows = in_line(labels, (label) => label.bottom);
    const columns = Math.max(in_line(labels, (label) => label.right), in_line(labels, (label) => label.left));
    // Lines have a scale each way; bars a scale one way and names the other. Of things with names, such as tests, there may be one.
    const lines = svg.querySelector("path.line, polyline.line");
    const named = lines && svg.querySelector("circle");
    if (rows < (named ? 1 : 2)) report("axis-labels", caption, rect, "too few labels in a row along its horizontal axis");
    const scale = chart_texts(svg).filter((text) => /^[\d.,]+$/.test(text.textContent));
    for (const at of [(label) => label.right, (label) => label.bottom]) {
      for (const text of scale) {
        const twin = scale.find((other) => other !== text && other.textContent === text.textContent && other.getAttribute("class") === text.getAttribute("class")
          && Math.abs(at(other.getBoundingClientRect()) - at(text.getBoundingClientRect())) <= 0.5);
        if (lines && twin) report("axis-labels", text.textContent, text.getBoundingClientRect(), `two places of the axis read the same, of "${caption}"`);
      }
    }
    if (lines && columns < 2) report("axis-labels", caption, rect, "fewer than two labels along its vertical axis");
    if (!labels.length) report("axis-labels", caption, rect, "no label at all");
  }

  function contrasts(texts) {
    const seen = new Set();
    for (const { parent, text, rect } of texts) {
      if (seen.has(parent)) continue;
      seen.add(parent);
      const under = background_of(parent);
      const ink = over(rgba(getComputedStyle(parent).color), under, opacity_of(parent));
      const ratio = contrast(ink, under);
      if (ratio < TEXT_CONTRAST) report("text-contrast", text, rect, `${hex(ink)} on ${hex(under)} is ${ratio.toFixed(2)}:1`);
    }
    for (const svg of charts) {
      for (const text of chart_texts(svg)) {
        const style = getComputedStyle(text);
        const under = painted_under(text, svg);
        const ink = over(rgba(style.fill), under, opacity_of(text) * parseFloat(style.fillOpacity));
        const ratio = contrast(ink, under);
        if (ratio < TEXT_CONTRAST) report("text-contrast", text.textContent, text.getBoundingClientRect(), `${hex(ink)} on ${hex(under)} is ${ratio.toFixed(2)}:1`);
      }
    }
    for (const svg of document.querySelectorAll("figure svg")) {
      const paper = background_of(svg);
      for (const line of svg.querySelectorAll(".line")) {
        const style = getComputedStyle(line);
        if (style.stroke === "none" || !visible(line)) continue;
        const ink = over(rgba(style.stroke), paper, opacity_of(line) * parseFloat(style.strokeOpacity));
        const ratio = contrast(ink, paper);
        if (ratio < LINE_CONTRAST) report("line-contrast", `.${line.getAttribute("class")} of ${svg.getAttribute("aria-label") || "a legend"}`, line.getBoundingClientRect(), `${hex(ink)} on ${hex(paper)} is ${ratio.toFixed(2)}:1`);
      }
    }
  }

  function font_sizes() {
    for (const svg of charts) {
      for (const text of chart_texts(svg)) {
        const size = parseFloat(getComputedStyle(text).fontSize) * scale_of(text);
        if (size < CHART_TEXT_PX - 0.05) report("chart-font", text.textContent, text.getBoundingClientRect(), `${size.toFixed(1)} px, less than ${CHART_TEXT_PX}`);
      }
    }
  }

  function anchors() {
    for (const anchor of document.querySelectorAll('a[href^="#"]')) {
      const id = decodeURIComponent(anchor.getAttribute("href").slice(1));
      if (!document.getElementById(id)) report("anchor", anchor.textContent, anchor.getBoundingClientRect(), `#${id} leads nowhere`);
    }
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at)))
      report("anchor", id, box(0, 0, 0, 0), "the id stands on more than one element");
  }

  const texts = page_texts();
  sideways();
  texts_apart(texts, "text-overlap");
  charts_apart();
  blocks_apart();
  figures();
  contrasts(texts);
  if (mode.width <= 400) font_sizes();
  anchors();
  return found;
}
