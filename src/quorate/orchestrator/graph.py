"""A pipeline as a LangGraph `StateGraph`: one node a stage.

LangGraph brings checkpoints, resumption and the drawing; none of its types leave this module and
`checkpoints`. Samples are tasks inside one node, because a node a sample costs milliseconds.
Imported at the first question, since LangGraph takes most of a second to import.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypedDict, cast

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from .events import CandidateCancelled, CandidateFailed, CandidateFinished, Done, Event, StoppedEarly
from .pipeline import completed
from .run import Run
from .types import Answer, Candidate, Question, StageUsage

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["Graph"]


class State(TypedDict, total=False):
    """What a checkpoint holds after a stage."""

    question: Question
    candidates: tuple[Candidate, ...]
    stopped: str
    spent: tuple[StageUsage, ...]
    answer: Answer


class Graph:
    """The compiled form of one pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._builder = StateGraph(State, context_schema=Run)
        self._builder.add_node("sample", self._sample)
        self._builder.add_node("aggregate", self._aggregate)
        self._builder.add_edge(START, "sample")
        self._builder.add_edge("sample", "aggregate")
        self._builder.add_edge("aggregate", END)
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

    async def _sample(self, state: State, runtime: Runtime[Run]) -> State:
        run, candidates, stopped = runtime.context, [], "complete"
        async with aclosing(self._pipeline.sampling_events(state["question"], run)) as events:
            async for event in events:
                runtime.stream_writer(event)
                match event:
                    case CandidateFinished() | CandidateFailed() | CandidateCancelled():
                        candidates.append(event.candidate)
                    case StoppedEarly():
                        stopped = event.reason
        candidates.sort(key=lambda candidate: candidate.index)
        return State(candidates=tuple(candidates), stopped=stopped, spent=run.ledger.stages)

    async def _aggregate(self, state: State, runtime: Runtime[Run]) -> State:
        run, candidates = runtime.context, state["candidates"]
        async with aclosing(self._pipeline.aggregation_events(state["question"], candidates, run)) as events:
            async for event in events:
                if isinstance(event, Done):
                    answer = completed(event.answer, candidates, state["stopped"], run)
                    runtime.stream_writer(Done(answer=answer))
                    return State(answer=answer)
                runtime.stream_writer(event)
        raise AssertionError(f"{self._pipeline.aggregator.name} ended without Done")
