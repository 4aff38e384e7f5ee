// The race: a cell a sample, which fills as it streams and takes its class's colour once one is known.

import { Component, html } from "./html.js";
import { brief, colour, count, letter, plural, seconds, visible } from "./words.js";

const TAIL = 160; // characters of a text that a cell has room for
const STATES = { waiting: "waiting", writing: "writing", finished: "finished", failed: "failed", cancelled: "stopped", late: "came after the decision" };

/** How full a cell is: of what finished samples took, or ever more slowly where none has finished. */
function fill(cell, expected) {
  if (cell.state === "finished" || cell.state === "failed" || cell.state === "late") return 1;
  if (cell.state === "waiting") return 0;
  return expected ? Math.min(0.97, cell.tokens / expected) : 1 - Math.exp(-cell.tokens / 120);
}

/** What a screen reader says of a cell. */
function describe(cell, answer) {
  const parts = [`Sample ${cell.index + 1}`, cell.model, STATES[cell.state]];
  if (cell.number !== null) parts.push(`class ${letter(cell.number)}: ${brief(answer ?? "", 80)}`);
  if (cell.state === "failed") parts.push(brief(cell.candidate?.error?.message ?? "", 120));
  if (cell.tokens) parts.push(plural(cell.tokens, "token"));
  return parts.filter(Boolean).join(", ");
}

class CellView extends Component {
  shouldComponentUpdate(next) {
    return next.cell.version !== this.shown || next.expected !== this.props.expected || next.answer !== this.props.answer || next.won !== this.props.won || next.voted !== this.props.voted;
  }

  render({ cell, expected, answer, won, voted, several, dense, onOpen }) {
    this.shown = cell.version;
    const { state, number } = cell, text = cell.text || cell.reasoning;
    const style = { "--c": number === null ? "var(--faint)" : colour(number), "--fill": `${(100 * fill(cell, expected)).toFixed(1)}%` };
    const took = cell.ended !== null && cell.started !== null ? seconds(cell.ended - cell.started) : "";
    const note = state === "failed" ? "failed" : state === "cancelled" ? "stopped" : state === "late" ? "too late" : cell.candidate?.finish_reason === "length" ? "cut" : state === "finished" && voted && number === null && !cell.candidate?.answer ? "no vote" : "";
    return html`<li><button type="button" class=${`cell ${state}${number === null ? "" : " known"}${won ? " won" : ""}`} style=${style} aria-label=${describe(cell, answer)} onClick=${() => onOpen(cell)}>
      <span class="cell-head"><span class="cell-no">${cell.index + 1}</span>${several && !dense ? html`<span class="cell-model">${brief(cell.model, 24)}</span>` : null}
        ${number === null ? null : html`<span class="chip">${letter(number)}</span>`}${note ? html`<span class="cell-note">${note}</span>` : null}</span>
      ${dense ? null : html`<bdi class="cell-text">${state === "failed" ? brief(cell.candidate?.error?.message ?? "", TAIL) : visible(text.slice(-TAIL))}</bdi>`}
      <span class="cell-foot">${cell.tokens ? html`<span>${count(cell.tokens)} tok</span>` : html`<span></span>`}<span>${took}</span></span>
    </button></li>`;
  }
}

/** The samples of one stage. */
export function StageView({ stage, winner, several, heading, label, onOpen }) {
  const finished = stage.finished;
  const expected = finished.length ? finished.reduce((sum, c) => sum + c.tokens, 0) / finished.length : 0;
  const answers = new Map(stage.tally.map((cluster) => [cluster.number, cluster.answer]));
  const n = stage.cells.length, size = n <= 8 ? "roomy" : n <= 24 ? "" : "dense";
  const failed = stage.cells.filter((c) => c.state === "failed").length;
  return html`<section class="stage" aria-label=${label}>
    <h2 class="lane-title">${heading}<small>${finished.length} of ${n} finished${failed ? `, ${failed} failed` : ""}</small></h2>
    <ol class=${`cells ${size}`}>${stage.cells.map((cell) => html`<${CellView} key=${cell.index} cell=${cell} expected=${expected} answer=${answers.get(cell.number)} won=${winner === cell} voted=${stage.tally.length > 0} several=${several} dense=${size === "dense"} onOpen=${onOpen} />`)}</ol>
  </section>`;
}

/** Tokens that stopping early has saved: what the samples would have taken that were cut or never drawn, on average. */
export function savedTokens(stage) {
  const finished = stage.finished;
  if (!finished.length || !stage.stopped) return 0;
  const mean = finished.reduce((sum, c) => sum + c.tokens, 0) / finished.length;
  const short = stage.cells.filter((c) => c.state === "waiting" || (c.state === "cancelled" && c.tokens < mean));
  return Math.round(short.reduce((sum, c) => sum + mean - c.tokens, 0));
}
