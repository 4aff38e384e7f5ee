"""The stages of a pipeline and what passes from one to the next.

Every stage is a function from the state so far to events, which leaves its own part in the state. `straight`
runs them one after another; `graph` runs the very same functions as the nodes of a LangGraph graph, which
keeps the state after each of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol, TypedDict

from .events import CandidateCancelled, CandidateFailed, CandidateFinished, Done, Event, StoppedEarly, TallyChanged
from .run import Run
from .types import Answer, Candidate, Cluster, Degradation, Question, StageUsage

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["STAGES", "Stage", "State", "straight"]


class State(TypedDict, total=False):
    """What is known after a stage; a checkpoint holds it."""

    question: Question
    candidates: tuple[Candidate, ...]
    tally: tuple[Cluster, ...]
    """As it stood when sampling ended."""
    stopped: str
    notes: tuple[Degradation, ...]
    spent: tuple[StageUsage, ...]
    answer: Answer


class Stage(Protocol):
    def __call__(self, pipeline: Pipeline, state: State, run: Run) -> AsyncGenerator[Event, None]:
        """The stage's events; at their end the state holds what came of it."""
        ...


async def _sample(pipeline: Pipeline, state: State, run: Run) -> AsyncGenerator[Event, None]:
    candidates: list[Candidate] = []
    tally: tuple[Cluster, ...] = ()
    notes: list[Degradation] = []
    stopped = "complete"
    async with aclosing(pipeline.sampling_events(state["question"], run)) as events:
        async for event in events:
            match event:
                case CandidateFinished() | CandidateFailed() | CandidateCancelled():
                    candidates.append(event.candidate)
                case StoppedEarly():
                    stopped = event.reason
                    if event.code is not None:
                        notes.append(Degradation(code=event.code, where="sample", detail=event.reason))
                case TallyChanged():
                    tally = event.tally
            yield event
    candidates.sort(key=lambda candidate: candidate.index)
    if (missed := pipeline.sampler.missed(candidates)) is not None:
        notes.append(Degradation(code="quorum_missed", where="sample", detail=missed))
    state |= State(
        candidates=tuple(candidates), tally=tally, stopped=stopped, notes=tuple(notes), spent=run.ledger.stages
    )


async def _aggregate(pipeline: Pipeline, state: State, run: Run) -> AsyncGenerator[Event, None]:
    candidates = state["candidates"]
    async with aclosing(pipeline.aggregation_events(state["question"], candidates, state["tally"], run)) as events:
        async for event in events:
            if isinstance(event, Done):
                answer = _completed(event.answer, state, run)
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


def _completed(answer: Answer, state: State, run: Run) -> Answer:
    """The aggregator's answer with all that the pipeline knows of how it came about."""
    candidates = state["candidates"]
    failed = [
        Degradation(code="candidate_failed", where=f"sample: {c.agent or c.model} #{c.index}", detail=c.error.message)
        for c in candidates
        if c.error is not None
    ]
    inside = [note for c in candidates for note in c.degraded]
    return answer.with_(
        candidates=candidates,
        stopped=state["stopped"],
        degraded=(*failed, *state["notes"], *inside, *answer.degraded),
        usage=run.ledger.usage,
        stages=run.ledger.stages,
    )
