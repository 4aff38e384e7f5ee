"""One vote for whatever comes: tool calls, JSON documents or texts with an answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from pydantic import Field

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.json_schema import wants_json
from quorate.orchestrator.protocols import Aggregator, Model, VoteCounter
from quorate.orchestrator.types import Answer, Candidate, Cluster, Question, Sampled

from ..meaning.options import Classes, MeaningOptions, build_grouping
from ..specs import BuildContext, PipelineSpec
from ..votes.effective import count_effective_votes
from ..votes.majority import MajorityVote
from .calls import CallOptions, ToolCallVote
from .documents import JsonVote


class StructuredVote(Aggregator):
    """The vote that fits: over tool calls, over JSON documents, or over the answers of texts.

    Where some candidate makes a tool call, `ToolCallVote` decides whether and what to call. Else, and
    among the texts where no call wins, `JsonVote` decides if the question's `response_format` asks for
    JSON, and `vote` if not.

    Args:
        vote: the vote over texts; `MajorityVote()` by default.
        ignore_arguments: of tool calls, see `ToolCallVote`.
        error_correlation: of two samples, as `quorate eval plan` measures it; the answer then says how many
            independent votes its own amount to.

    Raises:
        BadInput: a setting is impossible.
    """

    name = "majority"

    def __init__(
        self,
        vote: MajorityVote | None = None,
        *,
        ignore_arguments: Collection[str] = (),
        error_correlation: float | None = None,
    ) -> None:
        if error_correlation is not None:
            count_effective_votes(1, error_correlation)
        self.error_correlation = error_correlation
        self.vote = vote or MajorityVote()
        self.ignore_arguments = ignore_arguments
        self._calls = ToolCallVote(self.vote, ignore_arguments=ignore_arguments)
        self.documents = JsonVote()

    @property
    def models(self) -> tuple[Model, ...]:
        return self.vote.models

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        if not self.models:
            return self
        vote, ignored = self.vote.map_models(change), self.ignore_arguments
        return type(self)(vote, ignore_arguments=ignored, error_correlation=self.error_correlation)

    def calls(self, n: int) -> int:
        return self.vote.calls(n)

    def counter(self, question: Question, run: RunContext) -> VoteCounter:
        return _CallsOrTexts(lambda: self._calls.counter(question, run), self._choose(question).counter(question, run))

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        texts = self._choose(question)
        calls = ToolCallVote(texts, ignore_arguments=self.ignore_arguments)
        chosen = calls if _any_calls(sampled.candidates) else texts
        answer = await chosen.aggregate(question, sampled, run)
        voters = sum(cluster.votes for cluster in answer.tally)
        if self.error_correlation is None or not voters:
            return answer
        return answer.replace(effective_votes=round(count_effective_votes(voters, self.error_correlation), 3))

    def _choose(self, question: Question) -> MajorityVote:
        """The vote over texts, or over JSON where that is what is asked for."""
        return self.documents if question.response_format is not None and wants_json(question) else self.vote

    async def aclose(self) -> None:
        """Closes the vote over texts."""
        await self.vote.aclose()

    def __repr__(self) -> str:
        return f"StructuredVote({self.vote!r})"


@dataclass
class _CallsOrTexts:
    """Counts calls where there are some, else texts."""

    make_calls: Callable[[], VoteCounter]
    texts: VoteCounter

    @cached_property
    def calls(self) -> VoteCounter:
        """Counts calls; most questions have none."""
        return self.make_calls()

    def extract(self, candidate: Candidate) -> str | None:
        return (self.calls if candidate.tool_calls else self.texts).extract(candidate)

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        return await (self.calls if _any_calls(candidates) else self.texts).tally(candidates)


def _any_calls(candidates: Sequence[Candidate]) -> bool:
    return any(c.ok and c.tool_calls for c in candidates)


class MajorityOptions(CallOptions, MeaningOptions):
    """What counts as one vote, and how alike voters err."""

    error_correlation: float | None = Field(default=None, ge=-1, le=1)
    """Of two samples, as `quorate eval plan` measures it; the answer then tells its effective votes."""


class MeaningVoteOptions(MajorityOptions):
    """As for `majority`."""

    classes: Classes = "judge"
    """As for `majority`."""


def _build_majority(context: BuildContext) -> StructuredVote:
    options = context.options
    return StructuredVote(
        MajorityVote().with_grouping(build_grouping(context)),
        ignore_arguments=options.ignore_arguments,
        error_correlation=options.error_correlation,
    )


PIPELINES = (
    PipelineSpec(
        "majority",
        "the most frequent answer of N samples (self-consistency)",
        "arXiv 2203.11171, section 2",
        16,
        _build_majority,
        options=MajorityOptions,
    ),
    PipelineSpec(
        "meaning",
        "the answer that most of N samples give by meaning; a model says which sentences are one",
        "semantic entropy's classes, Nature 630 (2024), in one call",
        8,
        _build_majority,
        options=MeaningVoteOptions,
    ),
)
