// A run shown again: with the events as they were sent where the server has them, else with those that its trace implies.

import { get, getText } from "./api.js";
import { Race } from "./race.js";

/** The trace of an id, and the events of its run. */
export async function loadRun(id) {
  const name = encodeURIComponent(id), trace = await get(`v1/traces/${name}`);
  if (trace.watched) {
    const text = await getText(`v1/events/${name}`);
    const events = text.split("\n\n").filter((f) => f.startsWith("data: ")).map((f) => JSON.parse(f.slice(6)));
    return { trace, events, request: requestOf(trace) };
  }
  const model = await get(`v1/models/${trace.model.split("/").map(encodeURIComponent).join("/")}`).catch(() => null);
  return { trace, events: implied(trace, model?.quorate?.graph ?? null), request: requestOf(trace) };
}

/** The request that a trace is of; null where its texts were not kept. */
function requestOf(trace) {
  if (!trace.question) return null;
  const { temperature, top_p, max_tokens, seed } = trace.question.sampling;
  const known = Object.entries({ temperature, top_p, max_tokens, seed }).filter(([, value]) => value !== null && value !== undefined);
  return { model: trace.model, messages: trace.question.messages, ...Object.fromEntries(known) };
}

/** Events as far as a trace tells: when samples began and ended, not how they grew. */
function implied(trace, graph) {
  const choice = trace.choices[0] ?? { candidates: [], moments: [], calls: [], answer: null };
  const ends = choice.moments.filter((m) => m.what.startsWith("candidate_") && m.what !== "candidate_started");
  const last = ends.at(-1)?.node, byIndex = new Map(choice.candidates.map((c) => [c.index, c]));
  const tally = choice.answer?.tally ?? [], seen = new Set();
  const events = [{ type: "run", at: 0, id: trace.id, model: trace.model, graph: graph ?? guess(choice), calls: 0, models: [], priced: trace.usage.cost !== null }];
  for (const { at, what, thread, node, index, text } of choice.moments) {
    if (what === "node" || what === "node_ended") events.push({ type: what === "node" ? "node_started" : what, at, thread, node: text, seconds: 0, outcome: "" });
    else if (what === "candidate_started") events.push({ type: what, at, node, index, model: text });
    else if (what === "stopped") events.push({ type: "stopped", at, node, reason: text, code: null });
    else if (what.startsWith("candidate_")) {
      const candidate = (node === last && byIndex.get(index)) || { index, model: "", agent: "", text: "", usage: { prompt_tokens: 0, completion_tokens: 0 }, degraded: [], tool_calls: [] };
      events.push({ type: what, at, node, candidate });
      if (node !== last) continue;
      seen.add(index);
      const so_far = tally.map((c) => ({ ...c, voters: c.voters.filter((v) => seen.has(v)) })).filter((c) => c.voters.length).map((c) => ({ ...c, votes: c.voters.length }));
      events.push({ type: "tally", at, node, tally: so_far.sort((a, b) => b.votes - a.votes), risk: null, left: null });
    }
  }
  for (const [i, call] of choice.calls.entries()) {
    events.push({ type: "call_started", at: call.started, call: i, ...call }, { type: "call_ended", at: call.ended, call: i, outcome: call.outcome, tries: call.sent.length, usage: call.usage });
  }
  events.sort((a, b) => a.at - b.at);
  if (choice.answer) events.push({ type: "done", at: trace.seconds, reply: replyOf(trace, choice) });
  else if (trace.error ?? choice.error) events.push({ type: "error", at: trace.seconds, error: { ...(trace.error ?? choice.error), type: "server_error" } });
  return events;
}

/** A graph of the nodes that ran, where the pipeline is no more. */
function guess(choice) {
  const names = [...new Set(choice.moments.filter((m) => m.what === "node" && m.thread === "").map((m) => m.text))];
  if (!names.length) return null;
  const sampling = new Map();
  for (const m of choice.moments) if (m.what === "candidate_started") sampling.set(m.node, Math.max(sampling.get(m.node) ?? 0, m.index + 1));
  const nodes = names.map((name) => ({ name, label: name, answers: name === names.at(-1), models: [], samples: sampling.get(name) ?? null, fallback: null }));
  return { nodes, edges: [["start", names[0]], ...names.slice(1).map((n, i) => [names[i], n]), [names.at(-1), "end"]].map(([source, target]) => ({ source, target, when: "" })) };
}

function replyOf(trace, choice) {
  const { answer } = choice, usage = { ...trace.usage, nodes: trace.nodes.map((n) => ({ node: n.node, model: n.model, ...n.usage })) };
  return {
    model: trace.model, usage: trace.usage, choices: [{ message: { content: answer.text, reasoning_content: answer.reasoning ?? "" } }],
    quorate: { ...answer, usage, candidates: choice.candidates },
  };
}

/** The run as it was in the end. */
export function finalRace({ events, request, trace }) {
  const race = new Race(request);
  race.replayed = true;
  for (const event of events) race.take(event);
  if (race.running) race.leave();
  if (trace.status === 499) race.status = "left";
  return race;
}

/** Plays the run again; calls back with each new state, and returns what stops it. */
export function play({ events, request }, speed, onRace) {
  const race = new Race(request), from = performance.now();
  let next = 0, frame = 0;
  race.replayed = true;
  onRace(race);
  const step = () => {
    const now = (speed * (performance.now() - from)) / 1000;
    while (next < events.length && (events[next].at ?? now) <= now) race.take(events[next++]);
    if (race.running && next < events.length) race.at = now;
    race.onChange?.();
    if (next < events.length) frame = requestAnimationFrame(step);
    else if (race.running) race.leave();
  };
  frame = requestAnimationFrame(step);
  return () => cancelAnimationFrame(frame);
}
