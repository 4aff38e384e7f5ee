// Why this answer won: class, votes, how sure, which way it took, what went otherwise than configured.

import { html } from "./html.js";
import { brief, colour, explainCode, letter, percent, plural, visible } from "./words.js";

/** Notes of one kind are one badge. */
function Badges({ notes }) {
  const kinds = new Map();
  for (const note of notes) kinds.set(note.code, [...(kinds.get(note.code) ?? []), note]);
  return html`<ul class="badges" aria-label="What did not go as configured">${[...kinds].map(([code, list]) => html`<li class="badge"><details><summary>${explainCode(code)}${list.length > 1 ? html` <b>\u00d7${list.length}</b>` : null}</summary>
    ${list.slice(0, 20).map((n) => html`<p><b>${brief(n.where, 80)}</b> <bdi>${visible(n.detail.slice(0, 600))}</bdi></p>`)}</details></li>`)}</ul>`;
}

export function Why({ race }) {
  const { quorate, winner, decisive: stage } = race, [first] = quorate.tally, votes = quorate.tally.reduce((sum, c) => sum + c.votes, 0);
  const top = stage?.tally[0], rows = [];
  if (first && top) {
    const won = stage.tally.find((c) => c.answer === quorate.answer) ?? top;
    rows.push(["class", html`<span style=${{ "--c": colour(won.number) }}><span class="chip">${letter(won.number)}</span> <bdi>${brief(won.answer, 90)}</bdi></span>`]);
    rows.push(["votes", `${won.votes} of ${votes}${quorate.tally.length > 1 ? `, ${plural(quorate.tally.length, "class", "classes")}` : ", all of them"}`]);
  }
  if (quorate.agreement) rows.push(["agreement", percent(quorate.agreement.share)]);
  if (quorate.effective_votes) rows.push(["independent voters", `worth about ${quorate.effective_votes.toFixed(1)}`]);
  if (race.graph === null) rows.length = 0;
  else if (winner) rows.push(["text of", `sample ${winner.index + 1}${winner.model ? ` (${winner.model})` : ""}`]);
  else if (stage?.tally.length || stage?.finished.length > 1) rows.push(["text", "written anew from the samples"]);
  if (quorate.route) rows.push(["route", visible(quorate.route)]);
  if (quorate.stopped && quorate.stopped !== "complete") rows.push(["sampling", quorate.stopped]);
  for (const saving of quorate.savings ?? []) rows.push(["would have saved", `${plural(saving.tokens, "token")} (${saving.reason})`]);
  if (!rows.length && !quorate.degraded.length) return null;
  return html`<div class="why"><h3>${rows.length ? "Why this one" : "What to know"}</h3>
    <dl>${rows.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${quorate.degraded.length ? html`<${Badges} notes=${quorate.degraded}/>` : null}</div>`;
}
