// One sample in full, in a dialog over the page.

import { html, useEffect, useRef } from "./html.js";
import { Prose } from "./prose.js";
import { brief, colour, count, explainCode, letter, plural, seconds, visible } from "./words.js";

export function Sheet({ opened, onClose }) {
  const home = useRef(null);
  useEffect(() => { if (opened && !home.current.open) home.current.showModal(); }, [opened]);
  if (!opened) return null;
  const { stage, cell } = opened, { candidate } = cell;
  const cluster = stage.tally.find((c) => c.number === cell.number);
  const facts = [cell.model, cell.tokens ? plural(cell.tokens, "token") : "", candidate?.latency ? seconds(candidate.latency) : "", candidate?.finish_reason === "length" ? "cut at its length" : "",
    cell.state === "cancelled" ? "stopped before its end" : "", candidate?.seed != null ? `seed ${candidate.seed}` : ""].filter(Boolean);
  return html`<dialog class="sheet" ref=${home} onClose=${onClose} onClick=${(e) => e.target === home.current && home.current.close()} aria-labelledby="sheet-title">
    <div class="sheet-body"><header><h2 id="sheet-title">Sample ${cell.index + 1}</h2><button type="button" onClick=${() => home.current.close()}>Close</button></header>
    ${cluster ? html`<p style=${{ "--c": colour(cell.number) }}><span class="chip">${letter(cell.number)}</span> <bdi>${brief(cluster.answer, 200)}</bdi> <span class="quiet">one of ${plural(cluster.votes, "vote")}</span></p>` : null}
    <p class="quiet">${facts.join(" \u00b7 ")}</p>
    ${candidate?.error ? html`<p class="said"><bdi>${visible(candidate.error.message)}</bdi></p>` : null}
    ${candidate?.degraded.length ? html`<ul class="badges">${candidate.degraded.map((d) => html`<li class="badge" title=${d.detail}>${explainCode(d.code)}</li>`)}</ul>` : null}
    ${cell.reasoning ? html`<details class="thinking" open=${!cell.text}><summary>Thinking, ${count(cell.reasoning.length)} characters</summary><${Prose} text=${cell.reasoning}/></details>` : null}
    ${cell.text ? html`<${Prose} key=${cell.index} text=${cell.text}/>` : html`<p class="quiet">It has no text.</p>`}
    ${candidate?.tool_calls.length ? html`<pre class="plain">${JSON.stringify(candidate.tool_calls, null, 2)}</pre>` : null}</div></dialog>`;
}
