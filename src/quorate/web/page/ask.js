// The form: the question, and the pipeline that is to answer it.

import { html } from "./html.js";
import { askLastBy, bareOf, choose, entryOf, examplesFor, innerPipelines, isEnsemble, membersFor, nameOf, readName, sectionsOf, toggle } from "./compose.js";
import { brief, plural } from "./words.js";

/** Which pipeline, over which models, with how many samples. */
export function Composer({ catalog, choice, onChoice, name = "pipeline" }) {
  const change = (fields) => onChoice({ ...choice, ...fields }), entry = entryOf(catalog, choice);
  const samples = choice.n !== null && choice.kind !== "model", stoppable = samples && entry?.stoppable !== false;
  return html`<div class="composer">
    <label class="field">Pipeline<select value=${choice.value} onChange=${(e) => onChoice(choose(catalog, e.target.value, choice))}>
      ${catalog.configured.length ? html`<optgroup label="Configured on this server">${catalog.configured.map((p) => html`<option value=${`own:${p.id}`}>${p.id}</option>`)}</optgroup>` : null}
      ${sectionsOf(catalog).map(([section, entries]) => html`<optgroup label=${`${section[0].toUpperCase()}${section.slice(1)}`}>${entries.map((p) => html`<option value=${`built:${p.name}`}>${p.name}</option>`)}</optgroup>`)}
      <optgroup label="One model alone">${catalog.models.map((m) => html`<option value=${`model:${m.id}`}>${m.id}</option>`)}</optgroup></select></label>
    ${samples ? html`<label class="field samples">Samples <output>${choice.n}</output>
      <input type="range" min="1" max=${Math.max(64, entry?.n ?? 0)} value=${choice.n} onInput=${(e) => change({ n: Number(e.target.value), typed: null })}/></label>` : null}
    ${stoppable ? html`<label class="field">Stop early<select value=${choice.stop} onChange=${(e) => change({ stop: e.target.value })}>
      <option value="">${choice.kind === "built" && catalog.rules.includes(choice.name) ? "as this pipeline does" : "no"}</option>${catalog.rules.filter((r) => r !== choice.name).map((r) => html`<option>${r}</option>`)}</select></label>` : null}
    ${choice.kind === "built" ? html`<${Members} catalog=${catalog} choice=${choice} entry=${entry} onChoice=${onChoice}/>` : null}
    <p class="about">${entry?.description ? html`${entry.description[0].toUpperCase()}${entry.description.slice(1)}.<span class="source"> ${entry.source}</span>` : choice.kind === "own" ? describeOwn(entry) : "One answer of one model, without a vote."}</p>
    <details class="more"><summary>More settings</summary><div class="settings">
      <label class="field grow">Name<input class="code" spellcheck="false" autocomplete="off" value=${nameOf(catalog, choice)} onInput=${(e) => change({ typed: e.target.value })} aria-label=${`Name of the ${name}`}/></label>
      <label class="field">Temperature<input type="number" min="0" max="2" step="0.1" placeholder="model's own" value=${choice.temperature} onInput=${(e) => change({ temperature: e.target.value })}/></label>
      <label class="field">Most tokens a sample<input type="number" min="1" placeholder="no limit" value=${choice.tokens} onInput=${(e) => change({ tokens: e.target.value })}/></label>
      <label class="field">Tokens in all<input type="number" min="1" placeholder="no limit" value=${choice.budget} onInput=${(e) => change({ budget: e.target.value })}/></label>
      <label class="field">Seed<input type="number" step="1" placeholder="none" value=${choice.seed} onInput=${(e) => change({ seed: e.target.value })}/></label>
    </div></details>
  </div>`;
}

/** The models that are asked, in the order in which they were clicked where that says what each does. */
function Members({ catalog, choice, entry, onChoice }) {
  const able = membersFor(catalog, entry), ordered = entry?.fewest > 1 && choice.models.length > 1, chosen = choice.models.map(bareOf);
  const few = entry?.most === entry?.fewest ? `${entry.fewest}` : `${entry?.fewest} or more`;
  const hint = !(entry?.fewest > 1) ? "" : isEnsemble(entry) ? `${few} that can be asked token by token, the first one drafts` : `${few}, in the order in which they are asked`;
  return html`<fieldset class="models"><legend>Models${hint ? `: ${hint}` : ""}</legend>${able.map((m) => html`<label key=${m.id} class="pick"><input type="checkbox" checked=${chosen.includes(m.id)} onChange=${(e) => { const next = toggle(catalog, choice, m.id); e.target.checked = next.models.map(bareOf).includes(m.id); onChoice(next); }}/>
    ${ordered && chosen.includes(m.id) ? html`<b class="rank">${chosen.indexOf(m.id) + 1}</b>` : null}<span>${m.id}</span></label>`)}
    ${ordered && !isEnsemble(entry) ? html`<label class="field">The last one is asked<select value=${readName(choice.models.at(-1))?.name ?? ""} onChange=${(e) => onChoice(askLastBy(catalog, choice, e.target.value))}>
      <option value="">alone</option>${innerPipelines(catalog, choice).map((p) => html`<option value=${p.name}>by ${p.name}</option>`)}</select></label>` : null}</fieldset>`;
}

function describeOwn(entry) {
  if (!entry) return "";
  const parts = [entry.n ? plural(entry.n, "sample") : "", `over ${(entry.models ?? []).join(", ")}`, entry.stop ?? "", entry.aggregators ? `with ${entry.aggregators.join(", ")}` : ""];
  return `Configured here: ${parts.filter(Boolean).join("; ")}.`;
}

/** The question and its button; `children` are the composers. */
export function AskForm({ catalog, question, onQuestion, onAsk, onStop, running, children, word = "Ask", compact = null }) {
  const submit = (event) => { event.preventDefault(); if (question.trim() && !running) onAsk(question); };
  // Buttons with keys of their own: one that turns into the other under a click would do what that one does.
  const keys = (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event); };
  return html`<form class=${`ask${compact ? " compact" : ""}`} novalidate onSubmit=${submit}>
    <label class="away" for="question">Question</label>
    <textarea id="question" rows=${compact ? 1 : 3} dir="auto" placeholder="Ask something that is worth more than one answer" value=${question} onInput=${(e) => onQuestion(e.target.value)} onKeyDown=${keys}></textarea>
    ${question ? null : html`<p class="examples"><span>Click to ask</span>${examplesFor(catalog).map((text) => html`<button type="button" class="example" title=${text} onClick=${() => { onQuestion(text); onAsk(text); }}>${brief(text, 58)}</button>`)}</p>`}
    ${compact ? html`<details class="more chosen"><summary>${compact}</summary>${children}</details>` : children}
    <p class="go">${running ? html`<button key="stop" type="button" class="stop" onClick=${onStop}>Stop</button>` : html`<button key="ask" type="submit" class="primary" disabled=${!question.trim()}>${word}</button>`}<span class="quiet">${running ? "Leaving this page stops all work at the models, too." : "Ctrl + Enter"}</span></p>
  </form>`;
}
