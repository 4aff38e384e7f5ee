// What was asked lately, and a run shown again with its waterfall.

import { html, useEffect, useState } from "./html.js";
import { get } from "./api.js";
import { FaultView } from "./fault.js";
import { finalRace, loadRun, play } from "./replay.js";
import { RunView } from "./run.js";
import { Waterfall } from "./waterfall.js";
import { brief, count, money, seconds, textOf } from "./words.js";

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });

/** The status in a word. */
const outcome = (status) => (status < 400 ? "answered" : status === 499 ? "left" : `failed (${status})`);

export function TraceList() {
  const [found, setFound] = useState(null), [fault, setFault] = useState(null), [words, setWords] = useState(""), [failed, setFailed] = useState(false);
  const load = () => get("v1/traces?limit=200").then(setFound, setFault);
  useEffect(() => { load(); }, []);
  if (fault) return html`<${FaultView} fault=${fault} onAgain=${() => { setFault(null); load(); }}/>`;
  if (!found) return html`<p class="quiet">Looking\u2026</p>`;
  const shown = found.data.filter((t) => (!failed || t.status >= 400) && `${t.model} ${t.text ?? ""} ${t.id}`.toLowerCase().includes(words.toLowerCase()));
  return html`<section class="traces"><h1>Traces</h1>
    <p class="quiet">${found.stored ? "All requests of this key that the server keeps." : "The latest questions asked on this page, in the server's memory. With --traces FILE --log-prompts it keeps all of them."}</p>
    <p class="filters"><label class="field grow">Search<input type="search" value=${words} onInput=${(e) => setWords(e.target.value)}/></label><label class="pick"><input type="checkbox" checked=${failed} onChange=${(e) => setFailed(e.target.checked)}/><span>only what failed</span></label><button type="button" onClick=${load}>Look again</button></p>
    ${shown.length ? html`<div class="scroll-x" tabindex="0" role="region" aria-label="Traces"><table><thead><tr><th scope="col">asked</th><th scope="col">question</th><th scope="col">of</th><th scope="col">outcome</th><th scope="col" class="n">time</th><th scope="col" class="n">tokens</th><th scope="col" class="n">money</th></tr></thead>
      <tbody>${shown.map((t) => html`<tr key=${t.id}><td class="stamp">${when.format(new Date(1000 * t.began))}</td><th scope="row"><a href=${`#run/${encodeURIComponent(t.id)}`}><bdi>${t.text ? brief(t.text, 70) : brief(t.id, 24)}</bdi></a></th><td>${brief(t.model, 40)}</td><td class=${t.status < 400 ? "" : "bad"}>${outcome(t.status)}</td><td class="n">${seconds(t.seconds)}</td><td class="n">${count(t.prompt_tokens + t.completion_tokens)}</td><td class="n">${money(t.cost)}</td></tr>`)}</tbody></table></div>`
      : html`<p>${found.data.length ? "None of them fits." : "Nothing was asked yet."}</p>`}</section>`;
}

/** A run by its address. `onAsk` asks its question anew. */
export function RunPage({ id, onAsk, retries = 4 }) {
  const [run, setRun] = useState(null), [race, setRace] = useState(null), [fault, setFault] = useState(null), [speed, setSpeed] = useState(1), [playing, setPlaying] = useState(null);
  useEffect(() => {
    let over = false;
    const load = async (left) => {
      try {
        const loaded = await loadRun(id);
        if (over) return;
        setRun(loaded);
        setRace(finalRace(loaded));
      } catch (error) {
        if (over) return;
        // A run whose page was just left is there as soon as the server has ended it.
        if (error.status === 404 && left > 0) setTimeout(() => load(left - 1), 400);
        else setFault(error);
      }
    };
    load(retries);
    return () => { over = true; };
  }, [id]);
  useEffect(() => () => playing?.(), [playing]);
  if (fault) return html`<h1>This run</h1><${FaultView} fault=${fault}/><p><a href="#">Ask something</a> or <a href="#traces">look at the traces</a>.</p>`;
  if (!run) return html`<p class="quiet">Looking for this run\u2026</p>`;
  const { trace } = run, question = trace.question?.messages.findLast((m) => m.role === "user");
  return html`<div class="again">
    <h1 class="asked" dir="auto">${question ? textOf(question) : "A question whose text was not kept"}</h1>
    <p class="quiet">${trace.model}, ${when.format(new Date(1000 * trace.began))}. ${trace.question ? "" : "Answers are letters here: the server keeps texts with --log-prompts only."}</p>
    ${trace.status === 499 ? html`<div class="note-box" role="note">This run was cut off: its page was left or loaded anew, and the server then stops all work at the models. What had come is below. ${run.request ? html`<button type="button" onClick=${() => onAsk(run.request)}>Ask again</button>` : null}</div>` : null}
    <p class="switch" role="group" aria-label="Show it again"><button type="button" class="primary" onClick=${() => setPlaying(() => play(run, speed, setRace))}>Play again</button>
      <label class="pick">at <select value=${speed} onChange=${(e) => setSpeed(Number(e.target.value))}>${[0.25, 1, 4, 16].map((s) => html`<option value=${s}>${s}\u00d7</option>`)}</select></label>
      ${run.request && trace.status !== 499 ? html`<button type="button" onClick=${() => onAsk(run.request)}>Ask again</button>` : null}</p>
    <${RunView} race=${race} aside=${html`<${Waterfall} trace=${trace}/>`}/></div>`;
}
