"""Adaptive-Consistency (Aggarwal et al., arXiv 2305.11860, section 3: the Beta criterion)."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import comb

from quorate.orchestrator.errors import BadInput

from .draws import Draws, SequenceRule

__all__ = ["AdaptiveConsistency", "lead_probability"]


class AdaptiveConsistency(SequenceRule):
    """Stop when the leading answer would very likely keep its lead over the second.

    With a votes for the first and b for the second, that is P(X > 1/2) for X ~ Beta(a + 1, b + 1).
    Candidates that failed or abstained count for nothing, so at 0.95 four equal answers are enough.

    Args:
        threshold: the probability asked for, above 0.5 and below 1.
    """

    def __init__(self, threshold: float = 0.95) -> None:
        if not 0.5 < threshold < 1:
            raise BadInput(f"AdaptiveConsistency({threshold}): the threshold must lie between 0.5 and 1, such as 0.95")
        self.threshold = threshold
        self._exact = Fraction(threshold)

    def enough(self, draws: Draws) -> bool:
        """See `SequenceRule`."""
        return bool(draws.counts) and lead_probability(*_top_two(draws)) >= self._exact

    def why(self, draws: Draws) -> str:
        """See `SequenceRule`."""
        a, b = _top_two(draws)
        lead = float(lead_probability(a, b))
        return f"adaptive consistency: {a} to {b} votes, P(lead holds) = {lead:.3f} >= {self.threshold:g}"

    def __str__(self) -> str:
        return f"stop when P(lead holds) >= {self.threshold:g}"

    def __repr__(self) -> str:
        return f"AdaptiveConsistency({self.threshold:g})"


def _top_two(draws: Draws) -> tuple[int, int]:
    first, second, *_ = [*draws.votes, 0]
    return first, second


@lru_cache(maxsize=4096)
def lead_probability(a: int, b: int) -> Fraction:
    """P(X > 1/2) for X ~ Beta(a + 1, b + 1), exactly: that of at most a heads in a + b + 1 tosses."""
    n = a + b + 1
    return Fraction(sum(comb(n, heads) for heads in range(a + 1)), 2**n)
