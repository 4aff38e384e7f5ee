// What happened when: a bar for each node, sample and call to a model's server.

import { html } from "./html.js";
import { brief, count, seconds, totalTokens } from "./words.js";

const ENDS = { candidate_finished: "finished", candidate_failed: "failed", candidate_cancelled: "cancelled" };

/** Bars of a choice: nodes of the outermost graph, with their samples and calls beneath. */
export function barsOf(choice, total) {
  const bars = [], open = new Map(), samples = new Map();
  for (const m of choice.moments) {
    if (m.what === "node") open.set(`${m.thread}|${m.text}`, bars[bars.push({ kind: "node", depth: m.thread === "" ? 0 : 1, name: m.text, from: m.at, to: total, state: "finished", note: "" }) - 1]);
    else if (m.what === "node_ended") { const bar = open.get(`${m.thread}|${m.text}`); if (bar) bar.to = m.at; }
    else if (m.what === "candidate_started") {
      const bar = { kind: "sample", depth: 1, name: `#${m.index + 1} ${m.text}`, from: m.at, to: total, state: "cancelled", note: "", first: null };
      samples.set(`${m.node}|${m.index}`, bar);
      bars.push(bar);
    } else if (m.what === "first_token") { const bar = samples.get(`${m.node}|${m.index}`); if (bar) bar.first = m.at; }
    else if (ENDS[m.what]) {
      const bar = samples.get(`${m.node}|${m.index}`), candidate = choice.candidates.find((c) => c.index === m.index);
      if (bar) Object.assign(bar, { to: m.at, state: ENDS[m.what], note: candidate?.error?.code ?? candidate?.answer ?? "", tokens: totalTokens(candidate?.usage) });
    } else if (m.what === "stopped") bars.push({ kind: "mark", depth: 0, name: "stopped", from: m.at, to: m.at, state: "finished", note: m.text });
  }
  for (const call of choice.calls) {
    const failures = call.failures.map(([, code, status]) => `${code} ${status}`).join("; ");
    bars.push({ kind: "call", depth: 2, name: `call ${call.agent || call.model}`, from: call.started, to: call.ended, state: call.outcome === "ok" ? "finished" : call.outcome === "cancelled" ? "cancelled" : "failed",
      note: [call.outcome === "ok" ? "" : call.outcome, failures].filter(Boolean).join("; "), first: call.answered, tokens: totalTokens(call.usage) });
  }
  return bars.sort((a, b) => a.from - b.from || a.depth - b.depth);
}

export function Waterfall({ trace }) {
  const total = Math.max(trace.seconds, 1e-6), choices = trace.choices.filter((c) => c.moments.length);
  if (!choices.length) return null;
  const share = (value) => `${(100 * Math.min(1, Math.max(0, value / total))).toFixed(2)}%`;
  return html`<section class="waterfall" aria-label="Waterfall"><h2>When it happened</h2>${choices.map((choice, i) => html`<div key=${i} class="scroll-x" tabindex="0" role="region" aria-label=${`Bars of choice ${i + 1}`}>
    <table><thead><tr><th scope="col">what</th><th scope="col" class="n">from</th><th scope="col" class="span">0 to ${seconds(total)}</th><th scope="col" class="n">took</th><th scope="col" class="n">tokens</th><th scope="col">note</th></tr></thead>
    <tbody>${barsOf(choice, total).map((b, j) => html`<tr key=${j} class=${b.kind}><th scope="row" class=${`depth-${b.depth}`}>${brief(b.name, 44)}</th><td class="n">${seconds(b.from)}</td>
      <td class="span"><span class=${`bar ${b.state}`} style=${{ left: share(b.from), width: share(b.to - b.from) }}></span>${b.first ? html`<span class="tick" style=${{ left: share(b.first) }}></span>` : null}</td>
      <td class="n">${b.kind === "mark" ? "" : seconds(b.to - b.from)}</td><td class="n">${b.tokens ? count(b.tokens) : ""}</td><td><bdi>${brief(String(b.note ?? ""), 90)}</bdi></td></tr>`)}</tbody></table></div>`)}</section>`;
}
