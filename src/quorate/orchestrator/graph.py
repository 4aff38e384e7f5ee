"""A graph of named nodes is a model.

A node is an asynchronous function from the state so far to its own part of it. An edge leads on always, or where
its condition holds. A node runs once everything on its way to it has ended; nodes that are ready run side by side.
What has happened is a list of visits, from which all else follows: what a node reads, what is ready, what is left
to do after a crash. So the loop below and LangGraph's (`checkpoints`) run the same nodes in the same order.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any, Protocol, Self, cast, runtime_checkable

from pydantic import Field

from .context import Budget, Ledger, RunContext
from .errors import BadGraph, BadInput, NoAnswer, TimedOut
from .events import AnswerToken, Event, NodeEnded, NodeStarted
from .model import ModelBase
from .partial import failure_of
from .protocols import Model
from .types import Answer, Candidate, Degradation, Frozen, Identity, NodeUsage, NodeVisit, Question, Sampled, Saving

__all__ = ["ELSE", "END", "START", "Choice", "Condition", "Edge", "Graph", "Node", "Result", "State", "Visit"]

START, END = "__start__", "__end__"
ELSE = "else"
"""The condition of an edge that is taken where no other edge of its node is."""
LOOP = 16
"""How often a node in a loop runs at most, unless it says otherwise."""
MAX_CALLS = 100_000
"""More answers of single models than this one answer may never take."""
BEGINNING = -1
"""In place of a visit: the node was led to from the start."""
SLACK = 0.1
"""Seconds beyond a deadline in which a node may end by itself, with the best that it has."""


class Choice(Frozen):
    """What a node has decided, in words that conditions read; candidates and answers pass by it."""

    chosen: str
    why: str = ""


Result = Sampled | Answer | Choice


class Visit(Frozen):
    """One run of one node: what came of it, where it led, and what it cost."""

    node: str
    inputs: tuple[int, ...] = ()
    """The visits that led to it, by their places in the list of all."""
    result: Result | None = None
    """None where it failed, and its fallback took over."""
    edges: Mapping[str, str] = Field(default_factory=dict)
    """The nodes that it led to, each with the words of the condition that held; empty words for a plain edge."""
    degraded: tuple[Degradation, ...] = ()
    usage: tuple[NodeUsage, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class State:
    """The question and all that has happened since."""

    question: Question
    visits: tuple[Visit, ...] = ()
    inputs: tuple[int, ...] = ()
    """The visits that led to the node that looks at it; for a condition, the one whose edges are asked about."""
    tokens_left: int | None = None
    """For a condition: of the budget; None where tokens are not limited."""

    @property
    def results(self) -> tuple[Result, ...]:
        """What the node reads: the results that led to it; a choice hands on what it has read itself."""
        return tuple(self._handed_on(self.inputs))

    def _handed_on(self, places: Sequence[int]) -> Iterator[Result]:
        for place in places:
            visit = self.visits[place]
            if visit.result is None or isinstance(visit.result, Choice):
                yield from self._handed_on(visit.inputs)
            else:
                yield visit.result

    @property
    def sampled(self) -> Sampled:
        """The candidates that the node reads: those of one stage as they are, else all of them, numbered anew.

        An answer counts as a candidate. Of one that chose among candidates, it is the text that counts.
        """
        results = self.results
        if len(results) == 1 and isinstance(results[0], Sampled):
            return results[0]
        found: list[Candidate] = []
        degraded: list[Degradation] = []
        for result in results:
            if isinstance(result, Sampled):
                found += result.candidates
                degraded += result.degraded
            elif isinstance(result, Answer):
                found.append(_as_candidate(result))
        numbered = [c.model_copy(update={"index": place}) for place, c in enumerate(found)]
        return Sampled(candidates=tuple(numbered), degraded=tuple(degraded))

    @property
    def answer(self) -> Answer | None:
        """The answer that the node reads, if it is one."""
        return next((r for r in self.results if isinstance(r, Answer)), None)

    @property
    def choice(self) -> Choice | None:
        """What the node before has decided, if it has."""
        results = [self.visits[place].result for place in self.inputs]
        return next((r for r in results if isinstance(r, Choice)), None)

    def visited(self, node: str) -> int:
        """How often a node has run."""
        return sum(visit.node == node for visit in self.visits)

    def last(self, node: str) -> Result | None:
        """The latest result of a node."""
        return next((v.result for v in reversed(self.visits) if v.node == node), None)


def _as_candidate(answer: Answer) -> Candidate:
    return Candidate(
        index=0,
        model=answer.model,
        agent=answer.model,
        text=answer.text,
        answer=answer.answer,
        reasoning=answer.reasoning,
        tool_calls=answer.tool_calls,
        finish_reason=answer.finish_reason,
        usage=answer.usage,
    )


@runtime_checkable
class Condition(Protocol):
    """When an edge is taken; its `str` is what is drawn."""

    def holds(self, state: State) -> str | None:
        """Why the edge is taken, in words; None if it is not. `state.results` are those of the edge's node."""
        ...


@dataclass(frozen=True)
class Predicate:
    """A function of the state as a condition; a text that it returns is the reason."""

    function: Callable[[State], bool | str | None]

    def holds(self, state: State) -> str | None:
        """See `Condition`."""
        told = self.function(state)
        return told if isinstance(told, str) else str(self) if told else None

    def __str__(self) -> str:
        name: str = getattr(self.function, "__name__", "<lambda>")
        return "a condition" if name == "<lambda>" else name.replace("_", " ")


@dataclass(frozen=True)
class Edge:
    """Leads from one node to the next: always, where a condition holds, or (`ELSE`) where no other edge is taken."""

    source: str
    target: str
    when: Condition | Callable[[State], bool | str | None] | str | None = None

    def __post_init__(self) -> None:
        if self.when is None or self.when == ELSE or isinstance(self.when, Condition):
            return
        if not callable(self.when):
            raise BadGraph(
                f"the edge {self} has the condition {self.when!r}: give a Condition, a function, or {ELSE!r}"
            )
        object.__setattr__(self, "when", Predicate(self.when))

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"


@dataclass(frozen=True)
class Node:
    """One step of a graph; what it does is in its subclasses."""

    name: str
    _: KW_ONLY
    seconds: float | None = None
    """Its own deadline; then it ends with the best that it has."""
    budget: Budget | None = None
    """Its own limits, beside those of the whole."""
    fallback: str | None = None
    """The node that takes its place where it fails."""
    max_visits: int | None = None
    """How often it runs in one answer at most, then no edge leads to it any more; `LOOP` in a loop if not given."""

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model that it may ask."""
        return ()

    def calls_for(self, n: int) -> int:  # noqa: ARG002 - for those who read candidates
        """Most answers of single models that one visit takes which reads n candidates."""
        return 0

    def gives(self, n: int) -> int:
        """Most candidates that it gives where it reads n; an answer counts as one."""
        return 1 if self.answers else n

    @property
    def label(self) -> str:
        """What it does, as it is drawn."""
        return self.name

    @property
    def answers(self) -> bool:
        """Whether it gives an answer; only such a node may lead to the end."""
        return False

    @abstractmethod
    async def run(self, state: State, run: RunContext) -> Result:
        """What it makes of the state.

        Raises:
            QuorateError: nothing.
        """

    def with_n(self, old: int, n: int) -> Self:  # noqa: ARG002 - for those who draw as many as the first stage
        """The same node in a graph whose first stage draws n candidates instead of so many."""
        return self

    def map_models(self, change: Callable[[Model], Model]) -> Self:  # noqa: ARG002 - for those who propose
        """The same node with other proposers."""
        return self


class Graph(ModelBase):
    """Nodes and edges, from `START` to `END`; the answer of the node that leads to the end is the graph's.

    Args:
        nodes: in the order in which they are drawn; names are unique.
        edges: `START` leads to the first ones.
        name: how it is called in answers, configuration and on the wire.

    Raises:
        BadGraph: a node is named twice, an edge leads nowhere, a node cannot be reached or has no way to the end, a
            loop has no exit, or one answer could take more than `MAX_CALLS` answers of single models.
    """

    def __init__(self, nodes: Sequence[Node], edges: Sequence[Edge], *, name: str) -> None:
        self.name = name
        self.edges = tuple(edges)
        self.nodes: dict[str, Node] = {}
        for node in nodes:
            if node.name in self.nodes or node.name in (START, END):
                raise BadGraph(
                    f"{name}: two nodes are named {node.name!r}; give each a name of its own", node=node.name
                )
            self.nodes[node.name] = node
        self._out: dict[str, list[Edge]] = {source: [] for source in (START, *self.nodes)}
        _Check(self).run()

    @property
    def identity(self) -> Identity:
        """A pipeline of all its models."""
        return Identity(kind="pipeline", model=self.name, members=tuple(model.identity for model in self.parts))

    @property
    def parts(self) -> tuple[Model, ...]:
        """Every model that its nodes may ask, once."""
        return tuple({id(m): m for node in self.nodes.values() for m in node.models}.values())

    @cached_property
    def calls(self) -> int:
        """Of all nodes, those in loops as often as they may run."""
        read = _Check(self).most_read()
        return sum(node.calls_for(read[name]) * self.most_visits(name) for name, node in self.nodes.items())

    def most_visits(self, name: str) -> int:
        """How often a node can run in one answer."""
        given = self.nodes[name].max_visits
        return (LOOP if name in self._looping else 1) if given is None else given

    def edges_from(self, name: str) -> Sequence[Edge]:
        """In the order in which they are asked."""
        return self._out[name]

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        """The same graph over other proposers."""
        return self.replace([node.map_models(change) for node in self.nodes.values()])

    def with_name(self, name: str) -> Self:
        """The same graph under another name."""
        return self.replace(self.nodes.values(), name=name)

    def replace(self, nodes: Any, *, name: str | None = None) -> Self:
        """The same edges between other nodes of the same names."""
        return type(self)(list(nodes), self.edges, name=name or self.name)

    async def _answer(self, question: Question, run: RunContext) -> Answer:
        """The answer of the last node, with all that is known of how it came about."""
        run = run.replace(ledger=Ledger(run.ledger))
        if run.checkpoints is None:
            state = await self.execute(self.begin(question), run)
        else:
            state = await run.checkpoints.execute(self, question, run)
        return self._complete(state, run)

    # What follows is the executor: `begin`, then `ready` nodes `visit`ed side by side until there are none.

    def begin(self, question: Question) -> State:
        """Before the first node."""
        return State(question=question)

    async def execute(self, state: State, run: RunContext) -> State:
        """Runs whatever is left to do."""
        running: dict[asyncio.Task[Visit], str] = {}
        try:
            while ready := self.ready(state, tuple(running.values())):
                if len(ready) == 1 and not running:
                    state = self.advance(state, await self.visit(ready[0], state, run))
                    continue
                for name in ready:
                    running[asyncio.create_task(self.visit(name, state, run))] = name
                while running and not self.ready(state, tuple(running.values())):
                    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        del running[task]
                        state = self.advance(state, task.result())
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.gather(*running, return_exceptions=True)
        return state

    def pending(self, state: State) -> dict[str, tuple[int, ...]]:
        """The nodes that were led to and have not run since, each with the visits that led to it."""
        waiting: dict[str, tuple[int, ...]] = {edge.target: (BEGINNING,) for edge in self._out[START]}
        for place, visit in enumerate(state.visits):
            left = [p for p in waiting.pop(visit.node, ()) if p != BEGINNING and p not in visit.inputs]
            if left:
                waiting[visit.node] = tuple(left)
            for target in visit.edges:
                waiting[target] = (*waiting.get(target, ()), place)
        return waiting

    def ready(self, state: State, running: Sequence[str] = ()) -> list[str]:
        """The nodes that may run: nothing that still runs or waits is on its way to them.

        What goes around a loop begins anew once nothing in the loop is left of the round before.
        """
        pending = self.pending(state)
        waiting = [name for name in pending if name not in running and name != END]
        if len(waiting) < 2 and not running:
            return waiting
        again = {name for name in waiting if not self._forward(state, name, pending[name])}
        active = {*waiting, *running}
        ready = []
        for name in waiting:
            # The round that runs does not wait for the next one of its loop, but the next one waits for it.
            later = set() if name in again else again & self._loops[name]
            left = self._loops[name] & (active - again) if name in again else set()
            if not self._before[name] & (active - later) and not left:
                ready.append(name)
        return ready

    def _forward(self, state: State, name: str, leads: Iterable[int]) -> list[int]:
        """Those of the visits that led to a node that did not go around a loop."""
        return [p for p in leads if p == BEGINNING or state.visits[p].node in self._before[name]]

    def _inputs(self, state: State, name: str) -> tuple[int, ...]:
        """What a node reads in this round: what has gone around the loop meanwhile is for the next.

        By the order of the nodes in the graph, whichever of them took longer.
        """
        leads = self.pending(state)[name]
        return self._in_order(state, (p for p in self._forward(state, name, leads) or leads if p != BEGINNING))

    def advance(self, state: State, visit: Visit) -> State:
        """After a visit."""
        return replace(state, visits=(*state.visits, visit))

    def blocked_by(self, name: str, state: State) -> list[str]:
        """The nodes that were led to and wait for this one among others."""
        return [
            other for other in self.pending(state) if other != END and name in self._before[other] | self._loops[other]
        ]

    async def visit(self, name: str, state: State, run: RunContext) -> Visit:
        """Runs a node: what it gives, what went wrong, and where it leads."""
        node, inputs = self.nodes[name], self._inputs(state, name)
        page, begun, outcome = Ledger(run.ledger), time.monotonic(), ""
        if run.observed:
            run.emit(NodeStarted(thread=run.thread, node=name))
        result: Result | None = None
        degraded: tuple[Degradation, ...] = ()
        try:
            inner = self._telling(node, run).replace(ledger=page, visit=state.visited(name) + 1)
            inner = inner.at_node(name, seconds=node.seconds, budget=node.budget)
            result = await self._run(node, replace(state, inputs=inputs), inner)
            if not isinstance(result, Choice):
                degraded = result.degraded
            edges = self._plain.get(name)
            if edges is None:
                done = Visit(node=name, inputs=inputs, result=result, degraded=degraded)
                edges = self._choose_edges(name, self.advance(state, done), run)
            outcome = _outcome(result)
        except BadInput:
            raise
        except Exception as error:
            if node.fallback is None:
                raise
            outcome = failure_of(error).message
            degraded = (Degradation(code="node_failed", where=name, detail=outcome),)
            edges = {node.fallback: f"{name} failed"}
        finally:
            seconds = time.monotonic() - begun
            if run.observed:
                run.emit(NodeEnded(thread=run.thread, node=name, seconds=seconds, outcome=outcome))
        return Visit(
            node=name,
            inputs=inputs,
            result=result,
            edges=edges,
            degraded=degraded,
            usage=page.nodes,
            seconds=seconds,
        )

    def _in_order(self, state: State, places: Iterable[int]) -> tuple[int, ...]:
        """Visits by the order of the nodes in the graph."""
        places = tuple(places)
        if len(places) < 2:
            return places
        order = {name: number for number, name in enumerate(self.nodes)}
        return tuple(sorted(places, key=lambda place: (order[state.visits[place].node], place)))

    def _telling(self, node: Node, run: RunContext) -> RunContext:
        """The run of a node: its tokens are the answer's only where nothing can come after it."""
        final = node.fallback is None and all(edge.target == END for edge in self._out[node.name])
        return run if final or not run.observed else run.replace(emit=_Unanswered(run.emit))

    async def _run(self, node: Node, state: State, run: RunContext) -> Result:
        """A node that does not notice that its time is over is ended."""
        if run.deadline is None and run.switch is None:
            return await node.run(state, run)
        try:
            async with run.time_limit(slack=SLACK):
                return await node.run(state, run)
        except TimeoutError as error:
            raise TimedOut(f"{self.name}: node {node.name!r}: {run.timed_out()}") from error

    @cached_property
    def _plain(self) -> dict[str, dict[str, str]]:
        """Where the nodes lead whose edges are always taken."""
        return {
            name: {edge.target: "" for edge in edges}
            for name, edges in self._out.items()
            if all(edge.when is None and edge.target not in self._looping for edge in edges)
        }

    def _choose_edges(self, name: str, state: State, run: RunContext) -> dict[str, str]:
        """The nodes that the edges of a node lead to after its visit, with the words of their conditions.

        An edge whose node has run as often as it may is not taken; where none else holds, a loop is left by the
        first of its other edges.

        Raises:
            BadGraph: a condition raised, or none holds.
        """
        edges = self._out[name]
        here = replace(state, inputs=(len(state.visits) - 1,), tokens_left=run.tokens_left())
        left = [e for e in edges if e.target == END or here.visited(e.target) < self.most_visits(e.target)]
        taken = {e.target: why for e in left if e.when != ELSE and (why := self._reason(e, here)) is not None}
        if not taken:
            taken = {e.target: "" for e in left if e.when == ELSE}
        if not taken and len(left) < len(edges) and left:
            taken = {left[0].target: f"{name} has been visited {here.visited(name)} times"}
        if not taken:
            raise BadGraph(
                f"{self.name}: no edge from {name!r} is taken: give it one with the condition {ELSE!r}", node=name
            )
        return taken

    def _reason(self, edge: Edge, state: State) -> str | None:
        if edge.when is None or isinstance(edge.when, str):
            return ""
        try:
            return cast(Condition, edge.when).holds(state)
        except Exception as error:
            raise BadGraph(
                f"{self.name}: the condition of the edge {edge} raised {error!r}", edge=(edge.source, edge.target)
            ) from error

    def _complete(self, state: State, run: RunContext) -> Answer:
        ends = self._in_order(state, self.pending(state).get(END, ()))
        answer = next((r for p in ends if isinstance(r := state.visits[p].result, Answer)), None)
        if answer is None:
            raise NoAnswer(f"{self.name}: no node has led to an answer")
        visits = [state.visits[place] for place in self._in_order(state, range(len(state.visits)))]
        routes = [
            f"{visit.node if target == END else target}: {why}"
            for visit in visits
            for target, why in visit.edges.items()
            if why
        ]
        return answer.replace(
            model=self.name,
            route=answer.route or "; ".join(routes) or None,
            degraded=tuple(note for visit in visits for note in visit.degraded),
            savings=self._savings(visits),
            usage=run.ledger.usage,
            nodes=run.ledger.nodes,
            path=tuple(
                NodeVisit(node=v.node, seconds=v.seconds, outcome=_outcome(v.result), edges=v.edges)
                for v in state.visits
            ),
        )

    def _savings(self, visits: Sequence[Visit]) -> tuple[Saving, ...]:
        """Of the rules that were only watched."""
        return tuple(
            s for v in visits if v.result is not None and not isinstance(v.result, Choice) for s in v.result.savings
        )

    @cached_property
    def _before(self) -> dict[str, frozenset[str]]:
        """For each node those that can lead to it; of those in a loop with it, without going around the loop."""
        check = _Check(self)
        forward, reach = check.ancestors(), check.reach()
        return {
            name: frozenset(
                other
                for other in self.nodes
                if other != name and (other in forward[name] if other in self._loops[name] else name in reach[other])
            )
            for name in self.nodes
        }

    @cached_property
    def _loops(self) -> dict[str, frozenset[str]]:
        """For each node those that are in a loop with it; none where it is in none."""
        reach = _Check(self).reach()
        return {name: frozenset(o for o in self.nodes if o in reach[name] and name in reach[o]) for name in self.nodes}

    @cached_property
    def _looping(self) -> frozenset[str]:
        """The nodes that can come again."""
        return _Check(self).looping()


def _outcome(result: Result | None) -> str:
    match result:
        case Sampled(candidates=candidates, stopped=stopped):
            return f"{sum(c.ok for c in candidates)} of {len(candidates)} candidates; {stopped}"
        case Answer(answer=answer, text=text):
            return answer or text[:80]
        case Choice(chosen=chosen, why=why):
            return f"{chosen}: {why}" if why else chosen
    return "failed"


class _Unanswered:
    """The observer of a node whose answer may not be the last word: its tokens are not told as the answer's."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit

    def __call__(self, event: Event) -> None:
        if type(event) is not AnswerToken:
            self._emit(event)


@dataclass
class _Check:
    """The structure of a graph, looked at once, before anything runs."""

    graph: Graph

    def run(self) -> None:
        graph = self.graph
        for edge in graph.edges:
            self._place(edge)
        for name, node in graph.nodes.items():
            if node.fallback is not None and node.fallback not in graph.nodes:
                raise self._error(f"node {name!r} has the fallback {node.fallback!r}, which is no node", node=name)
        if not graph.edges_from(START):
            raise self._error(f"nothing follows {START}: give an edge from there to the first node")
        reached = self._reachable(START)
        for name in graph.nodes:
            if name not in reached:
                raise self._error(f"no edge leads to node {name!r}: give it one, or leave it out", node=name)
            if END not in self._reachable(name):
                way = "is in a loop without an exit" if name in self._reachable(name) else "has no way to the end"
                raise self._error(f"node {name!r} {way}: give it an edge on, with a condition or {ELSE!r}", node=name)
        for name in self.looping():
            conditional = any(edge.when is not None for n in self._loop_of(name) for edge in graph.edges_from(n))
            if not conditional:
                raise self._error(f"the loop through {name!r} is never left: give an edge in it a condition", node=name)
        if graph.calls > MAX_CALLS:
            raise self._error(
                f"one answer could take {graph.calls} answers of single models, and {MAX_CALLS} is the limit: "
                "nest less deep, or draw fewer samples"
            )

    def _place(self, edge: Edge) -> None:
        graph = self.graph
        if edge.source not in graph._out:
            raise self._error(f"the edge {edge} begins at {edge.source!r}, which is no node", edge=edge)
        if edge.target != END and edge.target not in graph.nodes:
            raise self._error(f"the edge {edge} leads to {edge.target!r}, which is no node", edge=edge)
        if edge.source == START and edge.when is not None:
            raise self._error(
                f"the edge {edge} has a condition, but nothing has happened yet: begin with a node", edge=edge
            )
        if edge.target == END and (edge.source == START or not graph.nodes[edge.source].answers):
            raise self._error(
                f"the edge {edge} ends the graph, but {edge.source!r} gives no answer: aggregate its candidates first",
                edge=edge,
            )
        if any(edge.target == other.target for other in graph._out[edge.source]):
            raise self._error(f"there are two edges {edge}; make it one", edge=edge)
        graph._out[edge.source].append(edge)

    def _targets(self, name: str) -> list[str]:
        if name == END:
            return []
        node = self.graph.nodes.get(name)
        more = [node.fallback] if node is not None and node.fallback is not None else []
        return [*(edge.target for edge in self.graph.edges_from(name)), *more]

    def _reachable(self, name: str) -> set[str]:
        """By one edge or more."""
        found: set[str] = set()
        waiting = self._targets(name)
        while waiting:
            target = waiting.pop()
            if target not in found:
                found.add(target)
                waiting += self._targets(target)
        return found

    def reach(self) -> dict[str, set[str]]:
        """For each node those that it can lead to, by one edge or more."""
        return {name: self._reachable(name) for name in self.graph.nodes}

    def looping(self) -> frozenset[str]:
        return frozenset(name for name in self.graph.nodes if name in self._reachable(name))

    def _loop_of(self, name: str) -> list[str]:
        return [other for other in self._reachable(name) if other != END and name in self._reachable(other)]

    def sources(self) -> dict[str, list[str]]:
        """What leads to each node by an edge that closes no loop, as a walk in depth from the start finds them."""
        forward: dict[str, list[str]] = {}
        seen: set[str] = set()

        def walk(name: str, above: frozenset[str]) -> None:
            seen.add(name)
            for target in self._targets(name):
                if target == name or target in above:
                    continue
                forward.setdefault(target, []).append(name)
                if target not in seen:
                    walk(target, above | {name})

        walk(START, frozenset())
        return forward

    def most_read(self) -> dict[str, int]:
        """How many candidates each node reads at most."""
        forward, read = self.sources(), {START: 0}

        def count(name: str) -> int:
            if name not in read:
                sources = [source for source in forward.get(name, []) if source != START]
                read[name] = sum(self.graph.nodes[source].gives(count(source)) for source in sources)
            return read[name]

        return {name: count(name) for name in self.graph.nodes}

    def ancestors(self) -> dict[str, frozenset[str]]:
        """What can lead to each node without going around a loop."""
        forward = self.sources()
        before: dict[str, frozenset[str]] = {}

        def collect(name: str) -> frozenset[str]:
            if name not in before:
                sources = forward.get(name, [])
                before[name] = frozenset(sources).union(*(collect(source) for source in sources)) - {START}
            return before[name]

        for name in self.graph.nodes:
            collect(name)
        return before

    def _error(self, message: str, *, node: str | None = None, edge: Edge | None = None) -> BadGraph:
        place = None if edge is None else (edge.source, edge.target)
        return BadGraph(f"{self.graph.name}: {message}", node=node, edge=place)
