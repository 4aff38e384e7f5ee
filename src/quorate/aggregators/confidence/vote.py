"""Votes weighted by the confidence of the traces.

`ConfidenceVote(measure, keep=0.9)` is DeepConf's offline method (Fu et al., arXiv 2508.15260, section 3): keep the
top share of traces by confidence and weight their votes by it. `ConfidenceVote(SelfCertainty(), Borda(0.5))` weights
by rank alone (Kang et al., arXiv 2502.18581, section 5). Different from the papers: answers are counted by
equivalence, and traces of unknown confidence have a stated weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import floor, fsum
from typing import Literal

from pydantic import Field

from quorate.orchestrator.checks import is_number
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.reading import Equivalence, Extractor
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Question, Sampled

from ..meaning.counter import MeaningCounter
from ..specs import BuildContext, Options, PipelineSpec
from ..votes.ballot import ScoreRule
from ..votes.majority import AnswerCounter, MajorityVote, count_votes
from ..votes.rules import Borda
from ..votes.scored_vote import weigh_votes
from .measures import BottomGroups, LowestGroup, MeanLogprob, Measure, SelfCertainty, Tail, TokenConfidence


class TopShare:
    """The surest traces vote, and weigh by how sure they are; where all weigh nothing, they vote alike.

    Args:
        keep: share of the traces, above 0 and at most 1; those as sure as the last one kept are kept too.
        weight: from a trace's confidence to what its vote weighs, such as `Measure.weight`.

    Raises:
        BadInput: keep is impossible.
    """

    name = "top-share"

    def __init__(self, keep: float, weight: Callable[[float], float]) -> None:
        check_share(keep, "confidence vote")
        self.keep, self.weight = keep, weight

    def threshold(self, scores: Sequence[float]) -> float:
        """The least confidence that is kept."""
        return percentile(scores, 1 - self.keep)

    def values(self, scores: Sequence[float], threshold: float | None = None) -> list[float | None]:
        """See `ScoreRule`.

        Args:
            scores: the confidence of each trace.
            threshold: the least that is kept; that of these scores if not given.
        """
        if not scores:
            return []
        least = self.threshold(scores) if threshold is None else threshold
        values = [self.weight(score) if score >= least else None for score in scores]
        if any(values):
            return values
        return [None if value is None else 1.0 for value in values]

    def __repr__(self) -> str:
        return f"keep={self.keep:g}"


class ConfidenceVote(MajorityVote):
    """The answer of the heaviest class; a vote weighs what its trace's confidence says.

    A candidate whose confidence is unknown (no log-probabilities, or one that is not a number) is
    not weighted: it is never filtered out and has the mean weight of the others, and the answer is
    marked `no_confidence`. Where no confidence is known, all weigh nothing, or those kept state no
    answer, this is the plurality. Ties, failures and abstentions are treated as in `MajorityVote`.

    Args:
        measure: of the confidence; `LowestGroup()` by default. Any function will do that has the
            methods of `Measure`.
        rule: what votes of such confidence weigh; `TopShare(keep, measure.weight)` by default.
        keep: share of the traces that are kept, the surest, above 0 and at most 1; for a rule of yours it is 1.
        name: of the vote.
        extractor: see `MajorityVote`.
        equivalence: see `MajorityVote`.

    Raises:
        BadInput: keep is impossible.
    """

    name = "confidence"

    def __init__(
        self,
        measure: Measure | None = None,
        rule: ScoreRule | None = None,
        *,
        keep: float = 1.0,
        name: str | None = None,
        extractor: Extractor | None = None,
        equivalence: Equivalence | None = None,
    ) -> None:
        check_share(keep, type(self).__name__)
        if rule is not None and keep != 1:
            raise BadInput(f"{type(self).__name__}(keep={keep}): {rule!r} says itself which traces are kept")
        super().__init__(extractor, equivalence)
        self.measure = measure or LowestGroup()
        self.rule: ScoreRule = rule or TopShare(keep, self.measure.weight)
        self.name = name or type(self).name

    def weigh_confidence(self, confidence: Mapping[int, float | None]) -> dict[int, float]:
        """What each trace's vote weighs; those that are filtered out are missing.

        Args:
            confidence: by the candidates' indices; None where it is unknown.
        """
        known = {index: score for index, score in confidence.items() if score is not None}
        values = zip(known, self.values(known), strict=True)
        weights = {index: value for index, value in values if value is not None}
        mean = fsum(weights.values()) / len(weights) if weights else 1.0
        return weights | {index: mean for index, score in confidence.items() if score is None}

    def values(self, known: Mapping[int, float]) -> Sequence[float | None]:
        """What the votes of these traces weigh, by their confidence; None where they are filtered out."""
        return self.rule.values(list(known.values()))

    def counter(self, question: Question, run: RunContext) -> AnswerCounter | MeaningCounter:
        """See `protocols.Aggregator`; each trace is measured once."""
        measured: dict[int, float | None] = {}

        def weigh(candidates: Sequence[Candidate], tally: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
            measured.update({c.index: self.measure(c) for c in candidates if c.index not in measured})
            confidence = {c.index: measured[c.index] for c in candidates}
            return weigh_votes(candidates, tally, self.weigh_confidence(confidence))

        return super().counter(question, run).with_weights(weigh)

    def weigh(self, candidates: Sequence[Candidate], tally: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
        return weigh_votes(candidates, tally, self.weigh_confidence({c.index: self.measure(c) for c in candidates}))

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        sampled = await count_votes(self.counter(question, run), sampled)
        answer = await super().aggregate(question, sampled, run)
        unknown = sum(c.answer is not None and self.measure(c) is None for c in sampled.good)
        if not unknown:
            return answer
        detail = (
            f"{unknown} voters have no {self.measure.name} (their log-probabilities are missing or not numbers) "
            "and weigh the mean of the others; ask for them with SamplingParams.top_logprobs"
        )
        note = Degradation(code="no_confidence", where=f"{run.node}: {self.name}", detail=detail)
        return answer.replace(degraded=(*answer.degraded, note))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.measure!r}, {self.rule!r})"


def check_share(keep: float, where: str) -> None:
    """Refuses what cannot be the share of traces to keep.

    Raises:
        BadInput: it is no share of the traces that could be kept.
    """
    if not (is_number(keep) and 0 < keep <= 1):
        raise BadInput(f"{where}(keep={keep}): the share lies above 0 and is at most 1, such as 0.9")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies, by linear interpolation as numpy has it."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = min(floor(place), len(ordered) - 1)
    above = min(below + 1, len(ordered) - 1)
    # The difference is rounded, so that a threshold does not exceed the value it falls on.
    return ordered[below] + (ordered[above] - ordered[below]) * round(place - below, 12)


class ConfidenceOptions(Options):
    """How confidence is measured and used."""

    measure: Literal["mean-logprob", "self-certainty", "token-confidence", "lowest-group", "bottom-groups", "tail"] = (
        "lowest-group"
    )
    """Of a trace, from its log-probabilities."""
    keep: float = Field(default=0.9, gt=0, le=1)
    """Share of the traces that vote, the surest."""
    window: int = Field(default=2048, ge=1)
    """Tokens of a group, for the last three measures."""


class SelfCertaintyOptions(Options):
    """How strongly rank counts."""

    power: float = Field(default=0.5, ge=0, le=10)
    """A vote of rank r among N weighs (N - r + 1) ** power; 0 is the plurality."""


def _choose_measure(options: ConfidenceOptions) -> Measure:
    grouped: dict[str, Callable[[int], Measure]] = {
        "lowest-group": LowestGroup,
        "bottom-groups": BottomGroups,
        "tail": Tail,
    }
    plain: dict[str, Callable[[], Measure]] = {
        "mean-logprob": MeanLogprob,
        "self-certainty": SelfCertainty,
        "token-confidence": TokenConfidence,
    }
    if options.measure in grouped:
        return grouped[options.measure](options.window)
    return plain[options.measure]()


def _build_confidence(context: BuildContext) -> Pipeline:
    measure = _choose_measure(context.options)
    return context.sample(top_logprobs=measure.alternatives) | ConfidenceVote(measure, keep=context.options.keep)


def build_self_certainty(context: BuildContext) -> Pipeline:
    """`self-certainty@N` over the models of the context."""
    measure = SelfCertainty()
    return context.sample(top_logprobs=measure.alternatives) | ConfidenceVote(
        measure, Borda(context.options.power), name="confidence-borda"
    )


PIPELINES = (
    PipelineSpec(
        "confidence",
        "a vote of the surest of N samples, weighted by the model's confidence (DeepConf offline)",
        "arXiv 2508.15260, section 3",
        16,
        _build_confidence,
        options=ConfidenceOptions,
    ),
    PipelineSpec(
        "self-certainty",
        "a Borda vote of N samples, ranked by how sure the model was",
        "arXiv 2502.18581, section 4",
        16,
        build_self_certainty,
        options=SelfCertaintyOptions,
    ),
)
