"""Majority-of-the-Bests: the answer that best-of-m would give most often (arXiv 2511.18630).

Best-of-N takes the candidate with the highest reward, which an imperfect reward makes a gamble. This
takes the mode of what best-of-m gives over bootstrap subsets of m candidates. With the candidates in
falling order of reward and N of them, the i-th is the best of m drawn with replacement with
probability ((N - i + 1) / N)^m - ((N - i) / N)^m, so nothing is drawn here.

Different from the paper: the bootstrap is exact, and m is ceil(sqrt(N)) unless given (m and N / m
must both grow for the bootstrap to be consistent); the paper also chooses m from the data.
"""

from __future__ import annotations

from itertools import groupby
from math import ceil, sqrt

from quorate.orchestrator.errors import BadInput

from .ballot import Ballot, Weights, summed
from .counting import Plurality

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
        scores = {i: -float("inf") if (s := ballot.score(i)) is None else s for i in ballot.cast}
        if len(set(scores.values())) < 2:
            return Plurality().weights(ballot)
        n = len(scores)
        m = self.m or ceil(sqrt(n))
        votes: list[tuple[int, float]] = []
        above = 0
        for _, tied in groupby(sorted(scores, key=lambda i: -scores[i]), key=lambda i: scores[i]):
            group = list(tied)
            below = n - above - len(group)
            share = (((n - above) / n) ** m - (below / n) ** m) / len(group)
            votes += [(ballot.class_of(i), share) for i in group]
            above += len(group)
        return summed(votes)
