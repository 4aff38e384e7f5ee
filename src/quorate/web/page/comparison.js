// The systems of an evaluation in pairs, and how their models' samples scale: the figures of `quorate eval compare`.

import { html, useEffect, useRef, useState } from "./html.js";
import { get } from "./api.js";
import { FaultView } from "./fault.js";
import { Plot } from "./plot.js";
import { plural } from "./words.js";
import { scalingPlot } from "../parts/plots.js";

const AT_ONCE = 5000; // answers up to which it is worked out without being asked for
const QUICK = 3; // seconds that it may take to be worked out again by itself
const TESTS = { mcnemar: "McNemar's exact test", exchange: "exchange of the two in whole families" };
const signed = (value) => `${value < 0 ? "\u2212" : "+"}${Math.abs(value).toFixed(3)}`;
const chance = (p) => (p < 0.001 ? "< 0.001" : p.toPrecision(2));

/** An interval around its value, beside 0. */
function Forest({ difference: [value, low, high], most }) {
  const at = (x) => `${50 + (50 * Math.max(-most, Math.min(most, x))) / most}%`;
  return html`<span class="forest" aria-hidden="true"><i style=${{ left: at(low), right: `calc(100% - ${at(high)})` }}></i><b style=${{ left: at(value) }}></b></span>`;
}

/** How the two were brought to equal amounts, or why not. */
const means = (pair) => (pair.scaled ? `${pair.scaled} with ${pair.samples.toFixed(1)} samples` : pair.note && pair.note !== "as they ran" ? pair.note : "");

function Pairs({ pairs }) {
  const [every, setEvery] = useState(false), best = pairs.filter((p) => p.a === pairs[0].a), shown = every ? pairs : best;
  const most = Math.max(...pairs.flatMap((p) => p.difference.map(Math.abs)), 0.01);
  return html`<div class="scroll-x" tabindex="0" role="region" aria-label="Differences"><table class="pairs"><thead><tr><th scope="col">difference</th><th scope="col"><span class="away">interval, drawn</span></th><th scope="col" class="n">accuracy</th><th scope="col" class="n">95 % interval</th><th scope="col" class="n">p</th><th scope="col" class="n">p Holm</th><th scope="col" class="n">detectable</th><th scope="col" class="n">as run</th></tr></thead>
    <tbody>${shown.map((p) => html`<tr key=${`${p.a}|${p.b}`} class=${p.p_holm < 0.05 ? "sure" : ""}><th scope="row">${p.a} \u2212 ${p.b}${means(p) ? html`<small>${means(p)}</small>` : null}</th><td><${Forest} difference=${p.difference} most=${most}/></td><td class="n">${signed(p.difference[0])}</td><td class="n">${signed(p.difference[1])} to ${signed(p.difference[2])}</td><td class="n">${chance(p.p)}</td><td class="n">${chance(p.p_holm)}</td><td class="n">${p.detectable === null ? "none" : p.detectable.toFixed(3)}</td><td class="n">${signed(p.as_run)}</td></tr>`)}</tbody></table></div>
    <p class="quiet">p: ${[...new Set(pairs.map((p) => TESTS[p.test] ?? p.test))].join(" and ")}, two-sided; p Holm counts ${plural(pairs.length, "pair")}. Detectable: the gain that as many questions show with a power of 0.8.
      ${pairs.length > best.length ? html` <button type="button" class="small" aria-pressed=${String(every)} onClick=${() => setEvery(!every)}>${every ? "Only the best against the others" : `All ${pairs.length} pairs`}</button>` : null}</p>`;
}

export function Comparison({ run }) {
  const [by, setBy] = useState("tokens"), [found, setFound] = useState(null), [fault, setFault] = useState(null), [asking, setAsking] = useState(false), took = useRef(null);
  const load = async () => {
    const from = performance.now();
    setAsking(true);
    try {
      const told = await get(`v1/evaluations/${run.id}/comparison?by=${by}`);
      setFound({ ...told, answers: run.answers });
      setFault(null);
    } catch (error) { setFault(error); }
    took.current = (performance.now() - from) / 1000;
    setAsking(false);
  };
  const byItself = took.current === null ? run.questions * run.pipelines.length <= AT_ONCE : took.current < QUICK;
  useEffect(() => {
    if (!asking && !fault && (found?.by === by || !found ? byItself && found?.answers !== run.answers : true)) load();
  }, [run.answers, by, asking]);
  const old = found && found.answers !== run.answers;
  return html`<section aria-label="Comparison" aria-busy=${String(asking)}><h2>Comparison</h2>
    <p class="switch" role="group" aria-label="At equal">${["tokens", "money", "seconds"].map((unit) => html`<button key=${unit} type="button" aria-pressed=${String(unit === by)} onClick=${() => setBy(unit)}>at equal ${unit}</button>`)}
      ${(old || !found) && !byItself && !asking ? html`<button type="button" class="primary" onClick=${load}>${found ? "Work it out again" : "Work it out"}</button>` : null}<span class="quiet" role="status">${asking ? "Working it out\u2026" : old ? `Of ${plural(found.answers, "answer")}.` : ""}</span></p>
    ${fault ? html`<${FaultView} fault=${fault} onAgain=${load}/>` : null}
    ${found?.pairs?.length ? html`<${Pairs} pairs=${found.pairs}/>` : found && !asking ? html`<p class="quiet">There is nothing to compare yet: it takes two systems that answered the same question.</p>` : null}
    ${found?.notes?.map((note) => html`<p key=${note} class="quiet">${note[0].toUpperCase()}${note.slice(1)}${note.endsWith(".") ? "" : "."}</p>`)}
    ${found && run.finished === null ? html`<p class="quiet">These are looks at part of a run: a run that is stopped at the first small p has a larger chance of error than p says.</p>` : null}
    ${found?.curves?.length ? html`<h3>Accuracy over what it takes</h3><${Plot} make=${scalingPlot} data=${{ curves: found.curves, currency: "" }}/>` : null}</section>`;
}
