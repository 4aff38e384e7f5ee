// Evaluations in the server's sample bank, while they run: systems by questions, and accuracy against what it costs.

import { html, useEffect, useState } from "./html.js";
import { get } from "./api.js";
import { FaultView } from "./fault.js";
import { brief, count, money, plural, seconds } from "./words.js";
import { Comparison } from "./comparison.js";
import { Plot } from "./plot.js";
import { costPlot } from "../parts/plots.js";

const PAUSE = 2000; // milliseconds between two looks at a run that goes on
const share = (done, all) => (all ? Math.min(1, done / all) : 0);
const fixed = (value) => value.toFixed(3);

/** A row a question, a column a system. */
function Matrix({ rows, systems }) {
  const [only, setOnly] = useState("all");
  const shown = rows.filter((r) => only === "all" || (only === "differ" ? new Set(r.right.filter((v) => v !== null)).size > 1 : r.right.some((v) => v === false)));
  const look = (right) => (right === null ? ["\u2026", "open", "not answered yet"] : right ? ["\u2713", "yes", "right"] : ["\u2717", "no", "wrong"]);
  return html`<section aria-label="Questions"><h2>Questions</h2>
    <p class="switch" role="group" aria-label="Show">${[["all", "all"], ["differ", "where systems differ"], ["wrong", "where one is wrong"]].map(([value, text]) => html`<button key=${value} type="button" aria-pressed=${String(value === only)} onClick=${() => setOnly(value)}>${text}</button>`)} <span class="quiet">${plural(shown.length, "question")}</span></p>
    <div class="scroll-x matrix" tabindex="0" role="region" aria-label="Systems by questions"><table><thead><tr><th scope="col">question</th>${systems.map((s) => html`<th key=${s.name} scope="col">${s.name}</th>`)}<th scope="col">gold</th></tr></thead>
      <tbody>${shown.slice(0, 500).map((r) => html`<tr key=${r.item}><th scope="row">${brief(r.item, 40)}</th>${systems.map((s, i) => { const [sign, kind, words] = look(r.right[i]); return html`<td key=${s.name} class=${kind}><span aria-hidden="true">${sign}</span><span class="away">${words}</span> <bdi>${brief(r.answers[i] ?? "", 24)}</bdi></td>`; })}<td><bdi>${brief(r.gold ?? "", 24)}</bdi></td></tr>`)}</tbody></table></div>
    ${shown.length > 500 ? html`<p class="quiet">The first 500 of ${count(shown.length)}; quorate eval report shows all.</p>` : null}</section>`;
}

function RunOf({ run }) {
  const total = run.questions * run.pipelines.length, going = run.finished === null;
  return html`<section class="evaluation"><h2>${run.task}, run ${run.id}</h2>
    <p>${going ? html`<b>${share(run.answers, total) < 1 ? "Going on, or cut short" : "About to end"}</b>: ` : ""}${count(run.answers)} of ${count(total)} answers of ${plural(run.pipelines.length, "system")} to ${plural(run.questions, "question")}.</p>
    <div class="track big" role="progressbar" aria-label="Answers" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(100 * share(run.answers, total))}><i style=${{ width: `${100 * share(run.answers, total)}%` }}></i></div>
    ${run.systems.length ? html`<div class="scroll-x" tabindex="0" role="region" aria-label="Systems"><table><thead><tr><th scope="col">system</th><th scope="col" class="n">accuracy</th><th scope="col" class="n">95 % interval</th><th scope="col" class="n">questions</th><th scope="col" class="n">tokens</th><th scope="col" class="n">money</th><th scope="col" class="n">time</th></tr></thead>
      <tbody>${run.systems.map((s) => html`<tr key=${s.name}><th scope="row">${s.name}</th><td class="n">${fixed(s.accuracy[0])}</td><td class="n">${fixed(s.accuracy[1])} to ${fixed(s.accuracy[2])}</td><td class="n">${count(s.questions)}</td><td class="n">${s.tokens === null ? "\u2013" : count(s.tokens)}</td><td class="n">${money(s.cost)}</td><td class="n">${seconds(s.seconds)}</td></tr>`)}</tbody></table></div>
      <p class="quiet">Over the questions that every system has answered; means a question.</p>
      <${Plot} make=${costPlot} data=${{ systems: run.systems, currency: "" }}/><${Comparison} key=${run.id} run=${run}/><${Matrix} rows=${run.rows} systems=${run.systems}/>` : html`<p class="quiet">No question is answered yet.</p>`}</section>`;
}

export function EvaluationsPage() {
  const [runs, setRuns] = useState(null), [chosen, setChosen] = useState(null), [run, setRun] = useState(null), [fault, setFault] = useState(null);
  const look = async (number) => {
    try {
      const { data } = await get("v1/evaluations");
      setRuns(data);
      const id = number ?? data[0]?.id ?? null;
      if (id !== null) setRun(await get(`v1/evaluations/${id}`));
      setFault(null);
      return data.find((r) => r.id === id)?.finished ?? null;
    } catch (error) {
      setFault(error);
      return error.status ? "fault" : "gone";
    }
  };
  useEffect(() => {
    let timer = 0, over = false;
    const again = async () => { const finished = await look(chosen); if (!over && finished !== "fault") timer = setTimeout(again, finished === null ? PAUSE : 5 * PAUSE); }; // A server that is gone may come back.
    again();
    return () => { over = true; clearTimeout(timer); };
  }, [chosen]);
  if (fault?.status === 404 && fault.detail.includes("/v1/evaluations:")) return html`<h1>Evaluations</h1><p>This server shows none: start it with <code>quorate serve --bank DIR</code>, where DIR is what <code>quorate eval run --out DIR</code> writes to.</p>`;
  return html`<h1>Evaluations</h1>${fault ? html`<${FaultView} fault=${fault} onAgain=${() => look(chosen)}/>` : null}
    ${runs === null ? (fault ? null : html`<p class="quiet">Looking\u2026</p>`) : runs.length === 0 ? html`<p>The bank holds no run of pipelines yet.</p>`
      : html`<p class="filters"><label class="field">Run<select value=${run?.id ?? runs[0].id} onChange=${(e) => setChosen(Number(e.target.value))}>${runs.map((r) => html`<option key=${r.id} value=${r.id}>${r.id}: ${r.task}, ${r.started.slice(0, 16).replace("T", " ")}${r.finished === null ? ", not finished" : ""}</option>`)}</select></label></p>`}
    ${run && runs?.length ? html`<${RunOf} run=${run}/>` : null}`;
}
