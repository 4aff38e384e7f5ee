"""Looking ahead: will the leader at n still lead at the limit N? (A rule of our own.)

Adaptive-Consistency and Best-of-infinity ask who would win after infinitely many samples. Yet only
N - n more will ever be drawn, and a lead that these can hardly undo may be taken as decided: the
samples left would cost tokens and change nothing.

For a rival with b votes against the leader's a, let (leader, rival, all others) have a uniform
Dirichlet prior. After the votes so far, the m = N - n samples left follow a Polya urn, whose
probability of ending with the rival ahead (a tie counts half, as it is drawn) is summed exactly.
The risks of all rivals, an answer not seen yet among them, add up to an upper bound (Bonferroni) of
the probability that stopping changes the outcome; stop once that is at most epsilon. Where nobody
can catch up any more, the risk is exactly zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import exp, lgamma

from pydantic import Field

from quorate.orchestrator.checks import is_number, is_whole
from quorate.orchestrator.errors import BadInput

from ..specs import Options, StoppingSpec
from .progress import Draws, SequenceRule
from .rules import lead_probability

__all__ = ["LookAhead", "look_ahead_risk", "overtaking_probability"]

FAR = 128
"""With more samples left than this, they count as infinitely many, which overstates the risk a little."""


class LookAhead(SequenceRule):
    """Stop when the samples left would very probably not change the winner.

    Samples that failed or abstained have no vote but use up the limit.

    Args:
        epsilon: the risk accepted that they would, above 0 and below 0.5.
        limit: the most samples that can be drawn; that of the sampling stage counts too, and the lower one holds.
    """

    def __init__(self, epsilon: float = 0.05, limit: int | None = None) -> None:
        if not (is_number(epsilon) and 0 < epsilon < 0.5):
            raise BadInput(f"LookAhead(epsilon={epsilon}): the risk must lie between 0 and 0.5, such as 0.05")
        if limit is not None and not (is_whole(limit) and limit >= 1):
            raise BadInput(f"LookAhead(limit={limit}): the limit is at least 1 sample")
        self.epsilon = epsilon
        self.limit = limit

    def risk(self, draws: Draws) -> float:
        """Bound of the probability that the samples left change the winner."""
        limit = self._limit_of(draws)
        return look_ahead_risk(draws.votes, FAR + 1 if limit is None else max(0, limit - draws.drawn))

    def _limit_of(self, draws: Draws) -> int | None:
        return min((limit for limit in (self.limit, draws.limit) if limit is not None), default=None)

    def is_enough(self, draws: Draws) -> bool:
        """See `SequenceRule`."""
        return self.risk(draws) <= self.epsilon

    def explain(self, draws: Draws) -> str:
        """See `SequenceRule`."""
        first, second, *_ = [*draws.votes, 0]
        return (
            f"look ahead: {first} to {second} votes after {draws.drawn} of {self._limit_of(draws) or 'any number'}, "
            f"P(the rest changes the winner) <= {self.risk(draws):.3f}"
        )

    def __str__(self) -> str:
        return f"stop when P(the rest changes the winner) <= {self.epsilon:g}"

    def __repr__(self) -> str:
        return f"LookAhead({self.epsilon:g}{'' if self.limit is None else f', limit={self.limit}'})"


def look_ahead_risk(votes: Sequence[int], left: int) -> float:
    """Bound of the probability that `left` more samples unseat the leader; votes by class, the largest first."""
    if not votes or votes[0] == 0:
        return 1.0
    total = sum(votes)
    rivals = Counter(votes[1:])
    rivals[0] += 1
    risk = sum(n * overtaking_probability(votes[0], b, total - votes[0] - b, left) for b, n in rivals.items())
    return min(1.0, risk)


@lru_cache(maxsize=1 << 17)
def overtaking_probability(a: int, b: int, others: int, left: int) -> float:
    """P(b + Y > a + X) + P(b + Y = a + X) / 2 after `left` draws from a Polya urn of a + 1, b + 1 and others + 1."""
    if b + left < a:
        return 0.0
    if left > FAR:
        return float(1 - lead_probability(a, b))
    shape = (a + 1, b + 1, others + 1)
    front = lgamma(sum(shape)) - lgamma(sum(shape) + left) + lgamma(left + 1) - sum(map(lgamma, shape))
    leader, rival, rest = (_terms(s, left) for s in shape)
    risk = 0.0
    for y in range(max(0, a - b), left + 1):
        for x in range(min(left - y, b + y - a) + 1):
            half = 0.5 if b + y == a + x else 1.0
            risk += half * exp(front + leader[x] + rival[y] + rest[left - x - y])
    return min(1.0, risk)


@lru_cache(maxsize=8192)
def _terms(shape: int, left: int) -> tuple[float, ...]:
    """log of Gamma(shape + k) / k! for k = 0 ... left."""
    return tuple(lgamma(shape + k) - lgamma(k + 1) for k in range(left + 1))


class LookAheadOptions(Options):
    """How much risk is accepted."""

    epsilon: float = Field(default=0.05, gt=0, lt=0.5)
    """Probability that the samples left would change the winner."""


RULES = (
    StoppingSpec(
        "look-ahead",
        "stop once the samples left would very likely not change the winner",
        "our own: Polya urn up to the limit of samples",
        lambda options: LookAhead(options.epsilon),
        options=LookAheadOptions,
        vote="a majority vote that stops once the rest up to N would hardly change its winner",
    ),
)
