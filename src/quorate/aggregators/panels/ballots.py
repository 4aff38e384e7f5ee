"""Rankings to scores, and when the leader's margin cannot be caught up.

`borda`: a reviewer's best of m answers gets 1, the next (m - 2) / (m - 1), the last 0; an answer's score is the mean
over those who could rank it. `copeland`: an answer beats another where more reviewers put it first than behind; its
score is the share of the others that it beats, a tie counting half. Both orders in which a reviewer read the answers
count half each. A reviewer who gave no ranking puts all answers level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Rule = Literal["borda", "copeland"]
Bounds = Mapping[int, tuple[Fraction, Fraction]]
"""The least and the highest score that each answer can end with."""


@dataclass(frozen=True)
class RankedBallot:
    """What one reviewer says of the answers that are not its own: rankings, one for each order in which it read."""

    of: tuple[int, ...]
    """The answers that it could rank."""
    rankings: tuple[tuple[int, ...], ...] = ()
    """The best first."""

    def points(self, index: int) -> Fraction:
        """From 0 to 1; in the middle where it gave no ranking."""
        if not self.rankings:
            return Fraction(1, 2)
        last = len(self.of) - 1
        return sum((Fraction(last - r.index(index), last) for r in self.rankings), Fraction()) / len(self.rankings)

    def preference(self, one: int, other: int) -> Fraction:
        """Share of its rankings that put one before the other; a half where it gave none."""
        if not self.rankings:
            return Fraction(1, 2)
        return Fraction(sum(r.index(one) < r.index(other) for r in self.rankings), len(self.rankings))


def bound_scores(
    answers: Sequence[int], ballots: Sequence[RankedBallot], missing: Sequence[Sequence[int]], rule: Rule
) -> Bounds:
    """Between which scores each answer ends.

    Args:
        answers: all of them.
        ballots: that are in.
        missing: the answers that each reviewer can rank who has not been asked yet.
        rule: see the module.
    """
    find: Callable[..., Bounds] = {"borda": _bound_borda, "copeland": _bound_copeland}[rule]
    return find(answers, ballots, missing)


def _bound_borda(answers: Sequence[int], ballots: Sequence[RankedBallot], missing: Sequence[Sequence[int]]) -> Bounds:
    bounds = {}
    for answer in answers:
        given = [ballot.points(answer) for ballot in ballots if answer in ballot.of]
        open_ = sum(answer in of for of in missing)
        total, least = len(given) + open_, sum(given, Fraction())
        bounds[answer] = (least / total, (least + open_) / total) if total else (Fraction(0), Fraction(0))
    return bounds


def _bound_copeland(
    answers: Sequence[int], ballots: Sequence[RankedBallot], missing: Sequence[Sequence[int]]
) -> Bounds:
    bounds = {}
    for one in answers:
        least = most = Fraction(0)
        for other in answers:
            if other == one:
                continue
            both = [b for b in ballots if one in b.of and other in b.of]
            margin = sum((2 * b.preference(one, other) - 1 for b in both), Fraction())
            open_ = sum(one in of and other in of for of in missing)
            least += _won(margin - open_)
            most += _won(margin + open_)
        others = max(1, len(answers) - 1)
        bounds[one] = (least / others, most / others)
    return bounds


def _won(margin: Fraction) -> Fraction:
    return Fraction(1) if margin > 0 else Fraction(1, 2) if margin == 0 else Fraction(0)


def is_decided(bounds: Bounds) -> bool:
    """Whether some answer ends above all others, whatever the ballots that are missing."""
    leader = max(bounds, key=lambda answer: bounds[answer][0])
    return all(bounds[leader][0] > high for answer, (_, high) in bounds.items() if answer != leader)
