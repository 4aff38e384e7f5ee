"""What a rule of the replay is: it makes weights of recorded answers, without asking anybody.

`ReplayRule` sees one drawn subset at a time; `BatchReplayRule` sees those of all questions at once, for what
learns from agreement across questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from ..records import AnswerRecord, Spent


class RuleResult(NamedTuple):
    """What a rule makes of a drawn subset."""

    weights: Mapping[int, float]
    """Weight of each class; the heaviest is the answer, and ties share the credit. Empty: no answer."""
    samples: int | None = None
    """How many of the drawn samples it needed, from the first; None is all."""
    tokens: float | None = None
    """Tokens spent, where that is not what these samples hold (a trace cut while it streams)."""
    wave: int | None = None
    """Samples asked at a time; None is all at once."""


class SubsetOutcome(NamedTuple):
    """What one drawn subset of one question came to."""

    credit: float
    """Expected chance of being right."""
    samples: float
    spent: Spent
    error: float = 0.0
    """Monte Carlo standard error of the credit, for a mean over drawn subsets."""

    @property
    def tokens(self) -> float | None:
        """Generated."""
        return self.spent.tokens


class Replayable(Protocol):
    """A rule as the replay sees it."""

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def needs(self) -> frozenset[str]:
        """What the bank must have, of the words of `RecordedBank.has`."""
        ...

    @property
    def ordered(self) -> bool:
        """The order of the samples matters, so several orders are drawn even of all samples."""
        ...

    def outcomes(self, drawn: Sequence[AnswerRecord]) -> list[SubsetOutcome]:
        """One for every drawn subset; there is one subset a question."""
        ...


@runtime_checkable
class Exact(Protocol):
    """A rule whose expected credit over all subsets needs no drawing."""

    def expected_credit(self, recorded: AnswerRecord, k: int) -> float:
        """Mean credit over all subsets of k answers."""
        ...


@dataclass(frozen=True)
class ReplayRule:
    """A rule that treats every question by itself."""

    name: str
    summary: str
    source: str
    choose: Callable[[AnswerRecord], RuleResult]
    _: KW_ONLY
    needs: frozenset[str] = frozenset()
    ordered: bool = False

    def outcomes(self, drawn: Sequence[AnswerRecord]) -> list[SubsetOutcome]:
        return [_outcome(one, self.choose(one)) for one in drawn]


@dataclass(frozen=True)
class BatchReplayRule:
    """A rule that learns from all questions together."""

    name: str
    summary: str
    source: str
    choose: Callable[[Sequence[AnswerRecord]], Sequence[RuleResult]]
    _: KW_ONLY
    needs: frozenset[str] = frozenset()
    ordered: bool = False

    def outcomes(self, drawn: Sequence[AnswerRecord]) -> list[SubsetOutcome]:
        return [_outcome(one, chosen) for one, chosen in zip(drawn, self.choose(drawn), strict=True)]


def _outcome(drawn: AnswerRecord, chosen: RuleResult) -> SubsetOutcome:
    samples = len(drawn) if chosen.samples is None else chosen.samples
    spent = drawn.spend(samples, chosen.wave) if chosen.tokens is None else Spent(tokens=chosen.tokens)
    return SubsetOutcome(drawn.credit(chosen.weights), samples, spent)


def count_classes(classes: Iterable[int | None]) -> dict[int, float]:
    """Votes of each class: the weights of plurality; abstentions vote for nothing."""
    return {number: float(votes) for number, votes in Counter(c for c in classes if c is not None).items()}


def describe_rule(name: str) -> tuple[str, str]:
    """Summary and source of a pipeline, as the registry has them."""
    from quorate.aggregators.registry import PIPELINES

    spec = PIPELINES[name]
    return spec.summary, spec.source
