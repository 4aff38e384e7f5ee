// Models that wrote together: every token, and what each model would have said there.

import { html, useState } from "./html.js";
import { brief, percent, plural, visible } from "./words.js";

const WHY = {
  agreed: "all models' first choice", sure: "the drafter was sure, nobody else was asked", boundary: "no common place in the text to compare at", textless: "a token without text",
  alone: "only the drafter was left", accepted: "the verifiers accepted the draft", ensembled: "decided by the mixture of all models", spoken: "the mixture's own token",
};
const MOST = 3000; // tokens with a place of their own

const shown = (text) => (text === "" ? "\u25a0" : visible(text).replaceAll("\n", "\u21b5\n").replaceAll("\t", "\u21e5"));

function Detail({ step }) {
  if (!step) return html`<p class="quiet">Point at a token, or walk through them with Tab and the arrow keys.</p>`;
  return html`<div><p><code>${shown(step.text)}</code> ${WHY[step.why] ?? step.why}${step.probability !== null ? `, ${percent(step.probability)} in the mixture` : ""}.</p>
    ${step.choices.length ? html`<table><thead><tr><th scope="col">model</th><th scope="col">would have said</th><th scope="col" class="n">probability</th></tr></thead><tbody>${step.choices.map((c, i) => html`<tr key=${i}><th scope="row">${c.model}</th><td><code>${c.text === null ? "nothing that shows" : shown(c.text)}</code></td><td class="n">${percent(c.probability)}</td></tr>`)}</tbody></table>` : null}</div>`;
}

export function TokensView({ race }) {
  const [at, setAt] = useState(null);
  const told = race.quorate.candidates?.find((c) => c.ensembling?.steps?.length && (c.text === race.text || race.quorate.candidates.length === 1))?.ensembling;
  if (!told) return null;
  const steps = told.steps.slice(0, MOST);
  const walk = (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const next = Math.min(steps.length - 1, Math.max(0, (at ?? 0) + by));
    setAt(next);
    event.currentTarget.children[next]?.focus();
  };
  return html`<section class="tokens" aria-label=${race.label("Token by token")}><h2>Token by token</h2>
    <p class="quiet">${plural(steps.length, "token")} of ${told.members.map((m) => m.model).join(", ")}; ${Object.entries(told.counts).map(([why, n]) => `${n} ${why}`).join(", ")}.</p>
    <div class="token-text" role="group" aria-label="Tokens" onKeyDown=${walk} onMouseLeave=${() => setAt(null)}>${steps.map((step, i) => html`<span key=${i} class=${`token ${step.why}`} role="button" aria-pressed=${String(i === at)} tabindex=${i === (at ?? 0) ? 0 : -1} aria-label=${`${brief(step.text, 20) || "space"}, ${WHY[step.why] ?? step.why}`} onMouseEnter=${() => setAt(i)} onFocus=${() => setAt(i)}>${shown(step.text)}</span>`)}</div>
    <div class="token-detail" role="status"><${Detail} step=${at === null ? null : steps[at]}/></div>
    ${told.steps.length > MOST ? html`<p class="quiet">Only the first ${plural(MOST, "token")} are shown.</p>` : null}</section>`;
}
