// The two charts: accuracy over samples or tokens, and accuracy against what it costs.

import { DASHES, chart, choice, colour, figures, marker } from "./charts.js";
import { count, draw, fixed, make, plural, short } from "./draw.js";

const spread = ([value, low, high]) => `${fixed(value)} (${fixed(low)} to ${fixed(high)})`;
export const redraws = [];

export function scalingPlot(home, curves) {
  const groups = [...new Set(curves.map((c) => c.group))];
  const names = [...new Set(curves.map((c) => c.name))];
  const hidden = new Set();
  let over = "k", group = groups[0];
  const canvas = make("div", { class: "chart" }), legend = make("ul", { class: "legend" }), table = make("div");
  const shown = () => curves.filter((c) => c.group === group);

  const redraw = () => {
    const series = shown().filter((c) => !hidden.has(c.name)).map((c) => ({
      label: c.name, colour: names.indexOf(c.name), line: true, dashed: c.ceiling,
      points: c.points.filter((p) => p[over] !== null).map((p) => ({
        x: p[over], y: p.accuracy[0], low: p.accuracy[1], high: p.accuracy[2],
        tip: `${c.name}\n${plural(p.k, "sample")}${p.tokens === null ? "" : `, ${count(p.tokens)} tokens`}\n${spread(p.accuracy)}`,
      })),
    }));
    chart(canvas, { series, powers: over === "k", xName: over === "k" ? "samples a question (k)" : "generated tokens a question", yName: "accuracy", label: `Accuracy of ${group} by ${over === "k" ? "samples" : "tokens"}` });
  };
  const refresh = () => {
    legend.replaceChildren(...shown().map((c) => legendItem(c, names.indexOf(c.name), hidden, redraw)));
    table.replaceChildren(figures(["aggregator", "k", "tokens", "accuracy (95 % interval)"], shown().flatMap((c) =>
      c.points.map((p) => [c.name, String(p.k), p.tokens === null ? "\u2013" : count(p.tokens), spread(p.accuracy)]))));
    redraw();
  };
  const controls = make("p", { class: "controls" });
  if (curves.some((c) => c.points.some((p) => p.tokens !== null))) {
    controls.append(choice("Horizontal axis", [["k", "by samples"], ["tokens", "by tokens"]], over, (value) => { over = value; redraw(); }));
  }
  if (groups.length > 1) {
    const select = make("select", { onchange: (event) => { group = event.target.value; refresh(); } }, ...groups.map((g) => make("option", { value: g }, g)));
    controls.append(make("label", {}, "Model ", select));
  }
  home.append(controls, canvas, legend, table);
  redraws.push(redraw);
  refresh();
}

function legendItem(curve, number, hidden, redraw) {
  const sign = draw("svg", { viewBox: "0 0 28 12", "aria-hidden": "true" },
    draw("line", { x1: 0, x2: 28, y1: 6, y2: 6, stroke: colour(number), "stroke-width": 2.2, "stroke-dasharray": curve.ceiling ? "5 4" : DASHES[Math.floor(number / 8) % 4] }),
    marker(number, 14, 6, 4));
  return make("li", {}, make("button", { type: "button", "aria-pressed": String(!hidden.has(curve.name)), onclick: (event) => {
    if (!hidden.delete(curve.name)) hidden.add(curve.name);
    event.currentTarget.setAttribute("aria-pressed", String(!hidden.has(curve.name)));
    redraw();
  } }, sign, curve.name));
}

export function costPlot(home, { systems, currency }) {
  const axes = [["tokens", "generated tokens a question"], ["cost", `cost a question${currency ? ` (${currency})` : ""}`], ["seconds", "seconds a question"], ["samples", "samples a question"]]
    .filter(([key]) => systems.some((s) => s[key]));
  if (!axes.length) { home.append(make("p", { class: "note" }, "No tokens, cost or time were recorded.")); return; }
  let axis = axes[0][0];
  const canvas = make("div", { class: "chart" }), table = make("div");
  const redraw = () => {
    const known = systems.map((s, i) => ({ ...s, number: i })).filter((s) => s[axis]);
    const xName = axes.find(([key]) => key === axis)[1];
    const series = known.map((s) => ({
      label: s.name, colour: s.number, names: true,
      points: [{ x: s[axis], y: s.accuracy[0], low: s.accuracy[1], high: s.accuracy[2], tip: `${s.name}\n${spread(s.accuracy)}\n${short(s[axis])} ${xName}` }],
    }));
    const front = [];
    for (const s of known.sort((a, b) => a[axis] - b[axis] || b.accuracy[0] - a.accuracy[0])) {
      if (!front.length || s.accuracy[0] > front.at(-1)[1]) front.push([s[axis], s.accuracy[0]]);
    }
    chart(canvas, { series, front, xName, yName: "accuracy", label: `Accuracy against ${xName}` });
  };
  table.append(figures(["system", "accuracy (95 % interval)", ...axes.map(([key]) => key)], systems.map((s) =>
    [s.name, spread(s.accuracy), ...axes.map(([key]) => (s[key] === null ? "\u2013" : short(s[key])))])));
  if (axes.length > 1) home.append(make("p", { class: "controls" }, choice("Price", axes.map(([key]) => [key, key]), axis, (value) => { axis = value; redraw(); })));
  home.append(canvas, table);
  redraws.push(redraw);
  redraw();
}
