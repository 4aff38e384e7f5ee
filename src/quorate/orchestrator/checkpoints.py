"""Finished nodes kept in SQLite by LangGraph, so that a run that broke goes on where it stopped.

    async with Checkpoints("runs.sqlite") as kept:
        await pipeline.answer(question, checkpoints=kept, thread="monday")

Asked again with the same thread, a question goes on at the node where it was, and no finished node runs again.
Every node of the graph is a node of a LangGraph `StateGraph`; `compile` gives it, so that LangGraph's own tools
show the history of a thread, go back to an earlier node and run on from there. None of LangGraph's types leave
this module, but for that. Imported when needed, since LangGraph takes most of a second.

A node of ours waits for all that is on its way to it; one of LangGraph's runs as soon as it is led to. So a node
that is led to too early does nothing, and whatever it waits for leads to it again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Annotated, Any, Self, TypedDict
from uuid import uuid4

from . import analysis, types
from . import state as states
from .context import RunContext
from .errors import BadInput, MissingExtra
from .graph import Graph
from .state import START, State, Visit
from .types import Question

ANEW = "anew"
"""Written to the visits of a thread, it forgets those of the question before."""


def _append(before: list[Visit], more: list[Visit] | str) -> list[Visit]:
    return [] if isinstance(more, str) else [*before, *more]


def _latest(_: str, waiting: str) -> str:
    return waiting


class Channels(TypedDict):
    """The state of a thread as LangGraph keeps it; all else follows from these."""

    question: Question
    visits: Annotated[list[Visit], _append]
    attempt: str
    waiting: Annotated[str, _latest]
    """The node that was led to too early, and has done nothing."""


class Checkpoints:
    """A SQLite file of finished nodes; use it with `async with`.

    Raises:
        MissingExtra: when entered, where the extra `checkpoints` is not installed.
        BadInput: when entered, if the file cannot be opened or is of another kind.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._stack = AsyncExitStack()
        self._saver: Any = None

    def compile(self, graph: Graph) -> Any:
        """The graph as a compiled LangGraph graph with this file as its checkpointer; its context is a `RunContext`.

        Raises:
            BadInput: the file is not open.
        """
        if self._saver is None:
            raise BadInput(f"checkpoints {self.path} are not open: use 'async with Checkpoints(...)'")
        from langgraph.graph import StateGraph

        builder = StateGraph(Channels, context_schema=RunContext)
        for name in graph.nodes:
            builder.add_node(name, _step(graph, name))
            fallback = graph.nodes[name].fallback
            targets = [edge.target for edge in graph.edges_from(name)] + ([fallback] if fallback else [])
            builder.add_conditional_edges(name, _follow(name), list(dict.fromkeys(targets)))
        for edge in graph.edges_from(START):
            builder.add_edge(START, edge.target)
        return builder.compile(checkpointer=self._saver)

    def config(self, graph: Graph, question: Question, run: RunContext) -> dict[str, Any]:
        """What LangGraph is told of a run: its thread, and a limit of steps that no graph of ours reaches."""
        steps = 2 * sum(graph.most_visits(name) for name in graph.nodes) + len(graph.nodes) + 10
        thread = run.thread or f"{graph.name}:{question.key}:{run.seed}"
        if thread.startswith("/"):  # inside a run without a name, of which there may be several at once
            thread = f"{run.attempt}{thread}"
        return {"configurable": {"thread_id": thread}, "recursion_limit": steps}

    async def execute(self, graph: Graph, question: Question, run: RunContext) -> State:
        """Runs a graph from the first node of its thread that is not finished; returns its last state.

        A graph inside a node that is taken up again is taken up, too, or is through already.
        """
        compiled, config = self.compile(graph), self.config(graph, question, run)
        known = await compiled.aget_state(config)
        attempt = known.values.get("attempt")
        visits = known.values.get("visits", ())
        of_this_graph = {*known.next, *(visit.node for visit in visits)} <= {START, *graph.nodes}
        same = known.values.get("question") == question and of_this_graph
        # LangGraph names no next node where one has ended and its step has not: what is left follows from the visits.
        left = same and (known.next or graph.ready(State(question=question, visits=tuple(visits))))
        if not (same and (attempt == run.attempt if run.attempt else left)):
            attempt = run.attempt or uuid4().hex
            begin = {"question": question, "visits": ANEW, "attempt": attempt}
            found = await compiled.ainvoke(begin, config, context=run.replace(attempt=attempt), durability="sync")
            return State(question=question, visits=tuple(found["visits"]))
        for visit in visits:
            for entry in visit.usage:
                run.ledger.record(entry.node, entry.model, entry.usage)
        if left:
            found = await compiled.ainvoke(None, config, context=run.replace(attempt=attempt), durability="sync")
            visits = found["visits"]
        return State(question=question, visits=tuple(visits))

    async def __aenter__(self) -> Self:
        try:
            from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
            from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
        except ImportError as error:
            raise MissingExtra("checkpoints", "keeping checkpoints") from error
        self._check()
        saver = await self._stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(self.path)))
        ours = [(module.__name__, name) for module in (analysis, types, states) for name in module.__all__]
        saver.serde = JsonPlusSerializer(allowed_msgpack_modules=ours)
        self._saver = saver
        return self

    def _check(self) -> None:
        """Opens the file once by itself: aiosqlite's thread would outlive a failure.

        Raises:
            BadInput: it is no file of SQLite's, or there cannot be one.
        """
        try:
            with closing(sqlite3.connect(self.path)) as file:
                file.execute("PRAGMA schema_version")
        except sqlite3.Error as error:
            raise BadInput(f"checkpoints {self.path} cannot be opened: {error}") from error

    async def __aexit__(self, *exc: object) -> None:
        self._saver = None
        await self._stack.aclose()


def _step(graph: Graph, name: str) -> Callable[..., Awaitable[Any]]:
    from langgraph.runtime import Runtime
    from langgraph.types import Command

    async def step(channels: Channels, runtime: Runtime[RunContext]) -> Command[Any]:
        state = State(question=channels["question"], visits=tuple(channels["visits"]))
        if name not in graph.ready(state):
            return Command(update={"waiting": name})
        visit = await graph.visit(name, state, runtime.context)
        return Command(
            update={"visits": [visit], "waiting": ""}, goto=graph.blocked_by(name, graph.advance(state, visit))
        )

    step.__annotations__ = {"channels": Channels, "runtime": Runtime[RunContext], "return": Command}
    return step


def _follow(name: str) -> Callable[[Channels], list[str]]:
    """Where a node leads, by its own visit: so it does where that was edited by hand, too."""

    def follow(channels: Channels) -> list[str]:
        if channels["waiting"] == name:
            return []
        last = next(visit for visit in reversed(channels["visits"]) if visit.node == name)
        return list(last.edges)

    follow.__annotations__ = {"channels": Channels, "return": list[str]}
    return follow
