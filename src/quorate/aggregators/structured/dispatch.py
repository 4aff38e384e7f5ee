"""One vote for whatever comes: tool calls, JSON documents or texts with an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.protocols import Aggregator, Model, VoteCounter
from quorate.orchestrator.types import Answer, Candidate, Cluster, Question, Sampled

from ..votes.majority import MajorityVote
from .calls import ToolCallVote
from .documents import JsonVote
from .schema import wants_json

__all__ = ["StructuredVote"]


class StructuredVote(Aggregator):
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

    @property
    def models(self) -> tuple[Model, ...]:
        """Those of the vote over texts."""
        return self.vote.models

    def calls(self, n: int) -> int:
        """See `protocols.Aggregator`."""
        return self.vote.calls(n)

    def counter(self, question: Question, run: RunContext) -> VoteCounter:
        """See `protocols.Aggregator`."""
        texts = self.documents if wants_json(question) else self.vote
        return _CallsOrTexts(ToolCallVote(self.vote).counter(question, run), texts.counter(question, run))

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        texts = self.documents if wants_json(question) else self.vote
        chosen = ToolCallVote(texts) if _any_calls(sampled.candidates) else texts
        return await chosen.aggregate(question, sampled, run)

    async def aclose(self) -> None:
        """Closes the vote over texts."""
        await self.vote.aclose()

    def __repr__(self) -> str:
        return f"StructuredVote({self.vote!r})"


@dataclass(frozen=True)
class _CallsOrTexts:
    """Counts calls where there are some, else texts."""

    calls: VoteCounter
    texts: VoteCounter

    def extract(self, candidate: Candidate) -> str | None:
        return (self.calls if candidate.tool_calls else self.texts).extract(candidate)

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        return await (self.calls if _any_calls(candidates) else self.texts).tally(candidates)


def _any_calls(candidates: Sequence[Candidate]) -> bool:
    return any(c.ok and c.tool_calls for c in candidates)
