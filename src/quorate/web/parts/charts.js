// A line and point chart as SVG: axes, bands, whiskers, tooltips for mouse and keyboard, a table of its data.

import { count, draw, fixed, make, short } from "./draw.js";

export const DASHES = ["", "7 4", "2 3", "9 3 2 3"];
const SHAPES = ["circle", "square", "diamond", "triangle"];
export const colour = (i) => `var(--s${i % 8})`;

/** A marker around a point; colour, shape and dash together tell series apart without colour. */
export function marker(i, x, y, size, options = {}) {
  const shape = SHAPES[Math.floor(i % 8 / 2) % 4], s = size;
  const look = { class: "spot", fill: colour(i), ...options };
  if (shape === "circle") return draw("circle", { cx: x, cy: y, r: s, ...look });
  const corners = shape === "square" ? [[-s, -s], [s, -s], [s, s], [-s, s]].map(([a, b]) => [a * 0.88, b * 0.88])
    : shape === "diamond" ? [[0, -s * 1.25], [s * 1.25, 0], [0, s * 1.25], [-s * 1.25, 0]]
    : [[0, -s * 1.2], [s * 1.15, s * 0.9], [-s * 1.15, s * 0.9]];
  return draw("polygon", { points: corners.map(([a, b]) => `${(x + a).toFixed(1)},${(y + b).toFixed(1)}`).join(" "), ...look });
}

/** Round numbers between two ends. */
function ticks(low, high, wanted) {
  const raw = (high - low) / wanted, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * size).find((f) => f >= raw * 0.999);
  const found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) found.push(+v.toPrecision(10));
  return found;
}

/** Values to mark on a logarithmic axis: powers of two for samples, else 1, 2 and 5. */
function logTicks(low, high, powers, most) {
  const found = [];
  if (powers) for (let v = 2 ** Math.ceil(Math.log2(low) - 1e-9); v <= high * 1.0001; v *= 2) found.push(v);
  else for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high) + 1; e++) for (const f of [1, 2, 5]) {
    const v = f * 10 ** e;
    if (v >= low * 0.9999 && v <= high * 1.0001) found.push(v);
  }
  while (found.length > most) for (let i = found.length - 1; i > 0; i -= 2) found.splice(i, 1);
  return found.length > 1 ? found : [low, high].filter((v, i, all) => i === 0 || v !== all[0]);
}

/**
 * Draws one chart into an element.
 * series: [{label, colour, points: [{x, y, low, high, tip}], line, dashed, names}]; front: [[x, y]] or none.
 */
export function chart(home, { series, front = [], xName, yName, powers = false, label }) {
  const points = series.flatMap((s) => s.points);
  const width = Math.max(300, home.clientWidth), height = Math.round(Math.min(440, Math.max(300, width * 0.46)));
  const edge = { left: 52, right: 20, top: 14, bottom: 46 };
  home.replaceChildren();
  if (!points.length) { home.append(make("p", { class: "note" }, "Nothing of this was recorded.")); return; }
  const xs = points.map((p) => p.x), positive = xs.every((x) => x > 0), spread = Math.max(...xs) / Math.min(...xs);
  const log = positive && spread > 3;
  let [left, right] = [Math.min(...xs), Math.max(...xs)];
  if (log) { const pad = (right / left) ** 0.04; left /= pad; right *= pad; }
  else { const pad = (right - left) * 0.08 || Math.abs(right) * 0.2 || 1; left = positive ? Math.max(0, left - pad) : left - pad; right += pad; }
  let low = Math.max(0, Math.min(...points.map((p) => p.low ?? p.y))), high = Math.min(1, Math.max(...points.map((p) => p.high ?? p.y)));
  const room = Math.max(0.02, (high - low) * 0.07); low = Math.max(0, low - room); high = Math.min(1, high + room);
  const on = (v) => (log ? Math.log(v) : v);
  const x = (v) => edge.left + (on(v) - on(left)) / (on(right) - on(left)) * (width - edge.left - edge.right);
  const y = (v) => height - edge.bottom - (v - low) / (high - low) * (height - edge.top - edge.bottom);

  const svg = draw("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label });
  for (const v of ticks(low, high, 7)) {
    svg.append(draw("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: y(v), y2: y(v) }),
      draw("text", { x: edge.left - 8, y: y(v) + 4, "text-anchor": "end" }, fixed(v, 2)));
  }
  const marks = log ? logTicks(left, right, powers, width / 70) : ticks(left, right, width / 110);
  for (const v of marks) {
    svg.append(draw("line", { class: "axis", x1: x(v), x2: x(v), y1: height - edge.bottom, y2: height - edge.bottom + 5 }),
      draw("text", { x: x(v), y: height - edge.bottom + 19, "text-anchor": "middle" }, short(v)));
  }
  svg.append(draw("line", { class: "axis", x1: edge.left, x2: width - edge.right, y1: height - edge.bottom, y2: height - edge.bottom }),
    draw("text", { x: (edge.left + width - edge.right) / 2, y: height - 6, "text-anchor": "middle" }, xName),
    draw("text", { x: 13, y: edge.top + (height - edge.top - edge.bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 13 ${edge.top + (height - edge.top - edge.bottom) / 2})` }, yName));

  const path = (list) => list.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
  if (front.length > 1) svg.append(draw("path", { class: "front", d: path(front) }));
  for (const s of series.filter((s) => s.line)) {
    const banded = s.points.filter((p) => p.low !== undefined);
    if (banded.length > 1) {
      const around = [...banded.map((p) => [p.x, p.high]), ...banded.reverse().map((p) => [p.x, p.low])];
      svg.append(draw("path", { class: "band", d: path(around) + "Z", fill: colour(s.colour) }));
      banded.reverse();
    }
    const dash = s.dashed ? "5 4" : DASHES[Math.floor(s.colour / 8) % 4];
    svg.append(draw("path", { class: "line", d: path(s.points.map((p) => [p.x, p.y])), stroke: colour(s.colour), "stroke-dasharray": dash }));
  }
  const tip = make("div", { class: "tip", hidden: "" });
  const spots = [];
  for (const s of series) for (const p of s.points) {
    if (!s.line) svg.append(draw("line", { class: "whisker", x1: x(p.x), x2: x(p.x), y1: y(p.low), y2: y(p.high), stroke: colour(s.colour) }));
    const spot = marker(s.colour, x(p.x), y(p.y), s.line ? 4 : 7, { tabindex: spots.length ? -1 : 0, role: "img", "aria-label": p.tip.replaceAll("\n", ", ") });
    spots.push({ spot, x: x(p.x), y: y(p.y), tip: p.tip });
    svg.append(spot);
  }
  named(svg, series.filter((s) => s.names).sort((a, b) => b.points[0].y - a.points[0].y), x, y, width, edge);
  home.append(svg, tip);
  tipped(svg, spots, tip, width);
}

/** Names beside the points of scatter series, where they run over no other name or point. */
function named(svg, series, x, y, width, edge) {
  const around = (px, py) => [px - 9, py - 9, px + 9, py + 9];
  const points = series.flatMap((s) => s.points.map((p) => [x(p.x), y(p.y)]));
  const taken = points.map(([px, py]) => around(px, py));
  for (const s of series) for (const p of s.points) {
    const px = x(p.x), py = y(p.y), long = s.label.length * 6.6;
    const places = [[px + 12, py + 4, "start"], [px - 12, py + 4, "end"], [px, py - 14, "middle"], [px, py + 22, "middle"], [px + 8, py - 14, "end"], [px + 8, py + 22, "end"]];
    for (const [at, line, anchor] of places) {
      const from = anchor === "start" ? at : anchor === "end" ? at - long : at - long / 2;
      const box = [from, line - 12, from + long, line + 4];
      if (from < edge.left || from + long > width - edge.right + 12) continue;
      if (taken.some(([a, b, c, d]) => box[0] < c && a < box[2] && box[1] < d && b < box[3])) continue;
      taken.push(box);
      svg.append(draw("text", { class: "name", x: at, y: line, "text-anchor": anchor }, s.label));
      break;
    }
  }
}

/** The nearest point's words under the mouse; arrow keys walk from point to point. */
function tipped(svg, spots, tip, width) {
  const show = (spot) => {
    const scale = svg.getBoundingClientRect().width / width;
    tip.textContent = spot.tip;
    tip.hidden = false;
    const half = tip.offsetWidth / 2 + 4;
    tip.style.left = `${Math.min(Math.max(spot.x * scale, half), width * scale - half)}px`;
    tip.style.top = `${spot.y * scale}px`;
    tip.style.transform = spot.y * scale < tip.offsetHeight + 14 ? "translate(-50%, 14px)" : "";
  };
  svg.addEventListener("pointermove", (event) => {
    const around = svg.getBoundingClientRect(), scale = around.width / width;
    const at = [(event.clientX - around.left) / scale, (event.clientY - around.top) / scale];
    const [near, far] = spots.map((s) => [s, Math.hypot(s.x - at[0], s.y - at[1])]).reduce((a, b) => (b[1] < a[1] ? b : a));
    if (far < 40) show(near); else tip.hidden = true;
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
  spots.forEach((s, i) => {
    s.spot.addEventListener("focus", () => show(s));
    s.spot.addEventListener("blur", () => { tip.hidden = true; });
    s.spot.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = spots[(i + step + spots.length) % spots.length].spot;
      s.spot.setAttribute("tabindex", -1);
      next.setAttribute("tabindex", 0);
      next.focus();
    });
  });
}

/** Buttons of which one is pressed. */
export function choice(name, options, chosen, call) {
  const group = make("span", { class: "choice", role: "group", "aria-label": name });
  for (const [value, text] of options) {
    group.append(make("button", { type: "button", "aria-pressed": String(value === chosen), onclick: (event) => {
      for (const button of group.children) button.setAttribute("aria-pressed", String(button === event.currentTarget));
      call(value);
    } }, text));
  }
  return group;
}

/** The figures of a chart as a table, for those who cannot or would rather not see it. */
export function figures(head, rows) {
  const line = (tag, cells) => make("tr", {}, ...cells.map((cell, i) => make(tag, { class: i ? "n" : "", scope: tag === "th" ? "col" : null }, cell)));
  return make("details", { class: "data" }, make("summary", {}, "The figures as a table"),
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Figures of the chart" },
      make("table", {}, make("thead", {}, line("th", head)), make("tbody", {}, ...rows.map((row) => line("td", row))))));
}
