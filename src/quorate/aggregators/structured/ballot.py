"""A plurality vote over answers that are equal exactly when they are spelled alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import Done
from quorate.orchestrator.types import Answer, Candidate, Cluster, Question

from ..vote import MajorityVote

__all__ = ["Ballot", "winners"]


class _Nothing:
    """An extractor for candidates whose answer is known already, or who abstain."""

    def extract(self, text: str) -> str | None:  # noqa: ARG002 - protocol
        return None


class _Verbatim:
    """An equivalence for canonical answers."""

    async def classes(self, answers: Sequence[str]) -> list[int]:
        known: dict[str, int] = {}
        return [known.setdefault(answer, len(known)) for answer in answers]


class Ballot:
    """`MajorityVote` with its draw of ties and its word on abstention, over what `read` makes of a candidate.

    Args:
        name: of the vote, as degradations tell it.
        read: from a candidate that is ok to the canonical answer it votes for; None abstains.
    """

    def __init__(self, name: str, read: Callable[[Candidate], str | None]) -> None:
        self._read = read
        self._vote = MajorityVote(extractor=_Nothing(), equivalence=_Verbatim())
        self._vote.name = name

    def extract(self, candidate: Candidate) -> str | None:
        """See `protocols.VoteCounter`."""
        return self._read(candidate) if candidate.ok else None

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        """See `protocols.VoteCounter`."""
        return await self._vote.tally(self._marked(candidates))

    async def answer(self, question: Question, candidates: Sequence[Candidate], run: RunContext) -> Answer:
        """The vote's answer: the drawn tally, and one of the texts that the caller may exchange.

        Raises:
            NoAnswer: no candidate is ok.
        """
        async with aclosing(self._vote.aggregate(question, self._marked(candidates), run)) as events:
            async for event in events:
                if isinstance(event, Done):
                    return event.answer.replace(candidates=tuple(candidates))
        raise AssertionError("a vote ended without Done")

    def _marked(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        return [c.model_copy(update={"answer": self.extract(c)}) for c in candidates]


def winners(answer: Answer) -> list[Candidate]:
    """The candidates of the winning class, all of those that are ok where all abstained."""
    voters = set(answer.tally[0].voters) if answer.tally else None
    return [c for c in answer.candidates if c.ok and (voters is None or c.index in voters)]
