// A component that shows a text as Markdown, not more often than a reader can follow while it grows.

import { Component, createRef, html } from "./html.js";
import { render } from "./markdown.js";

const PAUSE = 120; // milliseconds between two drawings of a text that grows
const SLOW = 15_000; // characters from which on it takes more

export class Prose extends Component {
  home = createRef();

  componentDidMount() { this.draw(); }
  componentWillUnmount() { clearTimeout(this.timer); this.gone = true; }
  shouldComponentUpdate(next) { return next.text !== this.props.text; }

  componentDidUpdate() {
    this.timer ??= setTimeout(() => { this.timer = null; this.draw(); }, this.props.text.length > SLOW ? 6 * PAUSE : PAUSE);
  }

  draw() {
    if (this.gone) return;
    const { text } = this.props, nodes = render(text, () => this.draw());
    if (nodes !== null) this.home.current?.replaceChildren(nodes);
    else if (this.home.current && !this.home.current.hasChildNodes()) this.home.current.textContent = text;
  }

  render({ label }) {
    return html`<div class="prose" ref=${this.home} aria-label=${label} role=${label ? "group" : undefined}></div>`;
  }
}
