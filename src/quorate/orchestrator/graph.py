"""A pipeline as a LangGraph `StateGraph`: one node a stage.

LangGraph brings checkpoints and resumption, so a run with checkpoints goes through it; a run without them
needs nothing that it does and takes `stages.straight`, which calls the same functions and saves 2 ms a
question. None of LangGraph's types leave this module and `checkpoints`. Samples are tasks inside one node,
because a node a sample costs milliseconds. Imported when needed, since LangGraph takes most of a second.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, cast

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from .events import Event
from .run import Run
from .stages import STAGES, Stage, State
from .types import Question

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["Graph"]


class Node(Protocol):
    def __call__(self, state: State, *, runtime: Runtime[Run]) -> Awaitable[State]: ...


class Graph:
    """The compiled form of one pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._builder = StateGraph(State, context_schema=Run)
        for name, stage in STAGES.items():
            self._builder.add_node(name, self._node(stage))
        for before, after in pairwise((START, *STAGES, END)):
            self._builder.add_edge(before, after)
        self._compiled = self._builder.compile()

    def mermaid(self) -> str:
        """The graph as a Mermaid diagram, with the models that feed it."""
        from .drawing import mermaid

        return mermaid(self._pipeline)

    async def stream(self, question: Question, run: Run) -> AsyncGenerator[Event, None]:
        """Runs the stages; with checkpoints, from the first one that has not finished."""
        graph, config, state = self._compiled, None, State(question=question)
        if run.checkpoints is not None:
            graph = self._builder.compile(checkpointer=run.checkpoints.saver)
            config, state = await self._resumed(graph, question, run)
        stream = cast(AsyncGenerator[Event, None], graph.astream(state, config, context=run, stream_mode="custom"))
        async with aclosing(stream) as events:
            async for event in events:
                yield event

    async def _resumed(self, graph: Any, question: Question, run: Run) -> tuple[Any, Any]:
        """Where the thread stands: an unfinished one of the same question goes on, another starts anew."""
        config = {"configurable": {"thread_id": run.thread or f"{self._pipeline.name}:{question.key}:{run.seed}"}}
        known = await graph.aget_state(config)
        if known.next and known.values.get("question") == question:
            for entry in known.values.get("spent", ()):
                run.ledger.record(entry.stage, entry.model, entry.usage)
            return config, None
        return config, State(question=question)

    def _node(self, stage: Stage) -> Node:
        async def node(state: State, *, runtime: Runtime[Run]) -> State:
            after = state.copy()
            async with aclosing(stage(self._pipeline, after, runtime.context)) as events:
                async for event in events:
                    runtime.stream_writer(event)
            return cast(State, {key: value for key, value in after.items() if value is not state.get(key)})

        return node
