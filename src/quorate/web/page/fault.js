// A fault in words: what happened, what the server said, what to do.

import { html } from "./html.js";
import { visible } from "./words.js";

export function FaultView({ fault, onAgain = null }) {
  return html`<div class="fault" role="alert"><h2>${fault.title}</h2>
    ${fault.detail ? html`<p class="said"><bdi>${visible(fault.detail)}</bdi></p>` : null}<p>${fault.advice}</p>
    ${onAgain ? html`<button type="button" onClick=${onAgain}>Ask again</button>` : null}</div>`;
}
