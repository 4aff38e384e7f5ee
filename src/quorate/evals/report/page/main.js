// Puts the page together.

function themed() {
  const button = byId("theme"), prefers = matchMedia("(prefers-color-scheme: dark)");
  let own = null;
  try { own = localStorage.getItem("quorate-theme"); } catch { /* A file opened from disk may not keep anything. */ }
  const apply = () => {
    const dark = own === null ? prefers.matches : own === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Light" : "Dark";
  };
  button.addEventListener("click", () => {
    own = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("quorate-theme", own); } catch { /* As above. */ }
    apply();
  });
  prefers.addEventListener("change", apply);
  apply();
}

function pairsChooser() {
  byId("pairs-of")?.addEventListener("change", (event) => {
    for (const row of document.querySelectorAll("table.pairs tbody tr")) {
      row.hidden = event.target.value !== "" && ![row.dataset.a, row.dataset.b].includes(event.target.value);
    }
  });
}

/** Looks through every sample, block by block, telling of what it finds; a newer search ends it. */
async function deepSearch(index, words, valid, onFound) {
  for (let b = 0; b < index.starts.length && valid(); b++) {
    const questions = await unpacked(`block-${b}`);
    questions.forEach((full, i) => {
      const said = [...full.samples.flatMap((s) => [s.text, s.reasoning, s.answer, s.error]), ...full.given.flatMap((g) => [g?.text, g?.answer])];
      if (said.some((text) => text?.toLowerCase().includes(words))) onFound(index.starts[b] + i);
    });
    if (b % 8 === 7) onFound(null, (b + 1) / index.starts.length);
  }
}

function explorer(index) {
  const form = byId("filters"), found = byId("found"), view = byId("question");
  const value = (id) => byId(id)?.value ?? "";
  const read = () => Object.fromEntries(["search", "system", "verdict", "against", "votes", "family", "order"].map((id) => [id, value(id)]));
  const option = (text, number) => make("option", { value: number }, text);
  byId("system").append(...(index.systems.length ? index.systems.map(option) : [option("none", "")]));
  byId("against").append(option("\u2013", ""), ...index.systems.map(option));
  byId("family")?.append(option("all families", ""), ...index.clusters.map(option));

  let search = 0, shownFor = -1;
  const list = new List(index, byId("list"), async (number, quiet) => {
    shownFor = number;
    const at = index.starts.findLastIndex((start) => start <= number);
    const full = (await block(at))[number - index.starts[at]];
    if (shownFor !== number) return;
    view.replaceChildren(...questionView(index, number, full, value("search").trim().toLowerCase(), step));
    view.scrollTop = 0;
    if (quiet) return;
    try { history.replaceState(null, "", `#q=${encodeURIComponent(index.id[number])}`); } catch { /* Not where the file was opened from a frame. */ }
  });
  const step = (by) => {
    const position = list.shown.indexOf(list.chosen) + by;
    if (position >= 0 && position < list.shown.length) list.choose(list.shown[position], { scroll: true });
  };
  const tell = (doing = "") => { found.textContent = `${plural(list.shown.length, "question")} of ${count(index.id.length)}${doing}`; };

  const apply = async () => {
    const mine = ++search, words = value("search").trim().toLowerCase(), deep = new Set();
    const refresh = (doing) => { list.show(fitting(index, list, read(), deep)); tell(doing); };
    const first = (doing) => { refresh(doing); if (list.shown.length && !list.shown.includes(list.chosen)) list.choose(list.shown[0]); };
    first(words && byId("deep").checked ? ", looking through the samples\u2026" : "");
    if (!words || !byId("deep").checked) return;
    await deepSearch(index, words, () => mine === search, (number, done) => {
      if (number !== null) deep.add(number); else refresh(`, looked through ${(100 * done).toFixed(0)} %\u2026`);
    });
    if (mine === search) first("");
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", apply);
  byId("search").addEventListener("input", settled(150, apply));
  form.addEventListener("reset", () => setTimeout(apply));
  list.show(index.id.map((_, i) => i));
  tell();
  const wanted = index.id.indexOf(decodeURIComponent(location.hash.match(/^#q=(.*)$/)?.[1] ?? ""));
  if (index.id.length) list.choose(Math.max(0, wanted), { scroll: true, quiet: true });
  if (wanted >= 0) byId("questions").scrollIntoView();
}

async function start() {
  themed();
  pairsChooser();
  const charts = await unpacked("charts-data");
  const plots = [...(byId("scaling-chart") ? [scalingPlot(byId("scaling-chart"))] : []), costPlot(byId("cost-chart"))];
  plots.forEach((show) => show(charts));
  let width = innerWidth;
  addEventListener("resize", settled(120, () => { if (innerWidth !== width) { width = innerWidth; plots.forEach((show) => show()); } }));
  explorer(await unpacked("index-data"));
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => { byId("found").textContent = `This browser cannot unpack the questions (${error.message}); one of 2023 or later can.`; });
