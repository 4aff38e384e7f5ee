"""How far the drafter goes on before the verifiers look.

What a greedy ensemble says does not depend on this; how fast it is does. With a drafter step of cost 1,
a verification of cost V and a share p of tokens that get ensembled, drafts of about sqrt(2 V / p) tokens
cost least when nothing tells where the ensemble will step in. The drafter tells: tokens it is unsure of
are where verifiers disagree, so a draft also ends behind the first of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from quorate.orchestrator.errors import BadInput

__all__ = ["Adaptive", "Fixed", "Lookahead", "Pace"]


class Pace(Protocol):
    """The lookahead of one answer."""

    def length(self) -> int:
        """Tokens of the next draft at most."""
        ...

    @property
    def until(self) -> float:
        """The draft ends behind the first token that is less likely than this."""
        ...

    def note(self, drafted: int, kept: int) -> None:
        """So many tokens were drafted, and so many of them stand; the ensemble overruled or confirmed the next."""
        ...


class Lookahead(Protocol):
    """A rule for lookaheads."""

    def pace(self, verifiers: int) -> Pace:
        """Of a new answer with so many verifiers."""
        ...


@dataclass(frozen=True)
class Fixed:
    """Drafts of n tokens, as the paper has them (n = 5)."""

    n: int = 5
    until: float = 0.0

    def __post_init__(self) -> None:
        if self.n < 1 or not 0 <= self.until <= 1:
            raise BadInput(f"Fixed(n={self.n}, until={self.until}): n is at least 1, until a probability")

    def pace(self, verifiers: int) -> Pace:  # noqa: ARG002
        """See `Lookahead`."""
        return self

    def length(self) -> int:
        """See `Pace`."""
        return self.n

    def note(self, drafted: int, kept: int) -> None:
        """Changes nothing."""


@dataclass(frozen=True)
class Adaptive:
    """As long as what was kept so far makes cheapest, and never beyond an unsure token."""

    least: int = 2
    most: int = 24
    until: float = 0.5
    cost: float = 1.2
    """Of one verification, in steps of the drafter."""

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most or not 0 <= self.until <= 1 or self.cost <= 0:
            raise BadInput(f"{self}: 1 <= least <= most, until is a probability, cost above 0")

    def pace(self, verifiers: int) -> Pace:
        """See `Lookahead`."""
        return _AdaptivePace(self, verifiers)


@dataclass
class _AdaptivePace:
    rule: Adaptive
    verifiers: int
    drafted: float = 30.0
    """Tokens seen by the verifiers, with what is assumed before the first."""
    wasted: float = 1.0
    """Drafts of which a part had to be thrown away."""

    @property
    def until(self) -> float:
        return self.rule.until

    def length(self) -> int:
        share = self.wasted / self.drafted
        best = math.sqrt(2 * self.rule.cost * max(1, self.verifiers) / share)
        return max(self.rule.least, min(self.rule.most, round(best)))

    def note(self, drafted: int, kept: int) -> None:
        """Only what a draft's end could have spared counts: an ensembled last token wasted nothing."""
        self.drafted += min(drafted, kept + 1)
        self.wasted += kept + 1 < drafted
