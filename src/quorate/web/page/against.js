// Two pipelines answer the same question side by side, blind if wanted; which one was better becomes a label.

import { html, useEffect, useFrames, useRef, useState } from "./html.js";
import { Fault, post, recall, remember, watch } from "./api.js";
import { AskForm, Composer } from "./ask.js";
import { choose, firstChoice, nameOf, requestOf } from "./compose.js";
import { FaultView } from "./fault.js";
import { Prose } from "./prose.js";
import { Race } from "./race.js";
import { RunView } from "./run.js";
import { plural } from "./words.js";

const QUESTION = "quorate-question";
const CHOICES = [["first", "Left is better"], ["second", "Right is better"], ["both", "Both are good"], ["neither", "Neither is"]];
const SAID = { first: "The left one was better", second: "The right one was better", both: "Both were good", neither: "Neither was good" };

/** An answer without anything that tells who gave it. */
function Hidden({ race }) {
  useFrames(race);
  const cells = race.stages.flatMap((s) => s.cells), begun = cells.filter((c) => c.state !== "waiting").length;
  return html`<article class="run hidden-run" data-status=${race.status}>
    ${race.fault ? html`<${FaultView} fault=${race.fault}/>` : race.status === "done" ? html`<section class="answer" aria-label=${race.label("Answer")}><${Prose} text=${race.text}/></section>`
      : html`<p class="quiet">It is at work: ${plural(begun, "sample")} so far.</p>`}</article>`;
}

/** Runs a request into a race. */
function run(request, side, signal, onEnd) {
  const race = Object.assign(new Race(request), { side });
  const work = async () => {
    try { await watch(request, (event) => race.take(event), signal); } catch (error) {
      if (error.name === "AbortError") race.leave();
      else race.fail(error instanceof Fault ? error : new Fault("The page failed", "Load it anew.", { detail: String(error) }));
    }
    onEnd();
  };
  work();
  return race;
}

/** Another choice than the first: one sample of the same model. */
const secondChoice = (catalog) => choose(catalog, catalog.models.length ? `model:${catalog.models[0].id}` : `own:${catalog.configured[0]?.id ?? ""}`);

export function AgainstPage({ catalog }) {
  const [left, setLeft] = useState(() => firstChoice(catalog)), [right, setRight] = useState(() => secondChoice(catalog)), [blind, setBlind] = useState(true);
  const [question, setQuestion] = useState(() => recall(QUESTION)), [sides, setSides] = useState(null), [ended, setEnded] = useState(0), [said, setSaid] = useState(null), [fault, setFault] = useState(null);
  const stop = useRef(null);
  useEffect(() => () => stop.current?.abort(), []);
  const keep = (text) => { setQuestion(text); remember(QUESTION, text); };

  const start = async (text) => {
    stop.current?.abort();
    const control = new AbortController(), onEnd = () => { if (stop.current === control) setEnded((n) => n + 1); };
    stop.current = control;
    setEnded(0); setSaid(null); setFault(null);
    const requests = [left, right].map((choice) => requestOf(catalog, choice, text));
    if (blind && crypto.getRandomValues(new Uint8Array(1))[0] % 2) requests.reverse();
    const races = requests.map((request, i) => run(request, i ? "right" : "left", control.signal, onEnd));
    setSides({ blind, races });
  };
  const prefer = async (better) => {
    try {
      await post("v1/preferences", { runs: sides.races.map((r) => r.id), better, blind: sides.blind });
      setSaid({ better, kept: true });
    } catch (error) {
      if (error.status === 404 && error.detail.includes("/v1/preferences")) setSaid({ better, kept: false });
      else setFault(error);
    }
  };
  const running = sides !== null && ended < 2, answered = sides?.races.every((r) => r.status === "done"), hidden = sides?.blind && !said;
  const names = hidden ? ["Left", "Right"] : sides?.races.map((r) => r.model) ?? [];
  return html`<h1>Against</h1>
    <${AskForm} catalog=${catalog} question=${question} onQuestion=${keep} running=${running} onAsk=${start} onStop=${() => stop.current?.abort()} word="Ask both" compact=${sides ? (hidden ? "Two pipelines, names hidden" : `${nameOf(catalog, left)} against ${nameOf(catalog, right)}`) : null}>
      <div class="against"><fieldset><legend>One</legend><${Composer} catalog=${catalog} choice=${left} onChoice=${setLeft} name="first pipeline"/></fieldset>
        <fieldset><legend>The other</legend><${Composer} catalog=${catalog} choice=${right} onChoice=${setRight} name="second pipeline"/></fieldset></div>
      <label class="pick blind"><input type="checkbox" checked=${blind} onChange=${(e) => setBlind(e.target.checked)}/><span>Blind: sides are drawn by lot, and names, races and costs stay hidden until you have chosen</span></label><//>
    ${sides ? html`<section class="verdict" aria-label="Which is better"><p class="switch" role="group" aria-label="Which is better">${CHOICES.map(([better, text]) => html`<button key=${better} type="button" disabled=${!answered || said !== null} aria-pressed=${String(said?.better === better)} onClick=${() => prefer(better)}>${text}</button>`)}</p>
      <p role="status" class="quiet">${said ? `${SAID[said.better]}. ${said.kept ? "Kept in the sample bank, as labels of the task preferences." : "It is not kept: this server has no sample bank (quorate serve --bank DIR)."}` : answered ? "Which answer is better?" : running ? "You can choose as soon as both have answered." : "There is nothing to choose: one of them has no answer."}</p>
      ${fault ? html`<${FaultView} fault=${fault}/>` : null}</section>
      <div class="sides">${sides.races.map((race, i) => html`<section key=${race} class="half" aria-label=${i ? "Right" : "Left"}><h2>${names[i]}</h2>${hidden ? html`<${Hidden} race=${race}/>` : html`<${RunView} race=${race} narrow=${true}/>`}</section>`)}</div>` : null}`;
}
