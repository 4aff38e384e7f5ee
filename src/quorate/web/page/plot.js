// A chart of the report on the page: drawn anew where its data or its room changes.

import { html, useEffect, useRef } from "./html.js";

export function Plot({ make, data }) {
  const home = useRef(null), show = useRef(null);
  useEffect(() => {
    const place = home.current, room = new ResizeObserver(() => { if (place.clientWidth && place.clientWidth !== width) { width = place.clientWidth; show.current(); } });
    let width = place.clientWidth;
    show.current = make(place);
    room.observe(place);
    return () => room.disconnect();
  }, [make]);
  useEffect(() => show.current(data), [JSON.stringify(data)]);
  return html`<div ref=${home}></div>`;
}
