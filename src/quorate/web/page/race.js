// A run as its events make it: cells, votes, nodes, calls and the answer. Knows nothing of how it is drawn.

import { faultOf } from "./api.js";
import { locate, walkInside } from "./nesting.js";

const ENDED = { candidate_finished: "finished", candidate_failed: "failed", candidate_cancelled: "cancelled" };

/** One sample. */
class Cell {
  constructor(index) {
    Object.assign(this, { index, state: "waiting", model: "", text: "", reasoning: "", tokens: 0, started: null, ended: null, candidate: null, number: null, version: 0 });
  }
}

/** The samples that one node draws in one visit, and their votes. */
class Stage {
  constructor(node, round, n) {
    Object.assign(this, { node, round, n, tally: [], risk: null, left: null, stopped: null, classes: new Map() });
    this.cells = Array.from({ length: n }, (_, i) => new Cell(i));
  }

  cell(index) {
    while (this.cells.length <= index) this.cells.push(new Cell(this.cells.length));
    return this.cells[index];
  }

  /** Takes the votes; a class keeps its number, and so its colour, by the first sample that voted for it. */
  count(tally) {
    this.tally = tally.map((cluster) => {
      const first = Math.min(...cluster.voters);
      if (!this.classes.has(first)) this.classes.set(first, this.classes.size);
      return { ...cluster, number: this.classes.get(first) };
    });
    const voters = new Map(this.tally.flatMap((c) => c.voters.map((v) => [v, c.number])));
    for (const cell of this.cells) {
      const number = voters.get(cell.index) ?? null;
      if (cell.number !== number) { cell.number = number; cell.version++; }
    }
  }

  get finished() { return this.cells.filter((c) => c.state === "finished"); }
}

export class Race {
  constructor(request = null) {
    Object.assign(this, {
      request, id: null, status: "asking", model: request?.model ?? "", graph: null, calls: 0, priced: false, at: 0, fault: null, reply: null,
      stages: [], nodes: new Map(), inside: new Map(), upstream: new Map(), answer: { text: "", reasoning: "" }, onChange: null, replayed: false, side: "", begun: performance.now(),
    });
  }

  /** Takes one event of `/v1/events`. */
  take(event) {
    this.at = Math.max(this.at, event.at ?? 0);
    this[`on_${event.type}`]?.(event);
    this.onChange?.();
  }

  /** Seconds since it was asked; of one that runs, by this browser's clock. */
  get elapsed() { return this.running && !this.replayed ? Math.max(this.at, (performance.now() - this.begun) / 1000) : this.at; }

  /** It did not come to its end. */
  fail(fault) {
    this.fault = fault;
    this.#end("failed");
  }

  /** Whoever asked has left it. */
  leave() { this.#end("left"); }

  #end(status) {
    this.status = status;
    for (const stage of this.stages) for (const cell of stage.cells) {
      if (cell.state === "writing") { cell.state = "cancelled"; cell.version++; }
    }
    for (const node of [...this.nodes.values(), ...this.inside.values()]) if (node.state === "running") Object.assign(node, { state: "ended", running: 0 });
    this.onChange?.();
  }

  /** What a part of this run is called, where another run stands beside it. */
  label(text) { return this.side ? `${text}, ${this.side}` : text; }

  get running() { return this.status === "asking" || this.status === "running"; }
  get quorate() { return this.reply?.quorate ?? null; }
  get text() { return this.reply?.choices[0].message.content ?? this.answer.text; }
  get reasoning() { return this.reply?.choices[0].message.reasoning_content ?? this.answer.reasoning; }

  on_run(event) {
    Object.assign(this, { id: event.id, model: event.model, graph: event.graph, calls: event.calls, models: event.models, priced: event.priced, status: "running" });
    for (const node of event.graph?.nodes ?? []) {
      this.nodes.set(node.name, { ...node, state: "waiting", visits: 0, seconds: 0, outcome: "" });
    }
    if (event.graph) walkInside(event.graph, (place, node) => this.inside.set(place, { ...node, state: "waiting", running: 0, visits: 0, seconds: 0, outcome: "", asked: 0, done: 0 }));
    if (event.graph === null) this.stages.push(new Stage("answer", 1, 1));
    else {
      const first = event.graph.nodes.find((node) => node.samples !== null);
      if (first) this.stages.push(new Stage(first.name, 1, first.samples));
    }
  }

  on_node_started({ thread, node }) {
    if (thread !== "") {
      const inner = this.#inner(thread, node);
      if (inner) Object.assign(inner, { state: "running", running: inner.running + 1, visits: inner.visits + 1 });
      return;
    }
    const known = this.nodes.get(node);
    if (!known) return;
    Object.assign(known, { state: "running", visits: known.visits + 1 });
    if (known.samples !== null) {
      const round = this.stages.filter((s) => s.node === node && s.begun).length + 1;
      const waiting = this.stages.find((s) => s.node === node && !s.begun);
      const stage = waiting ?? new Stage(node, round, known.samples);
      stage.begun = true;
      if (!waiting) this.stages.push(stage);
    }
  }

  on_node_ended({ thread, node, seconds, outcome }) {
    if (thread !== "") {
      const inner = this.#inner(thread, node);
      if (inner) Object.assign(inner, { running: inner.running - 1, seconds: inner.seconds + seconds, outcome, state: inner.running > 1 ? "running" : "ended" });
      return;
    }
    const known = this.nodes.get(node);
    if (known) Object.assign(known, { state: "ended", seconds: known.seconds + seconds, outcome });
  }

  /** A node of a pipeline inside this one. */
  #inner(thread, node) { return this.graph ? this.inside.get(`${locate(this.graph, thread)}|${node}`) : undefined; }

  #stage(node) {
    let stage = this.stages.findLast((s) => s.node === node);
    if (!stage) { stage = new Stage(node, 1, this.nodes.get(node)?.samples ?? 0); stage.begun = true; this.stages.push(stage); }
    return stage;
  }

  on_candidate_started({ node, index, model, at }) {
    const cell = this.#stage(node).cell(index);
    Object.assign(cell, { state: "writing", model, started: at, version: cell.version + 1 });
  }

  on_tokens({ pieces }) {
    for (const piece of pieces) {
      const cell = this.#stage(piece.node).cell(piece.index);
      cell[piece.reasoning ? "reasoning" : "text"] += piece.text;
      cell.tokens += piece.tokens;
      cell.version++;
    }
  }

  #ended({ type, node, candidate, at }) {
    const cell = this.#stage(node).cell(candidate.index);
    Object.assign(cell, {
      state: ENDED[type], candidate, ended: at, model: candidate.agent || candidate.model, text: candidate.text || cell.text,
      reasoning: candidate.reasoning ?? cell.reasoning, tokens: candidate.usage.completion_tokens || cell.tokens, version: cell.version + 1,
    });
  }

  on_candidate_finished(event) { this.#ended(event); }
  on_candidate_failed(event) { this.#ended(event); }
  on_candidate_cancelled(event) { this.#ended(event); }

  on_tally({ node, tally, risk, left }) {
    const stage = this.#stage(node);
    stage.count(tally);
    Object.assign(stage, { risk, left });
  }

  on_stopped({ node, reason, code }) { this.#stage(node).stopped = { reason, code }; }

  on_answer({ text, reasoning }) { this.answer[reasoning ? "reasoning" : "text"] += text; }

  on_call_started(event) {
    const inner = event.thread && this.#inner(event.thread, event.node);
    if (inner) inner.asked++;
    this.upstream.set(event.call, { ...event, from: event.at, to: null, retries: [], outcome: "" });
  }

  on_call_retried({ call, code, status, at }) { this.upstream.get(call)?.retries.push({ code, status, at }); }
  on_call_ended({ call, outcome, tries, usage, at }) {
    const known = this.upstream.get(call);
    if (!known) return;
    Object.assign(known, { outcome, tries, usage, to: at });
    const inner = known.thread && this.#inner(known.thread, known.node);
    if (inner) inner.done++;
  }

  on_done({ reply }) {
    this.reply = reply;
    this.status = "done";
    const { tally, candidates = [] } = reply.quorate;
    const last = this.stages.findLast((s) => s.cells.some((c) => c.state !== "waiting"));
    if (last && tally.length && tally.every((c) => c.voters.every((v) => last.cells[v]?.state === "finished"))) last.count(tally);
    // What came after a rule had decided has no vote, and is told as cancelled only here.
    for (const candidate of candidates) {
      const cell = last?.cells[candidate.index];
      if (cell?.state === "finished" && candidate.finish_reason === "cancelled") Object.assign(cell, { state: "late", version: cell.version + 1 });
    }
    if (this.graph === null && candidates.length === 0) this.#single(reply);
  }

  /** A single model's answer is its only sample. */
  #single(reply) {
    const cell = this.stages[0].cell(0);
    Object.assign(cell, { state: "finished", text: this.text, reasoning: this.reasoning ?? "", model: reply.model, tokens: reply.usage.completion_tokens, ended: this.at, version: cell.version + 1 });
    cell.started ??= 0;
  }

  on_error({ error }) { this.fail(faultOf(error, STATUS[error.code] ?? (error.type === "server_error" ? 502 : 0))); }

  /** Candidates of the stage that the answer was made of. */
  get decisive() { return this.stages.findLast((s) => s.tally.length) ?? this.stages.findLast((s) => s.finished.length) ?? this.stages[0] ?? null; }

  /** The sample whose text the answer is; null where it was written anew. */
  get winner() {
    const stage = this.decisive, text = this.text;
    return this.reply && stage ? stage.cells.find((c) => c.candidate && c.candidate.text === text && c.state === "finished") ?? null : null;
  }
}

const STATUS = { unknown_model: 404, rate_limit_exceeded: 429, insufficient_quota: 429, not_allowed: 403, invalid_api_key: 401 };
