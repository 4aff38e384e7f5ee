"""Best-of-infinity (Komiyama et al., arXiv 2509.21091, section 3: Bayesian stopping).

The shares of the answers have a Dirichlet posterior whose parameters are the votes + 1, with one
more bucket of 0.3 votes for answers not seen. The Bayes factor of "the leader has the largest
share" is K P / (1 - P), K being the number of buckets; stop at 10.

Different from the released code: P is computed by quadrature rather than from 1,000 random draws,
so that the same votes always give the same verdict, and tied leaders never stop.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, inf, lgamma, log, prod, sqrt

from quorate.orchestrator.errors import BadInput

from .draws import Draws, SequenceRule

__all__ = ["BestOfInfinity", "mode_probability"]

POINTS = 128
"""Intervals of the quadrature; the error is below 1e-6."""


class BestOfInfinity(SequenceRule):
    """Stop when the votes say strongly that the leader is what infinitely many samples would choose.

    Args:
        bayes_factor: how strongly, above 1.
        unknown: votes that count for answers not seen yet, above 0.
    """

    def __init__(self, bayes_factor: float = 10.0, unknown: float = 0.3) -> None:
        if not 1 < bayes_factor < inf:
            raise BadInput(f"BestOfInfinity(bayes_factor={bayes_factor}): give a number above 1, such as 10")
        if not 0 < unknown < inf:
            raise BadInput(f"BestOfInfinity(unknown={unknown}): give a positive number of votes, such as 0.3")
        self.bayes_factor = bayes_factor
        self.unknown = unknown

    def factor(self, votes: tuple[int, ...]) -> float:
        """The Bayes factor of the leader, from the votes of all classes, the largest first."""
        if not votes or votes[0] == 0 or (len(votes) > 1 and votes[0] == votes[1]):
            return 0.0
        probability = mode_probability(votes[0] + 1, (*(v + 1 for v in votes[1:]), self.unknown + 1))
        return inf if probability >= 1 else (len(votes) + 1) * probability / (1 - probability)

    def enough(self, draws: Draws) -> bool:
        """See `SequenceRule`."""
        return self.factor(tuple(draws.votes)) >= self.bayes_factor

    def why(self, draws: Draws) -> str:
        """See `SequenceRule`."""
        factor = self.factor(tuple(draws.votes))
        return f"best of infinity: {max(draws.votes)} of {draws.drawn} agree, Bayes factor {factor:.3g}"

    def __str__(self) -> str:
        return f"stop at a Bayes factor of {self.bayes_factor:g}"

    def __repr__(self) -> str:
        return f"BestOfInfinity({self.bayes_factor:g}, unknown={self.unknown:g})"


@lru_cache(maxsize=65536)
def mode_probability(leader: float, rivals: tuple[float, ...]) -> float:
    """P(the first share is the largest) under a Dirichlet distribution with these parameters.

    Shares are gamma variables over their sum, so it is the mean, over a Gamma(leader) variable, of
    the probability that each Gamma(rival) variable is smaller.
    """
    weights = _density(leader)
    below = [_below(leader, rival) for rival in rivals]
    return min(1.0, sum(weights[i] * prod(column[i] for column in below) for i in range(POINTS + 1)))


def _points(shape: float) -> list[float]:
    """Square roots of where to evaluate: all that matters of a Gamma(shape) variable, whose root spreads by 1/2."""
    low, high = max(0.0, sqrt(shape) - 4.5), sqrt(shape) + 4.5
    return [low + (high - low) * i / POINTS for i in range(POINTS + 1)]


@lru_cache(maxsize=4096)
def _density(shape: float) -> tuple[float, ...]:
    """Simpson's weights times the density of the root, made to sum to one."""
    simpson = (1 if i in (0, POINTS) else 4 if i % 2 else 2 for i in range(POINTS + 1))
    roots = _points(shape)
    values = [
        s * exp((2 * shape - 1) * log(t) - t * t - lgamma(shape)) if t else 0.0
        for s, t in zip(simpson, roots, strict=True)
    ]
    total = sum(values)
    return tuple(value / total for value in values)


@lru_cache(maxsize=65536)
def _below(leader: float, rival: float) -> tuple[float, ...]:
    """P(Gamma(rival) < x) at the leader's points."""
    return tuple(_gamma_cdf(rival, root * root) for root in _points(leader))


def _gamma_cdf(a: float, x: float) -> float:
    """The regularized lower incomplete gamma function, by its series or its continued fraction."""
    if x <= 0:
        return 0.0
    front = exp(a * log(x) - x - lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while term > total * 1e-12:
            n += 1
            term *= x / n
            total += term
        return min(1.0, front * total)
    b, c, d = x + 1 - a, inf, 1 / (x + 1 - a)
    h, i = d, 0
    while True:  # Lentz; converges in some tens of steps for x > a + 1
        i += 1
        b += 2
        step = i * (i - a)
        d = 1 / (b - step * d)
        c = b - step / c
        h *= d * c
        if abs(d * c - 1) < 1e-12:
            return max(0.0, 1 - front * h)
