"""What aggregators share that have another one behind them: it counts the votes, and answers where they cannot."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

from quorate.orchestrator.context import RunContext, explain_cut
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.protocols import Aggregator, Tailored, VoteCounter
from quorate.orchestrator.types import Candidate, Cluster, Degradation, Question

__all__ = ["Backed", "closed", "shortfall", "stand_in"]


class Backed:
    """Base: the fallback's votes are the tally, and its answer stands in, marked with what went wrong."""

    name: str
    fallback: Aggregator

    def tailored(self, question: Question) -> VoteCounter:
        """See `protocols.Tailored`; the fallback's, where what counts depends on the question."""
        return self.fallback.tailored(question) if isinstance(self.fallback, Tailored) else self

    def extract(self, candidate: Candidate) -> str | None:
        """What the candidate votes for in the fallback's tally."""
        return self.fallback.extract(candidate) if isinstance(self.fallback, VoteCounter) else None

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        """The fallback's tally; it informs, and decides only where this aggregator does not."""
        return await self.fallback.tally(candidates) if isinstance(self.fallback, VoteCounter) else ()

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Raises NoAnswer unless some candidate is ok."""
        if not any(c.ok for c in candidates):
            raise NoAnswer(f"{self.name}: all {len(candidates)} candidates failed")

    def instead(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext, notes: Sequence[Degradation]
    ) -> AsyncGenerator[Event, None]:
        """The fallback's events; its answer carries the notes first."""
        return stand_in(self.fallback, question, candidates, run, notes)

    async def aclose(self) -> None:
        """Closes the fallback."""
        await closed((self.fallback,))


async def stand_in(
    fallback: Aggregator, question: Question, candidates: Sequence[Candidate], run: RunContext, notes: Sequence[Degradation]
) -> AsyncGenerator[Event, None]:
    """Another aggregator's events; its answer carries the notes first."""
    async with aclosing(fallback.aggregate(question, candidates, run)) as events:
        async for event in events:
            if isinstance(event, Done):
                yield Done(answer=event.answer.replace(degraded=(*notes, *event.answer.degraded)))
            else:
                yield event


def shortfall(run: RunContext, where: str, detail: str) -> Degradation:
    """Why there is no verdict: the run's time or budget is over, else what the aggregator says."""
    reason = run.exhausted()
    return explain_cut(reason, where) if reason else Degradation(code="aggregator_failed", where=where, detail=detail)


async def closed(owners: Iterable[object]) -> None:
    """Closes each of these once, where it can be closed."""
    for owner in {id(owner): owner for owner in owners}.values():
        close = getattr(owner, "aclose", None)
        if close is not None:
            await close()
