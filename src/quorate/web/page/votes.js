// How the votes stand: a bar for each class, and the needle that shows the chance that the rest changes the winner.

import { html } from "./html.js";
import { brief, colour, letter, percent, plural, visible } from "./words.js";

const SHOWN = 6; // classes with a bar of their own

export function Bars({ stage }) {
  const tally = stage?.tally ?? [], most = stage ? Math.max(stage.n, ...tally.map((c) => c.votes), 1) : 1;
  const rest = tally.slice(SHOWN).reduce((sum, c) => sum + c.votes, 0);
  if (!tally.length) return html`<p class="quiet">No sample has stated an answer yet.</p>`;
  return html`<ul class="bars">${tally.slice(0, SHOWN).map((c) => html`<li key=${c.number} style=${{ "--c": colour(c.number) }}>
      <span class="chip">${letter(c.number)}</span><bdi class="bar-name" title=${visible(c.answer.slice(0, 300))}>${brief(c.answer, 44)}</bdi>
      <span class="track"><i style=${{ width: `${(100 * c.votes) / most}%` }}></i></span><span class="bar-votes">${c.votes}<span class="away"> ${c.votes === 1 ? "vote" : "votes"}</span></span></li>`)}
    ${rest ? html`<li class="rest"><span></span><span class="quiet">${plural(tally.length - SHOWN, "more class", "more classes")}</span><span></span><span class="bar-votes">${rest}</span></li>` : null}</ul>`;
}

/** What the needle says: a word, the chance that it points at (null: nowhere), and the reason. */
function readNeedle(stage, over) {
  if (!stage?.tally.length) return over ? ["no vote", null, "no sample has stated an answer"] : ["open", 1, "nobody has voted yet"];
  const left = plural(stage.left ?? 0, "sample");
  if (stage.left === 0 || (over && !stage.stopped)) return ["decided", 0, "all votes are in"];
  if (stage.risk === null) return over ? ["decided", 0, "sampling has stopped"] : ["?", null, "not known: these classes are approximate, or the trace does not tell"];
  if (stage.risk === 0) return ["decided", 0, "nobody can catch up any more"];
  return [percent(stage.risk), stage.risk, over ? `is the most by which the ${left} not drawn would have changed the winner` : `chance at most that the ${left} left change${stage.left === 1 ? "s" : ""} the winner`];
}

/** The same in one sentence. */
export const describeRisk = (stage, over) => { const [word, , reason] = readNeedle(stage, over); return `${word}: ${reason}`; };

export function Needle({ stage, over }) {
  const [word, risk, reason] = readNeedle(stage, over);
  // A square root spreads the small chances, where it matters.
  const angle = risk === null ? -90 : 90 - 180 * Math.sqrt(risk);
  const arc = (from, to) => {
    const at = (share) => [100 - 82 * Math.cos(Math.PI * share), 96 - 82 * Math.sin(Math.PI * share)].map((v) => v.toFixed(1)).join(" ");
    return `M${at(from)} A82 82 0 0 1 ${at(to)}`;
  };
  return html`<figure class="needle">
    <svg viewBox="0 0 200 108" role="img" aria-label=${`Needle: ${word}, ${reason}`}>
      <path d=${arc(0, 0.45)} class="arc open"/><path d=${arc(0.47, 0.76)} class="arc leaning"/><path d=${arc(0.78, 1)} class="arc decided"/>
      <g class="hand" style=${{ transform: `rotate(${angle}deg)` }} opacity=${risk === null ? 0.25 : 1}><path d="M97.4 96 L100 26 L102.6 96 Z"/><circle cx="100" cy="96" r="6.5"/></g>
    </svg>
    <figcaption><b>${word}</b><span>${reason}</span></figcaption>
  </figure>`;
}
