// The minority report: what the classes that lost have to say, beside the winner's text; a fusion's analysis.

import { html } from "./html.js";
import { compare } from "./diff.js";
import { brief, colour, letter, plural, visible } from "./words.js";

const SHOWN = 6; // losing classes

/** The text that speaks for a class: the one that a panel chose as its best, else its first sample's. */
function speaker(stage, cluster, dissents) {
  const told = dissents.find((d) => cluster.voters.includes(d.index));
  return stage.cells[told?.index ?? Math.min(...cluster.voters)];
}

function Differences({ winner, loser, name }) {
  const lines = compare(winner, loser), count = lines.filter(([mark]) => mark !== " ").length;
  return html`<div class="scroll-x diff" tabindex="0" role="region" aria-label=${`${name}: ${plural(count, "line")} that differ`}>${lines.map(([mark, text], i) => html`<div key=${i} class=${mark === "+" ? "theirs" : mark === "-" ? "ours" : ""}><span class="mark">${mark === "+" ? "theirs" : mark === "-" ? "winner" : ""}</span><bdi>${visible(text) || "\u00a0"}</bdi></div>`)}</div>`;
}

function Analysis({ analysis }) {
  const groups = [
    ["All say", analysis.consensus], ["They contradict each other on", analysis.contradictions.map((c) => html`<b>${c.topic}</b><ul>${c.stances.map((s) => html`<li><span class="who">${s.model} #${s.index + 1}</span> <bdi>${s.stance}</bdi></li>`)}</ul>`)],
    ["Some say", analysis.partial_coverage.map((p) => html`<bdi>${p.point}</bdi> <span class="who">${p.indices.map((i) => `#${i + 1}`).join(", ")}</span>`)],
    ["Only one says", analysis.unique_insights.map((u) => html`<bdi>${u.insight}</bdi> <span class="who">${u.model} #${u.index + 1}</span>`)], ["None of them says", analysis.blind_spots],
  ].filter(([, list]) => list.length);
  return html`<div class="analysis"><h3>The analysis</h3>${groups.map(([name, list]) => html`<section key=${name}><h4>${name}</h4><ul>${list.map((item, i) => html`<li key=${i}>${item}</li>`)}</ul></section>`)}</div>`;
}

export function MinorityView({ race, onOpen }) {
  const { quorate, decisive: stage } = race;
  const won = stage?.tally.find((c) => c.answer === quorate.answer) ?? stage?.tally[0];
  const losing = (stage?.tally ?? []).filter((c) => c !== won);
  if (!losing.length && !quorate.analysis) return null;
  const ours = race.winner?.text ?? (won ? speaker(stage, won, quorate.dissents ?? []).text : race.text);
  return html`<section class="minority" aria-label=${race.label("Minority report")}><h2>Minority report</h2>
    ${quorate.analysis ? html`<${Analysis} analysis=${quorate.analysis}/>` : null}
    ${losing.slice(0, SHOWN).map((cluster) => {
      const cell = speaker(stage, cluster, quorate.dissents ?? []), told = (quorate.dissents ?? []).find((d) => cluster.voters.includes(d.index));
      return html`<details key=${cluster.number} class="dissent" style=${{ "--c": colour(cluster.number) }}><summary><span class="chip">${letter(cluster.number)}</span><bdi class="dissent-name">${brief(cluster.answer, 90)}</bdi><span class="quiet">${plural(cluster.votes, "vote")}</span></summary>
        ${told?.line ? html`<p>It first differs where it says <bdi><q>${brief(told.line, 200)}</q></bdi>${told.against ? html`, and the winner <bdi><q>${brief(told.against, 200)}</q></bdi>` : null}.</p>` : null}
        <${Differences} winner=${ours} loser=${cell.text} name=${race.label(`Sample ${cell.index + 1}`)}/>
        <p><button type="button" onClick=${() => onOpen(cell)}>Sample ${cell.index + 1} in full</button></p></details>`;
    })}
    ${losing.length > SHOWN ? html`<p class="quiet">And ${plural(losing.length - SHOWN, "more class", "more classes")} with fewer votes.</p>` : null}</section>`;
}
