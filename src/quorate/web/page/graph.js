// The graph of a pipeline: laid out by dagre, drawn by us, with the node that runs lit; pipelines inside a node, too.

import { html, useEffect, useMemo, useRef, useState } from "./html.js";
import { placeOf } from "./nesting.js";
import { brief, plural, seconds } from "./words.js";

const CHARACTER = 7.2, LINE = 16, PAD = 9, DOT = 9; // pixels of the node's text and around it
let loading = null;

/** A graph's boxes and lines; those inside another graph begin and end at dots. */
function lay(dagre, graph, place = "") {
  const g = new dagre.Graph({ multigraph: true });
  g.setGraph({ rankdir: "LR", nodesep: 14, ranksep: place ? 26 : 34, marginx: 6, marginy: 6 });
  g.setDefaultEdgeLabel(() => ({}));
  const size = (lines) => ({ lines, width: Math.max(34, 18 + CHARACTER * Math.max(...lines.map((l) => l.length))), height: 14 + LINE * lines.length });
  const end = (word) => ({ ...(place ? { lines: [], width: DOT, height: DOT } : size([word])), rounded: true });
  g.setNode("start", end("question"));
  for (const node of graph.nodes) g.setNode(node.name, around(dagre, node, place, size(wording(node))));
  g.setNode("end", end("answer"));
  graph.edges.forEach((edge, i) => g.setEdge(edge.source, edge.target, { when: edge.when }, `e${i}`));
  for (const node of graph.nodes) if (node.fallback && g.hasNode(node.fallback)) g.setEdge(node.name, node.fallback, { fallback: true }, `f-${node.name}`);
  dagre.layout(g);
  return { place, ...g.graph(), boxes: g.nodes().map((name) => ({ name, ...g.node(name) })), lines: g.edges().map((e) => ({ name: e.name, ...g.edge(e) })) };
}

/** A node's box, around the pipelines that it asks. */
function around(dagre, node, place, box) {
  let { width, height } = box;
  const inside = (node.inside ?? []).map((inner, i) => {
    const laid = lay(dagre, inner.graph, placeOf(place, node.name, i)), title = node.label.includes(inner.name) || node.name === inner.name ? "" : brief(inner.name, 40);
    const top = height + (title ? LINE : 0);
    height = top + laid.height + PAD;
    width = Math.max(width, laid.width + 2 * PAD, 18 + CHARACTER * title.length);
    return { laid, title, top };
  });
  return { ...box, width, height, inside };
}

function wording(node) {
  const lines = node.label.split("\n").map((line) => brief(line, 30));
  return (node.label.startsWith(node.name) ? lines : [brief(node.name, 30), ...lines]).slice(0, 3);
}

const path = (points) => points.map((p, i) => `${i ? "L" : "M"}${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join("");
const STATES = { running: "running now", ended: "done" };

/** The same in a sentence for those who do not see it. */
function describe(graph, known, place = "") {
  return graph.nodes.map((n) => {
    const inside = (n.inside ?? []).map((inner, i) => `; inside ${inner.name}: ${describe(inner.graph, known, placeOf(place, n.name, i))}`).join("");
    return `${n.name} (${STATES[known(place, n.name)?.state] ?? "waiting"}${inside})`;
  }).join(", ");
}

/** What the pointer is told of a node. */
function told(node) {
  const parts = [node.visits > 1 ? `${node.visits} times` : "", node.state === "running" ? "running" : seconds(node.seconds), node.asked ? `${node.done} of ${plural(node.asked, "call")}` : ""];
  return `${parts.filter(Boolean).join(", ")}${node.outcome ? `: ${node.outcome}` : ""}`;
}

function Box({ box, place, known, over }) {
  const terminal = box.name === "start" || box.name === "end", node = known(place, box.name);
  const look = terminal && !place ? (box.name === "start" || over ? "ended" : "waiting") : node?.state ?? "waiting";
  const share = node?.asked ? node.done / node.asked : 0;
  return html`<g class=${`node ${look}${terminal ? " edge-node" : ""}`} transform=${`translate(${box.x - box.width / 2} ${box.y - box.height / 2})`}>
    <rect class="box" width=${box.width} height=${box.height} rx=${box.rounded ? box.height / 2 : 7}/>
    ${share ? html`<rect class="calls" x="7" y=${box.height - 4} width=${(box.width - 14) * share} height="2.5" rx="1"/>` : null}
    ${box.lines.map((line, i) => html`<text x=${box.width / 2} y=${19 + LINE * i} class=${i ? "minor" : ""}>${line}</text>`)}
    ${box.inside?.map(({ laid, title, top }, i) => html`<g key=${i} class="inside" transform=${`translate(${(box.width - laid.width) / 2} ${top})`}>
      ${title ? html`<text x=${laid.width / 2} y="-4" class="minor">${title}</text>` : null}<rect class="frame" width=${laid.width} height=${laid.height} rx="6"/><${Drawn} laid=${laid} known=${known}/></g>`)}
    ${node?.visits ? html`<title>${told(node)}</title>` : null}</g>`;
}

const Drawn = ({ laid, known, over }) => html`${laid.lines.map((line) => html`<path key=${line.name} class=${line.fallback ? "edge fallback" : "edge"} d=${path(line.points)} marker-end="url(#tip)"><title>${line.when || "then"}</title></path>`)}
  ${laid.boxes.map((box) => html`<${Box} key=${box.name} box=${box} place=${laid.place} known=${known} over=${over}/>`)}`;

export function GraphView({ race, label }) {
  const { graph } = race, [dagre, setDagre] = useState(null), home = useRef(null);
  useEffect(() => { (loading ??= import("../vendor/dagre.js")).then((m) => setDagre(m)); }, []);
  const laid = useMemo(() => (graph && dagre ? lay(dagre, graph) : null), [graph, dagre]);
  const known = (place, name) => (place ? race.inside.get(`${place}|${name}`) : race.nodes.get(name));
  const running = laid?.boxes.findLast((box) => known("", box.name)?.state === "running");
  useEffect(() => { if (running) home.current.scrollLeft = running.x - home.current.clientWidth / 2; }, [running]); // where the graph is wider than its place
  if (!laid) return null;
  const { width, height } = laid;
  return html`<div ref=${home} class="scroll-x graph" tabindex="0" role="region" aria-label=${label}>
    <svg viewBox=${`0 0 ${width} ${height}`} width=${width} height=${height} role="img" aria-label=${`Graph of the pipeline: ${describe(graph, known)}`}>
      <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" class="tip-head"/></marker></defs>
      <${Drawn} laid=${laid} known=${known} over=${race.status === "done"}/>
    </svg></div>`;
}
