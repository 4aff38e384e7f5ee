// One run on the screen: race and needle, the answer, why it won, what it cost.

import { html, useEffect, useFrames, useRef, useState } from "./html.js";
import { StageView, savedTokens } from "./cells.js";
import { CopyView } from "./copy.js";
import { CostView } from "./cost.js";
import { FaultView } from "./fault.js";
import { GraphView } from "./graph.js";
import { MinorityView } from "./minority.js";
import { Prose } from "./prose.js";
import { Sheet } from "./sheet.js";
import { TokensView } from "./tokens.js";
import { Bars, Needle, describeRisk } from "./votes.js";
import { Why } from "./why.js";
import { brief, count, plural, seconds } from "./words.js";

/** What happened last, for those who hear the page: not oftener than every second. */
function Spoken({ race }) {
  const [text, setText] = useState(""), said = useRef(0);
  const stage = race.decisive, leader = stage?.tally[0];
  const now = race.fault ? `${race.fault.title}.` : race.status === "done" ? `The answer is there: ${brief(race.quorate?.answer ?? race.text, 200)}.`
    : stage ? `${stage.finished.length} of ${stage.cells.length} samples finished. ${leader ? `${brief(leader.answer, 60)} leads with ${plural(leader.votes, "vote")}; ${describeRisk(stage, false)}.` : ""}` : "";
  useEffect(() => {
    if (now === text) return undefined;
    const timer = setTimeout(() => { said.current = Date.now(); setText(now); }, Math.max(0, said.current + 1000 - Date.now()));
    return () => clearTimeout(timer);
  }, [now]);
  return html`<p class="away" role="status" aria-live="polite">${text}</p>`;
}

function headingOf(stage, race) {
  const node = race.nodes.get(stage.node);
  if (!node) return race.model || "Answer";
  const label = node.label.split("\n")[0];
  return `${label.startsWith(stage.node) ? label : `${stage.node}: ${label}`}${stage.round > 1 ? `, round ${stage.round}` : ""}`;
}

function Facts({ race }) {
  const saved = race.stages.reduce((sum, stage) => sum + savedTokens(stage), 0);
  const tokens = race.stages.reduce((sum, s) => sum + s.cells.reduce((t, c) => t + c.tokens, 0), 0), calls = [...race.upstream.values()];
  const stopped = race.stages.find((s) => s.stopped)?.stopped;
  return html`<dl class="facts">
    <div><dt>time</dt><dd>${seconds(race.elapsed)}</dd></div>
    ${race.stages.length ? html`<div><dt>tokens written</dt><dd>${count(tokens)}</dd></div>` : calls.length ? html`<div><dt>calls ended</dt><dd>${calls.filter((c) => c.to !== null).length} of ${calls.length}</dd></div>` : null}
    ${saved ? html`<div class="saved"><dt>tokens saved, about</dt><dd>${count(saved)}</dd></div>` : null}
  </dl>${stopped ? html`<p class="stopped">${stopped.code ? "Cut short" : "Stopped early"}: ${stopped.reason}</p>` : null}`;
}

/** Everything of a run. */
export function RunView({ race, aside = null, onAgain = null, narrow = false }) {
  useFrames(race);
  useEffect(() => {
    const clock = setInterval(() => race.running && !race.replayed && race.onChange?.(), 100);
    return () => clearInterval(clock);
  }, [race]);
  const [open, setOpen] = useState(null);
  const stage = race.decisive, over = !race.running, winner = race.winner;
  const several = new Set(race.stages.flatMap((s) => s.cells.map((c) => c.model).filter(Boolean))).size > 1;
  return html`<article class=${`run${narrow ? " narrow" : ""}`} data-status=${race.status}>
    <${Spoken} race=${race}/>
    ${race.fault ? html`<${FaultView} fault=${race.fault} onAgain=${onAgain}/>` : null}
    ${race.status === "running" && race.elapsed > 3 && !race.stages.some((s) => s.cells.some((c) => c.tokens)) ? html`<p class="quiet waiting-line">Waiting for the first token. A model of this machine is loaded by the first question to it.</p>` : null}
    ${race.status === "asking" ? html`<p class="quiet waiting-line">Asking ${race.model}\u2026</p>` : null}
    ${race.graph !== null ? html`<div class=${race.stages.length ? "race" : "race plain"}>
      <div class="lanes">${race.stages.map((s) => html`<${StageView} key=${`${s.node}#${s.round}`} stage=${s} winner=${winner} several=${several} heading=${headingOf(s, race)} label=${race.label(headingOf(s, race))} onOpen=${(cell) => setOpen({ stage: s, cell })}/>`)}
        <${GraphView} race=${race} label=${race.label("Graph of the pipeline")}/>
        ${race.stages.length ? null : html`<${Facts} race=${race}/>`}</div>
      ${race.stages.length ? html`<aside class="side" aria-label=${race.label("Votes")}><${Needle} stage=${stage} over=${over}/><${Bars} stage=${stage}/><${Facts} race=${race}/></aside>` : null}
    </div>` : null}
    ${race.text || race.reasoning ? html`<section class="answer" aria-label=${race.label("Answer")}><h2>Answer${race.running ? html`<small> being written</small>` : null}</h2>
      ${race.reasoning ? html`<details class="thinking"><summary>Thinking</summary><${Prose} text=${race.reasoning}/></details>` : null}
      <${Prose} text=${race.text}/>
      ${race.reply ? html`<${Why} race=${race}/>` : null}</section>` : null}
    ${race.reply ? html`<${TokensView} race=${race}/><${MinorityView} race=${race} onOpen=${(cell) => setOpen({ stage, cell })}/><${CostView} race=${race}/>
      ${race.request ? html`<${CopyView} request=${race.request} race=${race}/>` : null}` : null}
    ${aside}
    <${Sheet} opened=${open} onClose=${() => setOpen(null)}/>
  </article>`;
}
