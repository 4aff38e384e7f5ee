// The pipeline's graph, laid out by dagre and drawn as SVG; the node that runs is lit.

import { html, useEffect, useState } from "./html.js";
import { brief, seconds } from "./words.js";

const CHARACTER = 7.2, LINE = 16; // pixels of the node's text
let loading = null;

/** A graph's boxes and lines. */
function lay(dagre, graph) {
  const g = new dagre.Graph({ multigraph: true });
  g.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 34, marginx: 6, marginy: 6 });
  g.setDefaultEdgeLabel(() => ({}));
  const box = (name, lines) => g.setNode(name, { lines, width: Math.max(34, 18 + CHARACTER * Math.max(...lines.map((l) => l.length))), height: 14 + LINE * lines.length });
  box("start", ["question"]);
  for (const node of graph.nodes) box(node.name, wording(node));
  box("end", ["answer"]);
  graph.edges.forEach((edge, i) => g.setEdge(edge.source, edge.target, {}, `e${i}`));
  for (const node of graph.nodes) if (node.fallback && g.hasNode(node.fallback)) g.setEdge(node.name, node.fallback, { fallback: true }, `f-${node.name}`);
  dagre.layout(g);
  return g;
}

function wording(node) {
  const lines = node.label.split("\n").map((line) => brief(line, 30));
  return (node.label.startsWith(node.name) ? lines : [brief(node.name, 30), ...lines]).slice(0, 3);
}

const path = (points) => points.map((p, i) => `${i ? "L" : "M"}${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join("");

/** The same in a sentence for those who do not see it. */
function describe(graph, nodes) {
  const state = (name) => ({ running: "running now", ended: "done" }[nodes.get(name)?.state] ?? "waiting");
  return `Graph of the pipeline: ${graph.nodes.map((n) => `${n.name} (${state(n.name)})`).join(", ")}`;
}

export function GraphView({ graph, nodes, over, label }) {
  const [dagre, setDagre] = useState(null);
  useEffect(() => { (loading ??= import("../vendor/dagre.js")).then((m) => setDagre(m)); }, []);
  if (!graph || !dagre) return null;
  const laid = lay(dagre, graph), { width, height } = laid.graph();
  const look = (name) => (name === "start" ? "ended" : name === "end" ? (over ? "ended" : "waiting") : nodes.get(name)?.state ?? "waiting");
  return html`<div class="scroll-x graph" tabindex="0" role="region" aria-label=${label}>
    <svg viewBox=${`0 0 ${width} ${height}`} width=${width} height=${height} role="img" aria-label=${describe(graph, nodes)}>
      <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" class="tip-head"/></marker></defs>
      ${laid.edges().map((e) => html`<path key=${e.name} class=${laid.edge(e).fallback ? "edge fallback" : "edge"} d=${path(laid.edge(e).points)} marker-end="url(#tip)"><title>${graph.edges[+e.name.slice(1)]?.when || "then"}</title></path>`)}
      ${laid.nodes().map((name) => { const n = laid.node(name), known = nodes.get(name); return html`<g key=${name} class=${`node ${look(name)}${name === "start" || name === "end" ? " edge-node" : ""}`} transform=${`translate(${n.x - n.width / 2} ${n.y - n.height / 2})`}>
        <rect width=${n.width} height=${n.height} rx=${name === "start" || name === "end" ? n.height / 2 : 7}/>
        ${n.lines.map((line, i) => html`<text x=${n.width / 2} y=${19 + LINE * i} class=${i ? "minor" : ""}>${line}</text>`)}
        ${known?.visits ? html`<title>${`${known.visits > 1 ? `${known.visits} times, ` : ""}${known.state === "running" ? "running" : seconds(known.seconds)}${known.outcome ? `: ${known.outcome}` : ""}`}</title>` : null}</g>`; })}
    </svg></div>`;
}
