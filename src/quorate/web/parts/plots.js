// The two charts: accuracy over samples or what they take, and accuracy against what it costs. Each is made once in an
// element, and gives a function that shows other data in it, or the same anew where its room has changed.

import { DASHES, chart, choice, colour, figures, marker } from "./charts.js";
import { count, draw, fixed, make, plural, short } from "./draw.js";

const spread = ([value, low, high]) => `${fixed(value)} (${fixed(low)} to ${fixed(high)})`;
const known = (value) => (value === null ? "\u2013" : short(value));
const inCurrency = (currency) => (currency ? ` (${currency})` : "");

/** Those of the axes that some point knows, each with its words; `currency` is that of money. */
function axesOf(points, currency) {
  const all = [["k", "samples", "samples a question (k)"], ["tokens", "tokens", "generated tokens a question"],
    ["cost", "money", `money a question${inCurrency(currency)}`], ["seconds", "seconds", "seconds a question"], ["samples", "samples", "samples a question"]];
  return all.filter(([key]) => points.some((p) => p[key]));
}

/** Shows the table of a chart's figures, open where it was. */
function retell(table, head, rows) {
  const details = figures(head, rows);
  details.open = table.querySelector("details")?.open ?? false;
  table.replaceChildren(details);
}

export function scalingPlot(home) {
  const hidden = new Set(), controls = make("p", { class: "controls" }), canvas = make("div", { class: "chart" }), legend = make("ul", { class: "legend" }), table = make("div");
  let data = { curves: [], currency: "" }, over = "k", group = null;
  home.append(controls, canvas, legend, table);
  const shown = () => data.curves.filter((c) => c.group === group);
  const number = (curve) => [...new Set(data.curves.map((c) => c.name))].indexOf(curve.name);

  const redraw = () => {
    const xName = axesOf(data.curves.flatMap((c) => c.points), data.currency).find(([key]) => key === over)?.[2];
    const series = shown().filter((c) => !hidden.has(c.name)).map((c) => ({
      label: c.name, colour: number(c), line: true, dashed: c.ceiling,
      points: c.points.filter((p) => p[over]).map((p) => ({
        x: p[over], y: p.accuracy[0], low: p.accuracy[1], high: p.accuracy[2],
        tip: `${c.name}\n${plural(p.k, "sample")}${p.tokens === null ? "" : `, ${count(p.tokens)} tokens`}\n${spread(p.accuracy)}${over === "k" || over === "tokens" ? "" : `\n${short(p[over])} ${xName}`}`,
      })),
    }));
    chart(canvas, { series, powers: over === "k", xName, yName: "accuracy", label: `Accuracy of ${group} by ${xName}` });
  };
  const refresh = () => {
    const axes = axesOf(data.curves.flatMap((c) => c.points), data.currency), groups = [...new Set(data.curves.map((c) => c.group))];
    if (!axes.some(([key]) => key === over)) over = axes[0]?.[0];
    if (!groups.includes(group)) group = groups[0];
    const select = make("select", { onchange: (event) => { group = event.target.value; refresh(); } }, ...groups.map((g) => make("option", { value: g }, g)));
    select.value = group;
    controls.replaceChildren(...(axes.length > 1 ? [choice("Horizontal axis", axes.map(([key, word]) => [key, `by ${word}`]), over, (value) => { over = value; redraw(); })] : []),
      ...(groups.length > 1 ? [make("label", {}, "Model ", select)] : []));
    legend.replaceChildren(...shown().map((c) => legendItem(c, number(c), hidden, redraw)));
    const spent = axes.filter(([key]) => key !== "k");
    retell(table, ["aggregator", "k", ...spent.map(([, word]) => word), "accuracy (95 % interval)"], shown().flatMap((c) => c.points.map((p) => [c.name, String(p.k), ...spent.map(([key]) => known(p[key])), spread(p.accuracy)])));
    redraw();
  };
  return (given) => { if (given) { data = given; refresh(); } else redraw(); };
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

export function costPlot(home) {
  const controls = make("p", { class: "controls" }), canvas = make("div", { class: "chart" }), table = make("div");
  let data = { systems: [], currency: "" }, axis = "tokens";
  home.append(controls, canvas, table);

  const redraw = () => {
    const known = data.systems.map((s, i) => ({ ...s, number: i })).filter((s) => s[axis]);
    const xName = axesOf(data.systems, data.currency).find(([key]) => key === axis)?.[2];
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
  const refresh = () => {
    const axes = axesOf(data.systems, data.currency);
    if (!axes.length) { controls.replaceChildren("No tokens, money or time were recorded."); canvas.replaceChildren(); return; }
    if (!axes.some(([key]) => key === axis)) axis = axes[0][0];
    controls.replaceChildren(...(axes.length > 1 ? [choice("Price", axes.map(([key, word]) => [key, word]), axis, (value) => { axis = value; redraw(); })] : []));
    retell(table, ["system", "accuracy (95 % interval)", ...axes.map(([, word]) => word)], data.systems.map((s) => [s.name, spread(s.accuracy), ...axes.map(([key]) => known(s[key]))]));
    redraw();
  };
  return (given) => { if (given) { data = given; refresh(); } else redraw(); };
}
