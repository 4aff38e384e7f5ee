// What the run cost, beside one sample and all N, and where it went.

import { html } from "./html.js";
import { count, money, seconds, totalTokens } from "./words.js";

/** Three ways to answer: this run as it was, one sample, every sample to its end. */
function comparison(race) {
  const { quorate } = race, stage = race.stages.find((s) => s.finished.length > 0 && race.nodes.get(s.node)?.samples > 1);
  const rows = [{ name: "this run", tokens: totalTokens(quorate.usage), cost: quorate.usage.cost, seconds: race.at }];
  if (!stage) return rows;
  const done = stage.finished.map((c) => c.candidate), mean = (value) => done.reduce((sum, c) => sum + (value(c) ?? 0), 0) / done.length;
  // A prompt is counted on the first sample of its request.
  const prompt = Math.max(...done.map((c) => c.usage.prompt_tokens)), written = mean((c) => c.usage.completion_tokens);
  const priced = quorate.usage.cost !== null, each = mean((c) => c.usage.cost);
  rows.push({ name: "one sample", tokens: prompt + written, cost: priced ? each : null, seconds: mean((c) => c.latency), about: true });
  const missing = stage.cells.length - done.length - stage.cells.filter((c) => c.state === "failed").length;
  const spent = stage.cells.filter((c) => c.state === "cancelled").reduce((sum, c) => sum + totalTokens(c.candidate?.usage), 0);
  rows.push({ name: `all ${stage.cells.length} samples`, tokens: rows[0].tokens - spent + missing * written, cost: priced ? rows[0].cost + missing * each : null, seconds: null, about: missing > 0 });
  return rows;
}

export function CostView({ race }) {
  const { quorate } = race, rows = comparison(race), most = Math.max(...rows.map((r) => r.tokens), 1), priced = quorate.usage.cost !== null;
  const calls = [...race.upstream.values()], ended = (outcome) => calls.filter((c) => c.outcome === outcome).length;
  const tries = calls.reduce((sum, c) => sum + c.retries.length, 0);
  const steps = new Map((quorate.path ?? []).map((v) => [v.node, v]));
  return html`<section class="cost" aria-label=${race.label("Cost")}><h2>What it cost</h2><div class="two">
    <div class="scroll-x" tabindex="0" role="region" aria-label=${race.label("Cost beside other ways")}><table><thead><tr><th scope="col">way</th><th scope="col" class="n">tokens</th><th scope="col"><span class="away">share of the most</span></th>${priced ? html`<th scope="col" class="n">money</th>` : null}<th scope="col" class="n">time</th></tr></thead>
      <tbody>${rows.map((r) => html`<tr key=${r.name}><th scope="row">${r.name}</th><td class="n">${r.about ? "~" : ""}${count(r.tokens)}</td><td class="meter"><span class="track"><i style=${{ width: `${(100 * r.tokens) / most}%` }}></i></span></td>${priced ? html`<td class="n">${r.about ? "~" : ""}${money(r.cost)}</td>` : null}<td class="n">${seconds(r.seconds)}</td></tr>`)}</tbody></table>
      <p class="quiet">${rows.some((r) => r.about) ? "~ is worked out from the samples that finished." : ""}${quorate.usage.estimated ? " Some tokens are our own count: the model's server did not tell." : ""}</p></div>
    <div class="scroll-x" tabindex="0" role="region" aria-label=${race.label("Cost by node")}><table><thead><tr><th scope="col">node</th><th scope="col">model</th><th scope="col" class="n">calls</th><th scope="col" class="n">tokens</th><th scope="col" class="n">time</th></tr></thead>
      <tbody>${quorate.usage.nodes.map((n, i) => html`<tr key=${i}><th scope="row">${n.node}</th><td>${n.model}</td><td class="n">${count(n.requests)}</td><td class="n">${count(totalTokens(n))}</td><td class="n">${seconds(steps.get(n.node)?.seconds)}</td></tr>`)}
      ${[...steps.values()].filter((v) => !quorate.usage.nodes.some((n) => n.node === v.node)).map((v) => html`<tr key=${v.node}><th scope="row">${v.node}</th><td class="quiet">no model</td><td class="n">0</td><td class="n">0</td><td class="n">${seconds(v.seconds)}</td></tr>`)}</tbody></table>
      ${calls.length ? html`<p class="quiet">Calls to model servers: ${count(calls.length)}${ended("cancelled") ? `, ${ended("cancelled")} cancelled` : ""}${calls.length - ended("ok") - ended("cancelled") > 0 ? `, ${calls.length - ended("ok") - ended("cancelled")} failed` : ""}${tries ? `, ${tries} tried again` : ""}.</p>` : null}</div>
  </div></section>`;
}
