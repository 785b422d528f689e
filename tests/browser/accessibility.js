// What an audit by hand would look for: names, structure, contrast (WCAG 2.2 AA), size of targets. Gives a list of faults.
(() => {
  const faults = [];
  const shown = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && e.getClientRects().length > 0;
  const told = (e) => `${e.tagName.toLowerCase()}${e.id ? `#${e.id}` : `.${e.className}`}`;
  const name = (e) => {
    const by = e.getAttribute("aria-labelledby")?.split(" ").map((id) => document.getElementById(id)?.textContent).join(" ");
    const labels = e.labels ? Array.from(e.labels, (label) => label.textContent).join(" ") : "";
    return (by || e.getAttribute("aria-label") || labels || (e.matches("button, a") ? e.textContent : "") || "").trim();
  };

  if (!document.documentElement.lang) faults.push("no language");
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  const levels = Array.from(document.querySelectorAll("h1, h2, h3"), (h) => Number(h.tagName[1]));
  levels.forEach((level, i) => i && level > levels[i - 1] + 1 && faults.push(`heading ${level} after ${levels[i - 1]}`));
  const ids = Array.from(document.querySelectorAll("[id]"), (e) => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`id ${id} twice`);
  for (const mark of ["header", "main"]) if (!document.querySelector(mark)) faults.push(`no ${mark}`);
  for (const e of document.querySelectorAll("[tabindex]")) if (e.tabIndex > 0) faults.push(`${told(e)} breaks the order of tabs`);
  const named = "button, a, input, select, video, progress, dialog, section, [role=img], fieldset";
  for (const e of document.querySelectorAll(named)) {
    const legend = e.querySelector(":scope > legend")?.textContent;
    if (!name(e) && !legend) faults.push(`${told(e)} has no name`);
  }
  if (!document.querySelector("#state[role=status], #state[aria-live]")) faults.push("the state is not announced");
  for (const e of document.querySelectorAll("button, select, input")) {
    const target = e.closest("label") ?? e; // a label around a box is part of its target
    const { width, height } = target.getBoundingClientRect();
    if (shown(target) && Math.min(width, height) < 24) faults.push(`${told(e)} is ${width} × ${height}`);
  }

  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((v, i) => v * a + below[i] * (1 - a));
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  /** All colours that may lie behind an element: of a gradient each stop, of a video black and white. */
  const behind = (e) => {
    if (!e) return [[255, 255, 255]];
    const style = getComputedStyle(e);
    const stops = style.backgroundImage.match(/rgba?\([^)]*\)/g);
    if (stops) return stops.map((stop) => parse(stop).slice(0, 3));
    const colour = parse(style.backgroundColor);
    if (colour[3] === 1 && !e.matches(".eye")) return [colour.slice(0, 3)];
    const below = e.matches(".eye") ? [[0, 0, 0], [255, 255, 255]] : behind(e.parentElement);
    return below.map((under) => over(colour[3] === 1 ? [0, 0, 0, 0] : colour, under));
  };
  const worst = (colour, e) => Math.min(...behind(e).map((under) => contrast(over(colour, under), under)));
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !shown(e) || e.closest(":disabled, .skip, legend, script")) continue;
    if (e.matches(".empty")) continue; // there is no video behind it
    const style = getComputedStyle(e);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = worst(parse(style.color), e);
    if (ratio < (large ? 3 : 4.5)) faults.push(`${told(e)} "${walker.currentNode.textContent.trim().slice(0, 30)}" has contrast ${ratio.toFixed(2)}`);
  }
  for (const e of document.querySelectorAll("button:not(:disabled, .close, .play), select, input[type=password]")) {
    if (!shown(e)) continue;
    const edge = Math.max(worst(parse(getComputedStyle(e).borderTopColor), e.parentElement), worst(parse(getComputedStyle(e).backgroundColor), e.parentElement));
    if (edge < 3) faults.push(`the edge of ${told(e)} has contrast ${edge.toFixed(2)}`);
  }
  return faults;
})();
