"""A graph of named nodes is a model.

A node runs once everything on its way to it has ended; nodes that are ready run side by side. What has happened is a
list of visits, from which all else follows: what a node reads, what is ready, what is left to do after a crash. So the
loop below and LangGraph's (`checkpoints`) run the same nodes in the same order.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self, TypeGuard, cast

from .context import Ledger, RunContext
from .errors import BadInput, Misconfigured, NoAnswer, NodeCrashed, QuorateError, TimedOut
from .events import AnswerToken, Event, NodeEnded, NodeStarted
from .identity import Identity
from .model import ModelBase, Wrapper
from .partial import failure_of
from .protocols import Model, is_sampler
from .state import BEGINNING, ELSE, END, START, Choice, Condition, Edge, Node, Result, State, Visit
from .structure import GraphStructure
from .types import Answer, Candidate, Degradation, NodeVisit, Question, Sampled, Saving

SLACK = 0.1
"""Seconds beyond a deadline in which a node may end by itself, with the best that it has."""


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
        self._structure = GraphStructure(name, nodes, self.edges)
        self._structure.check()
        self.nodes = self._structure.nodes

    @property
    def identity(self) -> Identity:
        """A pipeline of all its models."""
        return Identity(kind="pipeline", model=self.name, members=tuple(model.identity for model in self.parts))

    @property
    def parts(self) -> tuple[Model, ...]:
        """Every model that its nodes may ask, once."""
        return tuple({id(m): m for node in self.nodes.values() for m in node.models}.values())

    @property
    def calls(self) -> int:
        """Of all nodes, those in loops as often as they may run."""
        return self._structure.calls

    @property
    def max_requests(self) -> int:
        """See `amplification.Amplifying`."""
        return self._structure.max_requests

    @property
    def available(self) -> bool:
        """See `protocols.Model`: whether there is a way to the end on which something can come of every node."""
        return self._leads_to_end(START, set())

    def _leads_to_end(self, name: str, seen: set[str]) -> bool:
        if name == END or name in seen:
            return True
        seen.add(name)
        node = self.nodes.get(name)
        if node is not None and not node.available:
            return node.fallback is not None and self._leads_to_end(node.fallback, seen)
        always = [edge.target for edge in self.edges_from(name) if edge.when is None]
        if always:
            return all(self._leads_to_end(target, seen) for target in always)
        return any(self._leads_to_end(edge.target, seen) for edge in self.edges_from(name))

    def most_visits(self, name: str) -> int:
        """How often a node can run in one answer."""
        return self._structure.most_visits(name)

    def edges_from(self, name: str) -> Sequence[Edge]:
        """In the order in which they are asked."""
        return self._structure.out[name]

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        """The same graph over other models: those of aggregators, too."""
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
        return await self._complete(state, run)

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
        waiting: dict[str, tuple[int, ...]] = {edge.target: (BEGINNING,) for edge in self._structure.out[START]}
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
            later = set() if name in again else again & self._structure.loops[name]
            left = self._structure.loops[name] & (active - again) if name in again else set()
            if not self._structure.before[name] & (active - later) and not left:
                ready.append(name)
        return ready

    def _forward(self, state: State, name: str, leads: Iterable[int]) -> list[int]:
        """Those of the visits that led to a node that did not go around a loop."""
        return [p for p in leads if p == BEGINNING or state.visits[p].node in self._structure.before[name]]

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
            other
            for other in self.pending(state)
            if other != END and name in self._structure.before[other] | self._structure.loops[other]
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
            if not isinstance(result, Sampled | Answer | Choice):
                raise Misconfigured(
                    f"{self.name}: node {name!r} gave {result!r:.80}; give a Sampled, an Answer or a Choice"
                )
            if not isinstance(result, Choice):
                degraded = result.degraded
            edges = self._plain.get(name)
            if edges is None:
                done = Visit(node=name, inputs=inputs, result=result, degraded=degraded)
                edges = self._choose_edges(name, self.advance(state, done), run)
            outcome = _outcome(result)
        except (BadInput, Misconfigured):
            raise
        except Exception as error:
            if node.fallback is None and name not in self._branches:
                if isinstance(error, QuorateError | TimeoutError):
                    raise
                sampled = replace(state, inputs=inputs).sampled
                raise NodeCrashed(f"{self.name}: node {name!r} raised {error!r}", sampled=sampled) from error
            failure = failure_of(error)
            outcome = failure.message
            degraded = (Degradation(code="node_failed", where=name, detail=outcome),)
            if node.fallback is not None:
                edges = {node.fallback: f"{name} failed"}
            else:
                failure = failure.model_copy(update={"message": f"node {name!r}: {outcome}"})
                lost = Candidate(index=0, model=name, agent=name, error=failure)
                result = Sampled(candidates=(lost,), stopped=f"{name} failed", degraded=degraded)
                edges = self._plain[name]
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
        final = node.fallback is None and all(edge.target == END for edge in self._structure.out[node.name])
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
            for name, edges in self._structure.out.items()
            if all(edge.when is None and edge.target not in self._structure.looping for edge in edges)
        }

    @cached_property
    def _branches(self) -> frozenset[str]:
        """The nodes that may fail while others answer: all that they lead to reads other nodes, too."""
        sources = Counter(edge.target for edge in self.edges)
        return frozenset(
            name
            for name, targets in self._plain.items()
            if all(t != END and self.nodes[t].reads and sources[t] > 1 for t in targets) and name != START
        )

    def _choose_edges(self, name: str, state: State, run: RunContext) -> dict[str, str]:
        """The nodes that the edges of a node lead to after its visit, with the words of their conditions.

        An edge whose node has run as often as it may is not taken; where none else holds, a loop is left by the
        first of its other edges.

        Raises:
            Misconfigured: a condition raised, or none holds.
        """
        edges = self._structure.out[name]
        here = replace(state, inputs=(len(state.visits) - 1,), tokens_left=run.tokens_left())
        left = [e for e in edges if e.target == END or here.visited(e.target) < self.most_visits(e.target)]
        taken = {e.target: why for e in left if e.when != ELSE and (why := self._reason(e, here)) is not None}
        if not taken:
            taken = {e.target: "" for e in left if e.when == ELSE}
        if not taken and len(left) < len(edges) and left:
            taken = {left[0].target: f"{name} has been visited {here.visited(name)} times"}
        if not taken:
            message = f"{self.name}: no edge from {name!r} is taken: give it one with the condition {ELSE!r}"
            raise Misconfigured(message, sampled=here.sampled)
        return taken

    def _reason(self, edge: Edge, state: State) -> str | None:
        if edge.when is None or isinstance(edge.when, str):
            return ""
        try:
            return cast(Condition, edge.when).holds(state)
        except Exception as error:
            message = f"{self.name}: the condition of the edge {edge} raised {error!r}"
            raise Misconfigured(message, sampled=state.sampled) from error

    async def _complete(self, state: State, run: RunContext) -> Answer:
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
            savings=await self._savings(visits, state.question, run),
            usage=run.ledger.usage,
            nodes=run.ledger.nodes,
            path=tuple(
                NodeVisit(node=v.node, seconds=v.seconds, outcome=_outcome(v.result), edges=v.edges)
                for v in state.visits
            ),
        )

    async def _savings(
        self,
        visits: Sequence[Visit],
        question: Question,  # noqa: ARG002 - for those that compare
        run: RunContext,  # noqa: ARG002
    ) -> tuple[Saving, ...]:
        """Of the rules that were only watched."""
        return tuple(
            s for v in visits if v.result is not None and not isinstance(v.result, Choice) for s in v.result.savings
        )


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


def is_composed(model: Model) -> TypeGuard[Graph | Wrapper]:
    """Whether a model draws no samples itself, and is made of others by `map_models`."""
    return isinstance(model, Graph | Wrapper) and not is_sampler(model)
