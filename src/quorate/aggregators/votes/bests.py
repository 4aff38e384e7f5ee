"""Majority-of-the-Bests: the answer that best-of-m would give most often (arXiv 2511.18630).

Best-of-N takes the candidate with the highest reward, which an imperfect reward makes a gamble. This
takes the mode of what best-of-m gives over bootstrap subsets of m candidates. With the candidates in
falling order of reward and N of them, the i-th is the best of m drawn with replacement with
probability ((N - i + 1) / N)^m - ((N - i) / N)^m, so nothing is drawn here.

Different from the paper: the bootstrap is exact, and m is ceil(sqrt(N)) unless given (m and N / m
must both grow for the bootstrap to be consistent); the paper also chooses m from the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import ceil, inf, sqrt

from quorate.orchestrator.errors import BadInput

from .ballot import Ballot, Weights, summed

__all__ = ["MajorityOfTheBests"]


class MajorityOfTheBests:
    """Weight of a class: the probability that the best of m bootstrapped candidates is one of it.

    Candidates of equal reward share theirs. Those without a reward are best only where no other is
    drawn; with no rewards at all this is plurality. Abstentions are not drawn.

    Args:
        m: size of the subsets; 1 is plurality, many is best-of-N.

    Raises:
        BadInput: m is below 1.
    """

    name = "majority-of-bests"

    def __init__(self, m: int | None = None) -> None:
        if m is not None and m < 1:
            raise BadInput(f"{self.name}: m={m}: a subset holds at least 1 candidate")
        self.m = m

    def weights(self, ballot: Ballot) -> Weights:
        """See `Rule`."""
        values = self.values([ballot.score(i) for i in ballot.cast])
        return summed((ballot.class_of(i), value) for i, value in zip(ballot.cast, values, strict=True))

    def values(self, scores: Sequence[float | None]) -> list[float]:
        """How often each candidate is the best of m, by its reward; None ranks last."""
        known = [-inf if score is None else score for score in scores]
        n = len(known)
        m = self.m or ceil(sqrt(n))
        values = [0.0] * n
        above = 0
        for _, tied in groupby(sorted(range(n), key=lambda i: -known[i]), key=lambda i: known[i]):
            group = list(tied)
            below = n - above - len(group)
            for i in group:
                values[i] = (((n - above) / n) ** m - (below / n) ** m) / len(group)
            above += len(group)
        return values
