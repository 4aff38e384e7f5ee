"""Votes weighted by the confidence of the traces.

`ConfidenceVote` is DeepConf's offline method (Fu et al., arXiv 2508.15260, section 3): keep the
top share of traces by confidence and weight their votes by it. `ConfidenceBorda` weights by rank
alone (Kang et al., arXiv 2502.18581, section 4). Different from the papers: answers are counted by
equivalence, and traces of unknown confidence have a stated weight.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from math import floor, fsum

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.protocols import Equivalence, Extractor
from quorate.orchestrator.types import Candidate, Cluster, Degradation, Question

from ..tallying import Vote, clusters
from ..vote import MajorityVote
from .measures import LowestGroup, Measure, SelfCertainty

__all__ = ["ConfidenceBorda", "ConfidenceVote", "check_share", "percentile"]


class ConfidenceVote(MajorityVote):
    """The answer of the heaviest class; a vote weighs what its trace's confidence says.

    A candidate whose confidence is unknown (no log-probabilities, or one that is not a number) is
    not weighted: it is never filtered out and has the mean weight of the others, and the answer is
    marked `no_confidence`. Where no confidence is known, all weigh nothing, or those kept state no
    answer, this is the plurality. Ties, failures and abstentions are treated as in `MajorityVote`.

    Args:
        measure: of the confidence; `LowestGroup()` by default. Any function will do that has the
            methods of `Measure`.
        keep: share of the traces that are kept, the surest, above 0 and at most 1; those as sure
            as the last one kept are kept too.
        extractor: see `MajorityVote`.
        equivalence: see `MajorityVote`.

    Raises:
        BadInput: keep is impossible.
    """

    name = "confidence"

    def __init__(
        self,
        measure: Measure | None = None,
        *,
        keep: float = 1.0,
        extractor: Extractor | None = None,
        equivalence: Equivalence | None = None,
    ) -> None:
        check_share(keep, type(self).__name__)
        super().__init__(extractor, equivalence)
        self.measure = measure or LowestGroup()
        self.keep = keep

    def weights(self, candidates: Sequence[Candidate]) -> dict[int, float]:
        """What each of these traces weighs, by index; those that are filtered out are missing."""
        return self.weights_of({c.index: self.measure(c) for c in candidates})

    def weights_of(self, confidence: Mapping[int, float | None]) -> dict[int, float]:
        """The same from the confidence of each, None where it is unknown."""
        scores = {index: score for index, score in confidence.items() if score is not None}
        weights = self.weighed(scores)
        mean = fsum(weights.values()) / len(weights) if weights else 0.0
        if mean <= 0:
            return {index: 1.0 for index in confidence if index in weights or index not in scores}
        return weights | {index: mean for index in confidence if index not in scores}

    def weighed(self, scores: Mapping[int, float]) -> dict[int, float]:
        """Weights of those who are kept, from the confidence of all."""
        if not scores:
            return {}
        threshold = self.threshold(scores)
        return {i: self.measure.weight(score) for i, score in scores.items() if score >= threshold}

    def threshold(self, scores: Mapping[int, float]) -> float:
        """The least confidence that is kept."""
        return percentile(list(scores.values()), 1 - self.keep)

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        """See `protocols.VoteCounter`."""
        answers = {c.index: answer for c in candidates if (answer := self.extract(c)) is not None}
        weights = self.weights([c for c in candidates if c.ok])
        votes = [Vote(i, answers[i], weight) for i, weight in weights.items() if i in answers]
        return await clusters(votes or [Vote(i, answer) for i, answer in answers.items()], self.equivalence)

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; one `Done`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        unknown = [c.index for c in candidates if self.extract(c) is not None and self.measure(c) is None]
        async with aclosing(super().aggregate(question, candidates, run)) as events:
            async for event in events:
                if isinstance(event, Done) and unknown:
                    notes = (*event.answer.degraded, self._unknown(unknown, run))
                    yield Done(answer=event.answer.replace(degraded=notes))
                else:
                    yield event

    def _unknown(self, indices: Sequence[int], run: RunContext) -> Degradation:
        detail = (
            f"{len(indices)} voters have no {self.measure.name} (their log-probabilities are missing or not numbers) "
            "and weigh the mean of the others; ask for them with Sampling.top_logprobs"
        )
        return Degradation(code="no_confidence", where=f"{run.node}: {self.name}", detail=detail)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.measure!r}, keep={self.keep:g})"


class ConfidenceBorda(ConfidenceVote):
    """Votes weighted by the rank r of their confidence among the N known: (N - r + 1) ** power.

    Equal confidence shares the mean of its ranks' weights.

    Args:
        measure: `SelfCertainty()` by default, as in the paper.
        power: 0 is the plurality, 1 plain Borda; the larger, the more the surest decide.
        extractor: see `MajorityVote`.
        equivalence: see `MajorityVote`.
    """

    name = "confidence-borda"

    def __init__(
        self,
        measure: Measure | None = None,
        *,
        power: float = 0.5,
        extractor: Extractor | None = None,
        equivalence: Equivalence | None = None,
    ) -> None:
        if not 0 <= power <= 10:
            raise BadInput(f"ConfidenceBorda(power={power}): the power lies between 0 and 10, such as 0.5")
        super().__init__(measure or SelfCertainty(), extractor=extractor, equivalence=equivalence)
        self.power = power

    def weighed(self, scores: Mapping[int, float]) -> dict[int, float]:
        """See `ConfidenceVote`."""
        places: dict[float, list[float]] = {}
        for place, score in enumerate(sorted(scores.values()), start=1):
            places.setdefault(score, []).append(place**self.power)
        return {index: fsum(places[score]) / len(places[score]) for index, score in scores.items()}

    def __repr__(self) -> str:
        return f"ConfidenceBorda({self.measure!r}, power={self.power:g})"


def check_share(keep: float, where: str) -> None:
    """Refuses what cannot be the share of traces to keep.

    Raises:
        BadInput: it is no share of the traces that could be kept.
    """
    if not 0 < keep <= 1:
        raise BadInput(f"{where}(keep={keep}): the share lies above 0 and is at most 1, such as 0.9")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies, by linear interpolation as numpy has it."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = min(floor(place), len(ordered) - 1)
    above = min(below + 1, len(ordered) - 1)
    # The difference is rounded, so that a threshold does not exceed the value it falls on.
    return ordered[below] + (ordered[above] - ordered[below]) * round(place - below, 12)
