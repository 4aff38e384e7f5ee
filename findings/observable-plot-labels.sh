#!/bin/sh
# @observablehq/plot 0.6.17: labelled charts fail axe's rule aria-prohibited-attr, and every chart brings a style of its own.
#
# A guess: a library whose marks take `ariaLabel`, and that names its axes and marks for screen readers by itself, makes
# figures that pass an automatic check, under the content security policy of a page without inline styles. But Plot puts
# `aria-label` on `<g>` elements without a role, where ARIA forbids a name (axe: serious), and writes a `<style>` element
# into each figure, which `style-src 'self'` refuses. No element of it can be focused either: the tip is the pointer's.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit @observablehq/plot@0.6.17 jsdom@26.1.0 axe-core@4.10.3
cat > look.mjs <<'END'
import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";
import * as Plot from "@observablehq/plot";

const version = JSON.parse(readFileSync("node_modules/@observablehq/plot/package.json")).version;
const dom = new JSDOM("<!doctype html><html lang=en><title>t</title><main><h1>t</h1></main></html>", { runScripts: "outside-only" });
const { document } = dom.window;
const data = [1, 2, 4, 8].map((k) => ({ k, y: k / 10, low: k / 20, high: k / 5 }));
const marks = [
  Plot.areaY(data, { x: "k", y1: "low", y2: "high" }),
  Plot.line(data, { x: "k", y: "y" }),
  Plot.dot(data, { x: "k", y: "y", ariaLabel: (d) => `${d.k} samples, ${d.y}` }),
  Plot.tip(data, Plot.pointer({ x: "k", y: "y" })),
];
const figure = Plot.plot({ document, marks });
document.querySelector("main").append(figure);
dom.window.eval(readFileSync("node_modules/axe-core/axe.min.js", "utf8"));
const { violations } = await dom.window.axe.run(document, { runOnly: ["aria-prohibited-attr"] });
const told = {
  version, styles: figure.querySelectorAll("style").length, focusable: figure.querySelectorAll("[tabindex]").length,
  labelled: figure.querySelectorAll("circle[aria-label]").length, forbidden: figure.querySelectorAll("g[aria-label]:not([role])").length,
  axe: violations.flatMap((rule) => rule.nodes).length,
};
console.log(told);
const { styles, focusable, forbidden } = told;
if (version !== "0.6.17" || styles !== 1 || focusable !== 0 || forbidden === 0 || told.axe === 0) {
  console.error("Plot behaves otherwise by now");
  process.exit(1);
}
END
node look.mjs
