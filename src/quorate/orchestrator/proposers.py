"""Any model as a proposer: agents draw their samples themselves, pipelines are asked once a sample."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from .errors import QuorateError
from .events import (
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    CandidateStarted,
    CandidateToken,
    Done,
    Event,
    SynthesisToken,
)
from .merging import merge
from .protocols import Model, draws_itself
from .run import Run
from .types import Answer, Candidate, Failure, Question

__all__ = ["failure_of", "most_telling", "proposals"]

_TELLING = (429, 503, 504)

log = logging.getLogger("quorate")


def failure_of(error: Exception) -> Failure:
    """An error as a value; what is not ours is named by its type and logged with its traceback."""
    if isinstance(error, QuorateError):
        return Failure(code=error.code, message=str(error), status=error.status, retry_after=error.retry_after)
    log.error("a model raised %s", type(error).__name__, exc_info=error)
    return Failure(code="model_crashed", message=f"{type(error).__name__}: {error}", status=500)


def most_telling(failures: Sequence[Failure]) -> Failure:
    """The failure that tells the caller most of what to do, the first of equals, with how many there were.

    One that says when to come back before one that says to come back: 429, 503, 504, any other 5xx, then the 4xx
    that trying again cannot help. Its Retry-After is the shortest of those with its status, since one good
    sample is enough.
    """
    chosen = min(failures, key=_rank)
    waits = [f.retry_after for f in failures if f.status == chosen.status and f.retry_after is not None]
    return chosen.model_copy(update={"retry_after": min(waits, default=None)})


def _rank(failure: Failure) -> int:
    if failure.status in _TELLING:
        return _TELLING.index(failure.status)
    return len(_TELLING) + (failure.status < 500)


async def proposals(model: Model, question: Question, indices: Sequence[int], run: Run) -> AsyncGenerator[Event, None]:
    """Candidates of one model for these indices; whatever it raises fails the ones still missing."""
    missing = set(indices)
    streams = model.sample(question, indices, run) if draws_itself(model) else _nested(model, question, indices, run)
    try:
        async with aclosing(streams):
            async for event in streams:
                if isinstance(event, CandidateFinished | CandidateFailed | CandidateCancelled):
                    missing.discard(event.candidate.index)
                yield event
    except Exception as error:
        failure = failure_of(error)
    else:
        failure = Failure(code="model_silent", message=f"{model.name} ended without this candidate", status=502)
    for index in sorted(missing):
        yield CandidateFailed(candidate=Candidate(index=index, model=model.name, agent=model.name, error=failure))


def _nested(model: Model, question: Question, indices: Sequence[int], run: Run) -> AsyncGenerator[Event, None]:
    return merge([_answered(model, question, index, run) for index in indices])


async def _answered(model: Model, question: Question, index: int, run: Run) -> AsyncGenerator[Event, None]:
    """One answer of a pipeline as one candidate; its inner events stay inside, but for its tokens."""
    inner = run.nested(index)
    start, text = time.monotonic(), ""
    yield CandidateStarted(index=index, model=model.name)
    blank = Candidate(index=index, model=model.name, agent=model.name, seed=inner.seed)
    try:
        async with aclosing(model.stream(question.sampled(seed=inner.seed), inner)) as events:
            async for event in events:
                if isinstance(event, SynthesisToken):
                    text += "" if event.reasoning else event.text
                    yield CandidateToken(index=index, text=event.text, reasoning=event.reasoning)
                elif isinstance(event, Done):
                    yield CandidateFinished(candidate=_as_candidate(blank, event.answer, time.monotonic() - start))
    except (asyncio.CancelledError, GeneratorExit):
        run.cut.append(
            blank.model_copy(update={"text": text, "finish_reason": "cancelled", "usage": inner.ledger.usage})
        )
        raise
    except Exception as error:
        usage = inner.ledger.usage
        yield CandidateFailed(candidate=blank.model_copy(update={"error": failure_of(error), "usage": usage}))


def _as_candidate(blank: Candidate, answer: Answer, latency: float) -> Candidate:
    return blank.model_copy(
        update={
            "text": answer.text,
            "reasoning": answer.reasoning,
            "answer": answer.answer,
            "tool_calls": answer.tool_calls,
            "finish_reason": answer.finish_reason,
            "usage": answer.usage,
            "latency": latency,
            "degraded": answer.degraded,
        }
    )
