// The page: what its address says is shown. `#` asks, `#run/ID` shows a run again, `#traces` lists them.

import { html, render, useEffect, useRef, useState } from "./html.js";
import { Fault, getKey, onKeyWanted, recall, remember, setKey, watch } from "./api.js";
import { AskForm, Composer } from "./ask.js";
import { firstChoice, loadCatalog, nameOf, requestOf } from "./compose.js";
import { Race } from "./race.js";
import { colour, textOf } from "./words.js";

const PLACES = [["", "Race"], ["against", "Against"], ["traces", "Traces"], ["evaluations", "Evaluations"]];
const lazy = { run: () => import("./run.js"), fault: () => import("./fault.js"), traces: () => import("./traces.js"), against: () => import("./against.js"), evaluations: () => import("./evaluations.js") };
const QUESTION = "quorate-question";
const INTRO = [
  ["They race", "Every sample has a cell that fills as it is written, and takes the colour of its answer as soon as votes are counted."],
  ["It stops in time", "The needle shows the chance that the samples left change the winner. Where next to none is left, they are not paid for."],
  ["You see why", "The answer with its votes, what the minority says line by line, and what it cost beside one sample and beside all."],
];

/** A module that is loaded when it is first shown. */
function useModule(name) {
  const [module, setModule] = useState(null);
  useEffect(() => { if (name) lazy[name]().then(setModule); }, [name]);
  return module;
}

/** The id in an address, however it was mangled on its way here. */
function readId(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function useAddress() {
  const [address, setAddress] = useState(location.hash.slice(1));
  useEffect(() => {
    const read = () => setAddress(location.hash.slice(1));
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);
  return address;
}

function Theme() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme);
  const other = theme === "dark" ? "light" : "dark";
  const change = () => {
    document.documentElement.dataset.theme = other;
    try { localStorage.setItem("quorate-theme", other); } catch { /* Then it is for this visit. */ }
    setTheme(other);
  };
  return html`<button type="button" class="theme" onClick=${change}>${other === "dark" ? "Dark" : "Light"}</button>`;
}

/** Where the server's key is typed in. */
function KeyForm({ wanted, onKey }) {
  const [text, setText] = useState(""), has = getKey() !== "";
  if (!wanted) return null;
  const submit = (event) => { event.preventDefault(); setKey(text.trim()); setText(""); onKey(); };
  return html`<div role="alert"><form class="key" onSubmit=${submit}><h2>This server wants a key</h2>
    <p>${has ? "It does not know the key that this tab has: it was mistyped, has expired or was taken back." : "Whoever runs it has given you one, or can make one: quorate key NAME."}</p>
    <p class="go"><label class="field grow">Key<input type="password" autocomplete="off" value=${text} onInput=${(e) => setText(e.target.value)}/></label><button type="submit" class="primary" disabled=${!text.trim()}>Use it</button></p>
    <p class="quiet">It is kept for this tab only, and sent to this server only.</p></form></div>`;
}

/** What there will be to see, for the first minute. */
const Intro = () => html`<ol class="intro" aria-label="What happens">${INTRO.map(([title, words], i) => html`<li key=${i} style=${{ "--c": colour(i) }}><h2><span class="chip" aria-hidden="true">${i + 1}</span> ${title}</h2><p>${words}</p></li>`)}</ol>`;

function RacePage({ catalog, asked, onAsked }) {
  const [choice, setChoice] = useState(() => firstChoice(catalog)), [question, setQuestion] = useState(() => recall(QUESTION));
  const [race, setRace] = useState(null), [running, setRunning] = useState(false), stop = useRef(null), view = useModule(race ? "run" : null);
  const keep = (text) => { setQuestion(text); remember(QUESTION, text); };

  const start = async (request) => {
    stop.current?.abort();
    const mine = new Race(request), control = new AbortController();
    stop.current = control;
    setRace(mine);
    setRunning(true);
    try {
      await watch(request, (event) => {
        mine.take(event);
        if (event.type === "run") history.replaceState(null, "", `#run/${event.id}`);
      }, control.signal);
    } catch (error) {
      if (error.name === "AbortError") mine.leave();
      else mine.fail(error instanceof Fault ? error : new Fault("The page failed", "Load it anew; if that happens again, it is a fault of quorate.", { detail: String(error) }));
    }
    if (stop.current === control) setRunning(false);
  };
  useEffect(() => { if (asked) { onAsked(); keep(textOf(asked.messages.at(-1))); start(asked); } }, [asked]);
  useEffect(() => () => stop.current?.abort(), []);
  const ask = (text) => start(requestOf(catalog, choice, text));
  return html`<${AskForm} catalog=${catalog} question=${question} onQuestion=${keep} running=${running} onAsk=${ask} onStop=${() => stop.current?.abort()} compact=${race ? nameOf(catalog, choice) : null}>
      <${Composer} catalog=${catalog} choice=${choice} onChoice=${setChoice}/><//>
    ${race && view ? html`<${view.RunView} key=${race} race=${race} onAgain=${running ? null : () => ask(question)}/>` : html`<${Intro}/>`}`;
}

function App() {
  const address = useAddress(), [wanted, setWanted] = useState(false), [catalog, setCatalog] = useState(null), [fault, setFault] = useState(null), [asked, setAsked] = useState(null), [own, setOwn] = useState(null);
  const load = () => { setFault(null); setWanted(false); loadCatalog().then(setCatalog, (error) => { if (error.status !== 401) setFault(error); }); };
  useEffect(() => { onKeyWanted(() => setWanted(true)); load(); }, []);
  const id = address.startsWith("run/") ? readId(address.slice(4)) : "";
  const place = id ? "run" : PLACES.some(([name]) => name === address) ? address : "";
  const faultModule = useModule(fault ? "fault" : null), traces = useModule(place === "run" || place === "traces" ? "traces" : null);
  const against = useModule(place === "against" ? "against" : null), evaluations = useModule(place === "evaluations" ? "evaluations" : null);
  const again = (request) => { setAsked(request); location.hash = ""; };
  // What was asked anew by its key must not be asked again by it: so a new key is a new page.
  const body = fault ? faultModule && html`<${faultModule.FaultView} fault=${fault} onAgain=${load}/>`
    : place === "run" ? traces && html`<${traces.RunPage} key=${address} id=${id} onAsk=${again}/>`
      : place === "traces" ? traces && html`<${traces.TraceList}/>`
        : !catalog ? (wanted ? null : html`<p class="quiet">Asking the server what it has\u2026</p>`)
          : place === "against" ? against && html`<${against.AgainstPage} catalog=${catalog}/>`
            : place === "evaluations" ? evaluations && html`<${evaluations.EvaluationsPage}/>`
              : html`<${RacePage} catalog=${catalog} asked=${asked} onAsked=${() => setAsked(null)}/>`;
  return html`<a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); document.getElementById("main").focus(); }}>To the content</a>
    <header class="top"><div class="bar"><a class="brand" href="#">quorate</a><nav aria-label="Places">${PLACES.map(([name, text]) => html`<a href=${`#${name}`} aria-current=${place === name ? "page" : undefined}>${text}</a>`)}</nav><${Theme}/></div></header>
    <main id="main" tabindex="-1">${place === "" ? html`<h1 class="hero">Many answers in, one better answer out.</h1>` : null}<${KeyForm} wanted=${wanted} onKey=${() => { setOwn(Date.now()); load(); }}/><div key=${own} class="place">${body}</div></main>`;
}

render(html`<${App}/>`, document.getElementById("app"));
document.documentElement.dataset.ready = "yes";
