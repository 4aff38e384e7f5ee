"""A panel's effective votes: how many independent voters its errors leave (see `votes.effective`).

With grades, the correlation is that of the errors of two voters over questions, the mean over pairs, each voter's
own error rate taken out. Without grades, the class that leads clearly among the *other* voters stands for the right
answer. Where it is wrong, two right voters seem to err together, so the number comes out low where voters often err:
six independent ones count as 6.0, 5.1 and 4.3 at accuracies of .85, .7 and .55 (simulated, 2,000 questions). Where
all voters err alike on wrong answers that look like agreement, it comes out high; voters who always agree say nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from math import sqrt
from statistics import fmean

from quorate.aggregators.votes.effective import count_effective_votes

from ..records import AnswerRecord
from ..statistics import Result

__all__ = ["EffectiveVotes", "measure_effective_votes"]

LEAD = 2
"""Votes by which the others' first class must lead to stand for the right answer."""
MOST = 12
"""Voters of a question whose pairs are looked at without grades."""
Pair = tuple[tuple[str, bool], tuple[str, bool]]
"""Two voters, and whether each errs."""


class EffectiveVotes(Result):
    """Of the voters of a bank; without grades None where fewer than four answer a question, or where all agree."""

    voters: float
    """Answers to a question in the mean."""
    correlation: float
    """Of the errors of two of them, by the grades."""
    votes: float
    """Independent voters that they amount to."""
    label_free_correlation: float | None
    label_free_votes: float | None


def measure_effective_votes(records: Sequence[AnswerRecord]) -> EffectiveVotes | None:
    """The effective votes of these voters; None where no question has two answers or none is answered wrongly.

    Args:
        records: of a panel, whose voters differ; or of repeated samples of one model.
    """
    several = [record for record in records if len(record) > 1]
    correlation = _correlate(pair for record in several for pair in _graded(record))
    if correlation is None:
        return None
    voters = fmean(map(len, several))
    free = _correlate(pair for record in several for pair in _by_class(record))
    return EffectiveVotes(
        voters=voters,
        correlation=correlation,
        votes=_count(voters, correlation),
        label_free_correlation=free,
        label_free_votes=None if free is None else _count(voters, free),
    )


def _count(voters: float, correlation: float) -> float:
    whole = max(1, round(voters))
    return count_effective_votes(whole, correlation)


def _graded(record: AnswerRecord) -> Iterable[Pair]:
    errs = [(voter, not right) for voter, right in zip(record.voters, record.right, strict=True)]
    return combinations(errs[:MOST], 2)


def _by_class(record: AnswerRecord) -> Iterable[Pair]:
    """Each pair with the errors that the others' first class gives them, where its lead is clear."""
    voters = list(zip(record.voters, record.classes, strict=True))[:MOST]
    if len(voters) < 4:
        return
    votes = Counter(number for _, number in voters if number is not None)
    for (one, first), (other, second) in combinations(voters, 2):
        rest = votes - Counter(number for number in (first, second) if number is not None)
        ranked = rest.most_common(2)
        if ranked and ranked[0][1] - (ranked[1][1] if len(ranked) > 1 else 0) >= LEAD:
            yield (one, first != ranked[0][0]), (other, second != ranked[0][0])


def _correlate(pairs: Iterable[Pair]) -> float | None:
    """Mean correlation of two voters' errors; None where nobody errs, or everybody always does."""
    found = list(pairs)
    errors: dict[str, list[bool]] = defaultdict(list)
    for pair in found:
        for voter, wrong in pair:
            errors[voter].append(wrong)
    rates = {voter: fmean(wrong) for voter, wrong in errors.items()}
    spread = {voter: sqrt(rate * (1 - rate)) for voter, rate in rates.items()}
    most = sum(spread[one] * spread[other] for (one, _), (other, _) in found)
    if not most:
        return None
    together = sum((a - rates[one]) * (b - rates[other]) for (one, a), (other, b) in found)
    return max(-1.0, min(1.0, together / most))
