"""One vote for whatever comes: tool calls, JSON documents or texts with an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import Event
from quorate.orchestrator.protocols import VoteCounter
from quorate.orchestrator.types import Candidate, Cluster, Question

from ..vote import MajorityVote
from .calls import ToolCallVote
from .documents import JsonVote
from .schema import wants_json

__all__ = ["StructuredVote"]


class StructuredVote:
    """The vote that fits: over tool calls, over JSON documents, or over the answers of texts.

    Where some candidate makes a tool call, `ToolCallVote` decides whether and what to call. Else, and
    among the texts where no call wins, `JsonVote` decides if the question's `response_format` asks for
    JSON, and `vote` if not.

    Args:
        vote: the vote over texts; `MajorityVote()` by default.
    """

    name = "majority"

    def __init__(self, vote: MajorityVote | None = None) -> None:
        self.vote = vote or MajorityVote()
        self.documents = JsonVote()

    def tailored(self, question: Question) -> VoteCounter:
        """See `protocols.Tailored`."""
        texts = self.documents.tailored(question) if wants_json(question) else self.vote
        return _Mixed(ToolCallVote(self.vote).tailored(question), texts)

    def extract(self, candidate: Candidate) -> str | None:
        """The canonical calls of a candidate, or the answer of its text."""
        return self._blind.extract(candidate)

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        """See `protocols.VoteCounter`; texts count by their answers, as no question is known that wants JSON."""
        return await self._blind.tally(candidates)

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; one `Done`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        texts = self.documents if wants_json(question) else self.vote
        chosen = ToolCallVote(texts) if _calling(candidates) else texts
        async with aclosing(chosen.aggregate(question, candidates, run)) as events:
            async for event in events:
                yield event

    @property
    def _blind(self) -> _Mixed:
        return _Mixed(ToolCallVote(self.vote), self.vote)

    async def aclose(self) -> None:
        """Closes the vote over texts."""
        await self.vote.aclose()

    def __repr__(self) -> str:
        return f"StructuredVote({self.vote!r})"


@dataclass(frozen=True)
class _Mixed:
    """Counts calls where there are some, else texts."""

    calls: VoteCounter
    texts: VoteCounter

    def extract(self, candidate: Candidate) -> str | None:
        return (self.calls if candidate.tool_calls else self.texts).extract(candidate)

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        return await (self.calls if _calling(candidates) else self.texts).tally(candidates)


def _calling(candidates: Sequence[Candidate]) -> bool:
    return any(c.ok and c.tool_calls for c in candidates)
