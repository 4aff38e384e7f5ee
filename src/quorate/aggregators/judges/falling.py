"""What stands in for a judge: another aggregator's answer, with what went wrong."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.protocols import Aggregator
from quorate.orchestrator.run import Run
from quorate.orchestrator.types import Candidate, Degradation, Question

__all__ = ["fallen_back"]


async def fallen_back(
    fallback: Aggregator, question: Question, candidates: Sequence[Candidate], run: Run, notes: Sequence[Degradation]
) -> AsyncGenerator[Event, None]:
    """The fallback's events; its answer carries the notes first."""
    async with aclosing(fallback.aggregate(question, candidates, run)) as events:
        async for event in events:
            if isinstance(event, Done):
                yield Done(answer=event.answer.with_(degraded=(*notes, *event.answer.degraded)))
            else:
                yield event
