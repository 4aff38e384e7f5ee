"""Votes as integers, and what every rule makes of them: a weight for each class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum, isfinite
from typing import Protocol, runtime_checkable

from quorate.orchestrator.errors import BadInput

Weights = dict[int, float]
"""Weight of each class that has a vote; empty where all abstained."""

CLOSE = 1e-9
"""Weights that differ by less, relative to the heaviest, tie: the order of a sum decides nothing."""


@dataclass(frozen=True)
class Ballot:
    """The votes on one question, one entry a candidate.

    Raises:
        BadInput: a class is negative, or the entries are not as many as the candidates.
    """

    classes: tuple[int | None, ...]
    """Equivalence class of each candidate's answer; None abstains."""
    voters: tuple[str, ...] = ()
    """Who gave each candidate (the model); without names each candidate is a voter of its own."""
    scores: tuple[float | None, ...] = ()
    """Confidence or a verifier's score of each candidate; None and what is not finite are missing."""

    def __post_init__(self) -> None:
        for name, entries in (("voters", self.voters), ("scores", self.scores)):
            if entries and len(entries) != len(self.classes):
                raise BadInput(f"ballot: {len(entries)} {name} for {len(self.classes)} candidates")
        if any(c is not None and c < 0 for c in self.classes):
            raise BadInput("ballot: classes are numbered from 0; None abstains")

    @cached_property
    def cast(self) -> tuple[int, ...]:
        """Positions of the candidates that did not abstain."""
        return tuple(i for i, c in enumerate(self.classes) if c is not None)

    def class_of(self, position: int) -> int:
        """The class of a candidate that did not abstain."""
        number = self.classes[position]
        assert number is not None
        return number

    def voter(self, position: int) -> str:
        """Who cast this vote."""
        return self.voters[position] if self.voters else f"#{position}"

    def score(self, position: int) -> float | None:
        """This candidate's score, if it has a usable one."""
        score = self.scores[position] if self.scores else None
        return score if score is not None and isfinite(score) else None


@runtime_checkable
class Rule(Protocol):
    """What a vote weighs."""

    @property
    def name(self) -> str: ...

    def weights(self, ballot: Ballot) -> Weights:
        """The heaviest class wins."""
        ...


class ScoreRule(Protocol):
    """What votes weigh by the scores of their candidates."""

    @property
    def name(self) -> str: ...

    def values(self, scores: Sequence[float]) -> Sequence[float | None]:
        """What each candidate's vote weighs, by its score; None where it has no vote."""
        ...


class BatchRule(Protocol):
    """A rule that learns from many ballots who is to be trusted, without labels."""

    @property
    def name(self) -> str: ...

    def fit_weights(self, ballots: Sequence[Ballot]) -> list[Weights]:
        """Weights for each ballot."""
        ...


def sum_by_class(votes: Iterable[tuple[int, float]]) -> Weights:
    """Sum of the weights of each class, the same in any order."""
    parts: dict[int, list[float]] = defaultdict(list)
    for number, weight in votes:
        parts[number].append(weight)
    return {number: fsum(weights) for number, weights in sorted(parts.items())}


def leaders(weights: Mapping[int, float]) -> list[int]:
    """The heaviest classes: one, or several in a tie; none where nobody voted."""
    if not weights:
        return []
    best = max(weights.values())
    margin = CLOSE * max(1.0, abs(best))
    return [number for number, weight in weights.items() if weight >= best - margin]
