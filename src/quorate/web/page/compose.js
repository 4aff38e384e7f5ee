// What can be asked, and how a choice of pipeline, models and samples becomes a request.

import { get } from "./api.js";

const heads = new Map(), whole = new Set(); // built-in pipelines by name, and names of models and pipelines that may look like theirs

/** A name in parts, as the server reads it: the built-in pipeline, its number of samples, what it is over; null of any other name. */
export function readName(text) {
  const [, head, rest] = /^([^/]*)\/(.+)$/.exec(text) ?? [null, text, ""], [name, n] = head.split("@");
  if (whole.has(text) || !heads.has(name)) return null;
  const models = rest === "" ? heads.get(name).models : whole.has(rest) || readName(rest) ? [rest] : rest.split("+");
  return { name, n: n ? Number(n) : heads.get(name).n ?? null, models };
}

/** Everything that the key may ask: configured pipelines, built-in ones, single models, stopping rules. */
export async function loadCatalog() {
  const [{ data }, openapi] = await Promise.all([get("v1/models"), get("openapi.json")]);
  const built = data.filter((m) => m.quorate?.source !== undefined).map((m) => ({ id: m.id, name: m.quorate.pipeline, ...m.quorate }));
  const configured = data.filter((m) => m.kind === "pipeline" && m.quorate?.source === undefined);
  const models = data.filter((m) => m.kind !== "pipeline");
  for (const m of [...models, ...configured]) whole.add(m.id);
  for (const p of built) heads.set(p.name, p);
  return {
    configured: configured.map((m) => ({ id: m.id, ...m.quorate })),
    built: [...new Set(built.map((p) => p.name))].map((name) => {
      const same = built.filter((p) => p.name === name);
      return { ...same[0], models: [...new Set(same.flatMap((p) => p.models))] };
    }),
    models: models.map((m) => ({ id: m.id, kind: m.kind, capabilities: m.quorate?.capabilities ?? [] })),
    rules: openapi.components.schemas.StopConfig?.properties.rule.enum ?? [],
  };
}

/** Whether an entry's models write token by token. */
export const isEnsemble = (entry) => entry?.n === undefined && entry?.fewest !== undefined;

/** What an entry can be over: models, and for what reads whole answers configured pipelines, too; a key may ask some only inside of it. */
export function membersFor(catalog, entry) {
  const known = isEnsemble(entry) ? catalog.models.filter((m) => m.capabilities.includes("tokens")) : [...catalog.models, ...catalog.configured];
  return [...known, ...(entry?.models ?? []).filter((id) => !known.some((m) => m.id === id)).map((id) => ({ id }))];
}

/** The entries by section, in the order of the server. */
export function sectionsOf(catalog) {
  const sections = new Map();
  for (const entry of catalog.built) sections.set(entry.section, [...(sections.get(entry.section) ?? []), entry]);
  return [...sections];
}

/** What is chosen at first: a vote that stops as soon as the rest would change nothing. */
export function firstChoice(catalog) {
  const named = (name) => catalog.built.find((p) => p.name === name);
  const pipeline = named("look-ahead") ?? named("majority") ?? catalog.built[0] ?? catalog.configured[0] ?? catalog.models[0];
  return choose(catalog, pipeline?.name ? `built:${pipeline.name}` : catalog.configured.length ? `own:${pipeline.id}` : `model:${pipeline?.id ?? ""}`);
}

/** The choice of an entry, with that entry's own settings. */
export function choose(catalog, value, before = {}) {
  const [kind, name] = [value.slice(0, value.indexOf(":")), value.slice(value.indexOf(":") + 1)];
  const entry = kind === "built" ? catalog.built.find((p) => p.name === name) : kind === "own" ? catalog.configured.find((p) => p.id === name) : null;
  const able = membersFor(catalog, entry).map((m) => m.id);
  const known = (before.models ?? []).filter((id) => able.includes(id)).slice(0, entry?.most ?? Infinity);
  const more = able.filter((id) => !known.includes(id)).slice(0, Math.max(0, (entry?.fewest ?? 1) - known.length));
  return { temperature: "", tokens: "", seed: "", budget: "", ...before, value, kind, name, typed: null, stop: "", n: entry?.n ?? null, models: [...known, ...more] };
}

/** A member of a choice without the pipeline around it. */
export const bareOf = (member) => readName(member)?.models.join("+") ?? member;

/** The choice with one more model, or without it: never fewer than its entry takes, and a newer one in place of one too many. */
export function toggle(catalog, choice, id) {
  const entry = entryOf(catalog, choice), models = choice.models.map(bareOf), without = models.filter((m) => m !== id);
  if (without.length < models.length) return without.length < (entry?.fewest ?? 1) ? choice : { ...choice, models: without, typed: null };
  return { ...choice, models: [...without.slice(0, (entry?.most ?? Infinity) - 1), id], typed: null };
}

/** The built-in pipelines by which the last member can be asked. */
export const innerPipelines = (catalog, choice) => catalog.built.filter((p) => p.n && !(p.fewest > 1) && p.name !== choice.name);

/** The choice whose last member is asked by a built-in pipeline, or alone: in the first place a name would mean a pipeline over all of them. */
export function askLastBy(catalog, choice, name) {
  const last = bareOf(choice.models.at(-1)), pipeline = catalog.built.find((p) => p.name === name);
  return { ...choice, models: [...choice.models.slice(0, -1), pipeline ? `${name}@${pipeline.n}/${last}` : last], typed: null };
}

/** The entry that is chosen. */
export function entryOf(catalog, choice) {
  if (choice.kind === "built") return catalog.built.find((p) => p.name === choice.name);
  return catalog.configured.find((p) => p.id === choice.name) ?? catalog.models.find((m) => m.id === choice.name);
}

/** The name under which the server knows the choice. */
export function nameOf(catalog, choice) {
  if (choice.typed !== null) return choice.typed.trim();
  if (choice.kind === "built") return `${choice.name}${choice.n === null ? "" : `@${choice.n}`}/${choice.models.join("+")}`;
  const entry = entryOf(catalog, choice);
  return choice.kind === "own" && choice.n !== null && choice.n !== entry?.n ? `${choice.name}@${choice.n}` : choice.name;
}

/** The body of the request. */
export function requestOf(catalog, choice, question) {
  const number = (text) => (text === "" ? undefined : Number(text));
  const quorate = { ...(choice.stop ? { stop: choice.stop } : {}), ...(choice.budget ? { budget: { tokens: Number(choice.budget) } } : {}) };
  const body = {
    model: nameOf(catalog, choice), messages: [{ role: "user", content: question }], temperature: number(choice.temperature),
    max_tokens: number(choice.tokens), seed: number(choice.seed), quorate: Object.keys(quorate).length ? quorate : undefined,
  };
  return JSON.parse(JSON.stringify(body));
}

const TINY = [
  "Mia counts 8 albums of 34 shells. There are also 3 cases with 52 shells each. Mia trades away 47 shells. At an auction Mia wins 143 shells. How many shells are left for Mia?",
  "At 24 dollars for 4 cheeses, Leo needs 5 cheeses. How many dollars is that in all?",
  "What is 17 * 24?",
];
const ANY = [
  "What is the capital of Australia?",
  "A bat and a ball cost 1.10 in total. The bat costs 1.00 more than the ball. What does the ball cost?",
  "How many prime numbers are there below 60?",
];

/** Questions to begin with: of the kind that the models know which ship inside the package, where there are no others. */
export const examplesFor = (catalog) => (catalog.models.every((m) => m.kind === "embedded" && !m.id.includes("smollm")) ? TINY : ANY);
