// A chart of the report on the page: drawn anew where its data or its room changes.

import { html, useEffect, useRef } from "./html.js";

export function Plot({ make, data }) {
  const home = useRef(null), show = useRef(null);
  useEffect(() => {
    show.current = make(home.current);
    let width = home.current.clientWidth;
    const room = new ResizeObserver(() => { if (home.current.clientWidth !== width) { width = home.current.clientWidth; show.current(); } });
    room.observe(home.current);
    return () => room.disconnect();
  }, [make]);
  useEffect(() => show.current(data), [JSON.stringify(data)]);
  return html`<div ref=${home}></div>`;
}
