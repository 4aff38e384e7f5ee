"""Confidence votes, and DeepConf online on traces that were recorded whole, as rules of the replay.

They need the log-probabilities of every answer, which runs of `quorate eval run` keep where their
pipeline asked for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from quorate.aggregators.confidence import (
    ConfidenceVote,
    DeepConfVote,
    LowestGroup,
    MeanLogprob,
    Measure,
    SelfCertainty,
    stopped_at,
)
from quorate.aggregators.votes import Borda
from quorate.orchestrator.types import Candidate

from ..records import AnswerRecord
from .contract import Replayable, ReplayRule, RuleResult, describe_rule

WARM_UP = 16
KEEP = 0.9
CONSENSUS = 0.95
SHORT = 32
"""A group's tokens where traces have some hundreds, as the embedded models' do."""
NEEDS = frozenset({"candidates", "logprobs"})


def trace_rules() -> Iterator[Replayable]:
    """Every rule that reads log-probabilities."""
    summary, source = describe_rule("confidence")
    short = f"with groups of {SHORT} tokens"
    surest = _TraceVote(ConfidenceVote(LowestGroup(), keep=KEEP))
    yield ReplayRule("confidence", summary, source, surest, needs=NEEDS)
    surest = _TraceVote(ConfidenceVote(LowestGroup(SHORT), keep=KEEP))
    yield ReplayRule("confidence-short", f"{summary}, {short}", source, surest, needs=NEEDS)
    likeliest = _TraceVote(ConfidenceVote(MeanLogprob()))
    words = ("votes weighted by the mean probability of their tokens", "the model's own likelihood")
    yield ReplayRule("mean-logprob", *words, likeliest, needs=NEEDS)
    certain = _TraceVote(ConfidenceVote(SelfCertainty(), Borda(0.5)))
    yield ReplayRule("self-certainty", *describe_rule("self-certainty"), certain, needs=NEEDS)
    summary, source = describe_rule("deepconf")
    needs = NEEDS | {"tokens"}
    online = _OnlineVote(LowestGroup().window)
    yield ReplayRule("deepconf", summary, source, online, needs=needs, ordered=True)
    yield ReplayRule("deepconf-short", f"{summary}, {short}", source, _OnlineVote(SHORT), needs=needs, ordered=True)


class _MeasuredTraces:
    """A measure that is computed once a recorded trace."""

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        self._known: dict[int, tuple[Candidate, float | None]] = {}

    def of(self, drawn: AnswerRecord) -> dict[int, float | None]:
        """By position."""
        return {i: self._measure(candidate) for i, candidate in enumerate(drawn.columns["candidates"])}

    def _measure(self, candidate: Candidate) -> float | None:
        if id(candidate) not in self._known:  # this keeps it alive, so its id stays its own
            self._known[id(candidate)] = (candidate, self.measure(candidate))
        return self._known[id(candidate)][1]


class _TraceVote:
    """A weighted vote."""

    def __init__(self, vote: ConfidenceVote) -> None:
        self.vote = vote
        self.scores = _MeasuredTraces(vote.measure)

    def __call__(self, drawn: AnswerRecord) -> RuleResult:
        return RuleResult(_tally(drawn, self.vote.weigh_confidence(self.scores.of(drawn))))


class _OnlineVote:
    """Stops unsure traces after the warm-up, and sampling at the consensus."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.vote = DeepConfVote(warm_up=WARM_UP, keep=KEEP, window=window)
        self.scores = _MeasuredTraces(self.vote.measure)

    def __call__(self, drawn: AnswerRecord) -> RuleResult:
        first = min(WARM_UP, len(drawn))
        scores = self.scores.of(drawn)
        known = {i: score for i in range(first) if (score := scores[i]) is not None}
        threshold = self.vote.rule.threshold(list(known.values())) if known else None
        kept, tokens = dict.fromkeys(range(first)), drawn.count_tokens(first) or 0.0
        used = first
        for i in range(first, len(drawn)):
            if self._is_settled(drawn, scores, kept):
                break
            used += 1
            cost = self._cost_if_stopped(drawn.columns["candidates"][i], threshold)
            if cost is None:
                kept[i] = None
                cost = int(drawn.columns["tokens"][i])
            tokens += cost
        return RuleResult(self._tally(drawn, scores, kept), samples=used, tokens=tokens)

    def _cost_if_stopped(self, candidate: Candidate, threshold: float | None) -> int | None:
        return None if threshold is None else stopped_at(candidate.logprobs or (), threshold, self.window)

    def _tally(
        self, drawn: AnswerRecord, scores: Mapping[int, float | None], kept: Mapping[int, None]
    ) -> dict[int, float]:
        return _tally(drawn, self.vote.weigh_confidence({i: scores[i] for i in kept}))

    def _is_settled(self, drawn: AnswerRecord, scores: Mapping[int, float | None], kept: Mapping[int, None]) -> bool:
        weights = self._tally(drawn, scores, kept).values()
        return bool(weights) and max(weights) >= CONSENSUS * sum(weights)


def _tally(drawn: AnswerRecord, weights: Mapping[int, float]) -> dict[int, float]:
    """Weights of the classes; all answers count alike where none of those kept says anything."""
    found: dict[int, float] = defaultdict(float)
    for i, weight in weights.items():
        if (number := drawn.classes[i]) is not None:
            found[number] += weight
    return dict(found) or {number: 1.0 for number in drawn.classes if number is not None}
