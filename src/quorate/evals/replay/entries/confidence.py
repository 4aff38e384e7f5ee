"""Confidence votes, and DeepConf online on traces that were recorded whole.

They need the log-probabilities of every answer, which runs of `quorate eval run` keep where their
pipeline asked for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from quorate.aggregators.confidence import (
    ConfidenceBorda,
    ConfidenceVote,
    DeepConfVote,
    LowestGroup,
    MeanLogprob,
    Measure,
    SelfCertainty,
    stopped_at,
)
from quorate.orchestrator.types import Candidate

from ..records import Recorded
from ..registry import Chosen, Entry, Replayable

__all__ = ["ENTRIES"]

WARM_UP = 16
KEEP = 0.9
CONSENSUS = 0.95
SHORT = 32
"""A group's tokens where traces have some hundreds, as the embedded models' do."""


class _Scores:
    """A measure that is computed once a recorded trace."""

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        self._known: dict[int, tuple[Candidate, float | None]] = {}

    def of(self, drawn: Recorded) -> dict[int, float | None]:
        """By position."""
        return {i: self._one(candidate) for i, candidate in enumerate(drawn.columns["candidates"])}

    def _one(self, candidate: Candidate) -> float | None:
        if id(candidate) not in self._known:  # the entry keeps it alive, so its id stays its own
            self._known[id(candidate)] = (candidate, self.measure(candidate))
        return self._known[id(candidate)][1]


class _Vote:
    """A weighted vote."""

    def __init__(self, vote: ConfidenceVote) -> None:
        self.vote = vote
        self.scores = _Scores(vote.measure)

    def __call__(self, drawn: Recorded) -> Chosen:
        return Chosen(_tally(drawn, self.vote.weights_of(self.scores.of(drawn))))


class _Online:
    """Stops unsure traces after the warm-up, and sampling at the consensus."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.vote = DeepConfVote(warm_up=WARM_UP, keep=KEEP, window=window)
        self.scores = _Scores(self.vote.measure)

    def __call__(self, drawn: Recorded) -> Chosen:
        first = min(WARM_UP, len(drawn))
        scores = self.scores.of(drawn)
        told = {i: score for i in range(first) if (score := scores[i]) is not None}
        threshold = self.vote.threshold(told) if told else None
        kept, tokens = dict.fromkeys(range(first)), drawn.spent(first) or 0.0
        used = first
        for i in range(first, len(drawn)):
            if self._agreed(drawn, scores, kept):
                break
            used += 1
            cost = self._stopped(drawn.columns["candidates"][i], threshold)
            if cost is None:
                kept[i] = None
                cost = int(drawn.columns["tokens"][i])
            tokens += cost
        return Chosen(self._tally(drawn, scores, kept), samples=used, tokens=tokens)

    def _stopped(self, candidate: Candidate, threshold: float | None) -> int | None:
        return None if threshold is None else stopped_at(candidate.logprobs or (), threshold, self.window)

    def _tally(self, drawn: Recorded, scores: Mapping[int, float | None], kept: Mapping[int, None]) -> dict[int, float]:
        return _tally(drawn, self.vote.weights_of({i: scores[i] for i in kept}))

    def _agreed(self, drawn: Recorded, scores: Mapping[int, float | None], kept: Mapping[int, None]) -> bool:
        weights = self._tally(drawn, scores, kept).values()
        return bool(weights) and max(weights) >= CONSENSUS * sum(weights)


def _tally(drawn: Recorded, weights: Mapping[int, float]) -> dict[int, float]:
    """Weights of the classes; all answers count alike where none of those kept says anything."""
    found: dict[int, float] = defaultdict(float)
    for i, weight in weights.items():
        if (number := drawn.classes[i]) is not None:
            found[number] += weight
    return dict(found) or {number: 1.0 for number in drawn.classes if number is not None}


NEEDS = frozenset({"candidates", "logprobs"})
_LONG = "DeepConf offline, arXiv 2508.15260, section 3"

ENTRIES: Sequence[Replayable] = (
    Entry(
        "confidence",
        "the surest nine tenths by lowest group, weighted by it",
        _LONG,
        _Vote(ConfidenceVote(LowestGroup(), keep=KEEP)),
        needs=NEEDS,
    ),
    Entry(
        "confidence-short",
        f"the same with groups of {SHORT} tokens",
        _LONG,
        _Vote(ConfidenceVote(LowestGroup(SHORT), keep=KEEP)),
        needs=NEEDS,
    ),
    Entry(
        "mean-logprob",
        "votes weighted by the mean probability of their tokens",
        "the model's own likelihood",
        _Vote(ConfidenceVote(MeanLogprob())),
        needs=NEEDS,
    ),
    Entry(
        "self-certainty",
        "Borda by self-certainty, from the alternatives recorded",
        "arXiv 2502.18581, section 4",
        _Vote(ConfidenceBorda(SelfCertainty())),
        needs=NEEDS,
    ),
    Entry(
        "deepconf",
        f"traces after {WARM_UP} are stopped when unsure; ends at a consensus of 95 %",
        "DeepConf online, arXiv 2508.15260, section 3.3",
        _Online(LowestGroup().window),
        needs=NEEDS | {"tokens"},
        ordered=True,
    ),
    Entry(
        "deepconf-short",
        f"the same with groups of {SHORT} tokens",
        "DeepConf online, arXiv 2508.15260, section 3.3",
        _Online(SHORT),
        needs=NEEDS | {"tokens"},
        ordered=True,
    ),
)
