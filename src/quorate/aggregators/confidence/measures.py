"""How sure a model was of a trace, from the log-probabilities of its tokens.

| measure | formula | source |
|---|---|---|
| `MeanLogprob` | mean of log p(token) | the model's own likelihood, by length |
| `SelfCertainty` | -(1 / nV) sum over tokens and vocabulary of log(V p) | arXiv 2502.18581, section 3 |
| `TokenConfidence` | mean of C, where C = -mean of log p over a token's top candidates | DeepConf, arXiv 2508.15260 |
| `LowestGroup` | the least mean of C over a sliding window | the same, section 3 |
| `BottomGroups` | mean over the lowest tenth of these windows | the same |
| `Tail` | mean of C over the last window | the same |

A measure is a function from a candidate to a number, higher being surer. It gives None where it
cannot tell: the candidate has no log-probabilities, one of those it needs is missing, or one is not
a finite number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, exp, expm1, fsum, log, nan
from typing import ClassVar

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Candidate, TokenLogprob

WINDOW = 2048
"""Tokens of a group, as in the paper."""

LARGEST = 1e15
"""No honest value is further from zero; NaN compares with nothing."""


class Measure(ABC):
    """A confidence measure; compare its values within one question and one model."""

    name: ClassVar[str]
    alternatives: ClassVar[int] = 20
    """`SamplingParams.top_logprobs` that it needs."""

    def __call__(self, candidate: Candidate) -> float | None:
        """The candidate's confidence, or None."""
        values = self.values(candidate.logprobs or ())
        return self.score(values) if _sane(values) else None

    def values(self, tokens: Sequence[TokenLogprob]) -> list[float]:
        """One number a token; NaN where it cannot be told."""
        return [token_confidence(token) for token in tokens]

    @abstractmethod
    def score(self, values: Sequence[float]) -> float:
        """Of the whole trace."""

    def weight(self, score: float) -> float:
        """What a vote of this confidence weighs; never negative."""
        return max(0.0, score)


def token_confidence(token: TokenLogprob) -> float:
    """-mean of log p over the candidates reported for this place; NaN where there are none, or not all are numbers."""
    logs = [p for _, p in token.top]
    return -fsum(logs) / len(logs) if _sane(logs) else nan


@dataclass(frozen=True)
class MeanLogprob(Measure):
    """Mean log-probability of the tokens written; a vote weighs its exponential, one over the perplexity."""

    name: ClassVar[str] = "mean-logprob"
    alternatives: ClassVar[int] = 0

    def values(self, tokens: Sequence[TokenLogprob]) -> list[float]:
        return [token.logprob for token in tokens]

    def score(self, values: Sequence[float]) -> float:
        return _mean(values)

    def weight(self, score: float) -> float:
        return exp(min(0.0, score))


@dataclass(frozen=True)
class SelfCertainty(Measure):
    """How far the next-token distributions are from uniform: the mean of KL(uniform || p).

    Exact where a token's `top` holds the whole vocabulary. With fewer entries it is approximated:
    if the size of the vocabulary is given, the mass that is left is spread evenly over the rest,
    which gives a lower bound (Jensen); if not, the reported entries are taken for the vocabulary,
    which ranks traces as `TokenConfidence` does.

    Args:
        vocabulary: its size, where known.
    """

    vocabulary: int | None = None
    name: ClassVar[str] = "self-certainty"

    def __post_init__(self) -> None:
        if self.vocabulary is not None and self.vocabulary < 2:
            raise BadInput(f"SelfCertainty(vocabulary={self.vocabulary}): a vocabulary holds at least 2 tokens")

    def values(self, tokens: Sequence[TokenLogprob]) -> list[float]:
        return [self._of(token) for token in tokens]

    def _of(self, token: TokenLogprob) -> float:
        logs = [p for _, p in token.top]
        if not _sane(logs):
            return nan
        size = max(self.vocabulary or 0, len(logs))
        rest = size - len(logs)
        total = fsum(logs)
        if rest:
            total += rest * (_log_remainder(logs) - log(rest))
        return -total / size - log(size)

    def score(self, values: Sequence[float]) -> float:
        return _mean(values)


@dataclass(frozen=True)
class TokenConfidence(Measure):
    """DeepConf's mean over the whole trace."""

    name: ClassVar[str] = "token-confidence"

    def score(self, values: Sequence[float]) -> float:
        return _mean(values)


@dataclass(frozen=True)
class Grouped(Measure):
    """A measure by groups of neighbouring tokens.

    Args:
        window: tokens of a group; a shorter trace is one group.
    """

    window: int = WINDOW

    def __post_init__(self) -> None:
        if self.window < 1:
            raise BadInput(f"{type(self).__name__}(window={self.window}): a group holds at least 1 token")

    def groups(self, values: Sequence[float]) -> list[float]:
        """Means over every window of neighbours."""
        width = min(self.window, len(values))
        sums = [0.0, *accumulate(values)]
        return [(sums[end] - sums[end - width]) / width for end in range(width, len(values) + 1)]


@dataclass(frozen=True)
class LowestGroup(Grouped):
    """The group of which the model was least sure: one bad stretch can spoil a proof."""

    name: ClassVar[str] = "lowest-group"

    def score(self, values: Sequence[float]) -> float:
        return min(self.groups(values))


@dataclass(frozen=True)
class BottomGroups(Grouped):
    """Mean over the groups of which it was least sure.

    Args:
        window: tokens of a group.
        share: how many of the groups, above 0 and at most 1.
    """

    share: float = 0.1
    name: ClassVar[str] = "bottom-groups"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise BadInput(f"BottomGroups(share={self.share}): the share lies above 0 and is at most 1, such as 0.1")

    def score(self, values: Sequence[float]) -> float:
        groups = sorted(self.groups(values))
        return _mean(groups[: ceil(self.share * len(groups))])


@dataclass(frozen=True)
class Tail(Grouped):
    """Mean over the last group, where the answer is worked out."""

    name: ClassVar[str] = "tail"

    def score(self, values: Sequence[float]) -> float:
        return _mean(values[-self.window :])


def _sane(values: Sequence[float]) -> bool:
    return bool(values) and all(abs(value) <= LARGEST for value in values)


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)


def _log_remainder(logs: Sequence[float]) -> float:
    """log(1 - sum of the probabilities), never below that of rounding."""
    peak = max(logs)
    total = min(0.0, peak + log(fsum(exp(p - peak) for p in logs)))
    return log(max(-expm1(total), 1e-12))
