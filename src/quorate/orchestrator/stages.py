"""The stages of a pipeline and what passes from one to the next.

Every stage is a function from the state so far to events, which leaves its own part in the state. `straight`
runs them one after another; `graph` runs the very same functions as the nodes of a LangGraph graph, which
keeps the state after each of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol, TypedDict

from .events import CandidateCancelled, CandidateFailed, CandidateFinished, Done, Event, StoppedEarly
from .run import Run
from .types import Answer, Candidate, Degradation, Question, StageUsage

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["STAGES", "Stage", "State", "straight"]


class State(TypedDict, total=False):
    """What is known after a stage; a checkpoint holds it."""

    question: Question
    candidates: tuple[Candidate, ...]
    stopped: str
    spent: tuple[StageUsage, ...]
    answer: Answer


class Stage(Protocol):
    def __call__(self, pipeline: Pipeline, state: State, run: Run) -> AsyncGenerator[Event, None]:
        """The stage's events; at their end the state holds what came of it."""
        ...


async def _sample(pipeline: Pipeline, state: State, run: Run) -> AsyncGenerator[Event, None]:
    candidates, stopped = [], "complete"
    async with aclosing(pipeline.sampling_events(state["question"], run)) as events:
        async for event in events:
            match event:
                case CandidateFinished() | CandidateFailed() | CandidateCancelled():
                    candidates.append(event.candidate)
                case StoppedEarly():
                    stopped = event.reason
            yield event
    candidates.sort(key=lambda candidate: candidate.index)
    state |= State(candidates=tuple(candidates), stopped=stopped, spent=run.ledger.stages)


async def _aggregate(pipeline: Pipeline, state: State, run: Run) -> AsyncGenerator[Event, None]:
    candidates = state["candidates"]
    async with aclosing(pipeline.aggregation_events(state["question"], candidates, run)) as events:
        async for event in events:
            if isinstance(event, Done):
                answer = _completed(event.answer, candidates, state["stopped"], run)
                state["answer"] = answer.with_(model=pipeline.name)
                yield Done(answer=state["answer"])
                return
            yield event
    raise AssertionError(f"{pipeline.aggregator.name} ended without Done")


STAGES: dict[str, Stage] = {"sample": _sample, "aggregate": _aggregate}
"""In the order in which they run."""


async def straight(pipeline: Pipeline, question: Question, run: Run) -> AsyncGenerator[Event, None]:
    """All stages in a row, with nothing kept between them."""
    state = State(question=question)
    for stage in STAGES.values():
        async with aclosing(stage(pipeline, state, run)) as events:
            async for event in events:
                yield event


def _completed(answer: Answer, candidates: Sequence[Candidate], stopped: str, run: Run) -> Answer:
    """The aggregator's answer with all that the pipeline knows of how it came about."""
    failed = [
        Degradation(code="candidate_failed", where=f"sample: {c.agent or c.model} #{c.index}", detail=c.error.message)
        for c in candidates
        if c.error is not None
    ]
    cut = [Degradation(code="budget_exhausted", where="sample", detail=stopped)] if stopped.startswith("budget") else []
    return answer.with_(
        candidates=tuple(candidates),
        stopped=stopped,
        degraded=(*failed, *cut, *answer.degraded),
        usage=run.ledger.usage,
        stages=run.ledger.stages,
    )
