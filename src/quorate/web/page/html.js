// Preact with htm: templates that the browser reads as they are, without a build.

import { Component, Fragment, createRef, h, render } from "../vendor/preact.js";
import { useEffect, useMemo, useRef, useState } from "../vendor/hooks.js";
import htm from "../vendor/htm.js";

export const html = htm.bind(h);
export { Component, Fragment, createRef, render, useEffect, useMemo, useRef, useState };

/** Runs a component again on every frame in which something changed; `subject.onChange` is called by whoever changes it. */
export function useFrames(subject) {
  const [, redraw] = useState(0);
  useEffect(() => {
    let frame = 0;
    subject.onChange = () => { frame ||= requestAnimationFrame(() => { frame = 0; redraw((n) => n + 1); }); };
    subject.onChange();
    return () => { cancelAnimationFrame(frame); subject.onChange = null; };
  }, [subject]);
}
