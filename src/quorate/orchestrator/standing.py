"""What answers where an aggregator does not: the vote as it stood when sampling ended.

The aggregators of this package have fallbacks of their own. This one holds for every class, one of yours
included, that fails, or that has not noticed that its time is over.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from .errors import BadInput, TimedOut
from .events import Done, Event, SynthesisToken
from .merging import until
from .proposers import failure_of
from .protocols import Aggregator
from .run import Run, cut_short
from .types import Answer, Candidate, Cluster, Degradation, Question

__all__ = ["backed"]

SLACK = 0.03
"""Seconds beyond the deadline in which an aggregator may end by itself, with the best that it has."""


async def backed(
    aggregator: Aggregator, question: Question, candidates: Sequence[Candidate], tally: Sequence[Cluster], run: Run
) -> AsyncGenerator[Event, None]:
    """The aggregator's events; if it fails or overruns, the vote's answer, marked so.

    What has been read of a text that breaks off stays the answer, with the finish reason `error`.

    Raises:
        BadInput: the aggregator cannot be used like this.
        QuorateError: it failed, and there is no vote.
    """
    events, told, begun = aggregator.aggregate(question, candidates, run), "", time.monotonic()
    if run.deadline is not None or run.halt is not None:
        events = until(lambda: _last_moment(run, begun), events, run.halt)
    where = f"{run.stage}: {aggregator.name}"
    try:
        async with aclosing(events):
            async for event in events:
                yield event
                if isinstance(event, Done):
                    return
                if isinstance(event, SynthesisToken) and not event.reasoning:
                    told += event.text
        raise AssertionError(f"{aggregator.name} ended without Done")
    except BadInput:
        raise
    except TimeoutError as error:
        if not tally and not told:
            raise TimedOut(f"{aggregator.name}: no answer in time, and no vote that could stand in") from error
        note = cut_short(run.timed_out(), where)
    except Exception as error:
        if not tally and not told:
            raise
        note = Degradation(code="aggregator_failed", where=where, detail=failure_of(error).message)
    yield Done(answer=_standing(candidates, tally, told, aggregator.name).with_(degraded=(note,)))


def _last_moment(run: Run, begun: float) -> float | None:
    deadline = run.deadline
    return None if deadline is None else max(deadline, begun) + SLACK


def _standing(candidates: Sequence[Candidate], tally: Sequence[Cluster], told: str, name: str) -> Answer:
    if told:
        return Answer(text=told, model=name, finish_reason="error", tally=tuple(tally))
    first = tally[0]
    winner = min((c for c in candidates if c.index in first.voters), key=lambda c: _told_well(c, first.answer))
    return Answer(
        text=winner.text,
        model=winner.model,
        answer=first.answer,
        reasoning=winner.reasoning,
        tool_calls=winner.tool_calls,
        finish_reason=winner.finish_reason or "stop",
        tally=tuple(tally),
    )


def _told_well(candidate: Candidate, answer: str) -> tuple[bool, bool, int, str]:
    """Least for the one that spells the answer like most, ended by itself, and is short."""
    return candidate.answer != answer, candidate.finish_reason == "length", len(candidate.text), candidate.text
