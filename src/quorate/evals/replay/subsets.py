"""Subsets of recorded answers: all of them where they are few or have a closed form, else drawn by seed.

A mean over drawn subsets carries its Monte Carlo standard error; it is 0 where all subsets count.

Plurality needs no drawing: a class c wins alone or in a tie of t + 1 with m of its votes drawn, every other class
having at most m, t of them just m. The number of such subsets is a coefficient of a product of polynomials, one a
class.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from math import comb, sqrt
from statistics import fmean, stdev
from typing import Any

from quorate.aggregators.votes.arrays import numpy

from ..records import AnswerRecord, Spent
from .contract import BatchReplayRule, Exact, Replayable, SubsetOutcome, count_classes

DRAWS = 200
"""Subsets of each question where not all can be had."""
BATCH_DRAWS = 20
"""The same for aggregators that learn from all questions together."""
SPARSE = 0.5
"""A panel is sparse where fewer than this share of its possible answers was given."""


@dataclass(frozen=True)
class AnswerGroup:
    """The recorded answers of one model, or a panel's."""

    model: str
    records: tuple[AnswerRecord, ...]
    seed: int
    draws: int
    pluralities: dict[tuple[str, int], float] = field(default_factory=dict)

    @property
    def most(self) -> int:
        return max(map(len, self.records))

    def plurality(self, record: AnswerRecord, k: int) -> float:
        key = (f"{record.id}\n{record.voters[0]}", min(k, len(record)))
        if key not in self.pluralities:
            self.pluralities[key] = expected_plurality(record, key[1])
        return self.pluralities[key]

    def outcomes(self, rule: Replayable, k: int) -> list[SubsetOutcome]:
        """For each question the mean over its subsets; a question with fewer than k answers gives all."""
        if isinstance(rule, BatchReplayRule):
            return self._batch(rule, k)
        return [self._outcome(rule, record, min(k, len(record))) for record in self.records]

    def _outcome(self, rule: Replayable, record: AnswerRecord, k: int) -> SubsetOutcome:
        if isinstance(rule, Exact):
            return SubsetOutcome(rule.expected_credit(record, k), k, _expected_spending(record, k))
        listed = not rule.ordered and comb(len(record), k) <= self.draws
        subsets = combinations(range(len(record)), k) if listed else self._draw(record, k)
        return _mean(rule.outcomes([record.take(p) for p in subsets]), drawn=not listed)

    def _draw(self, record: AnswerRecord, k: int) -> list[Sequence[int]]:
        rng = random.Random(repr((self.seed, record.id, record.voters[0], k)))
        return [rng.sample(range(len(record)), k) for _ in range(self.draws)]

    def _batch(self, rule: BatchReplayRule, k: int) -> list[SubsetOutcome]:
        """Several times a subset of the panel."""
        rounds = range(1 if k >= self.most else BATCH_DRAWS)
        drawn = [
            rule.outcomes([r.take(p) for r, p in zip(self.records, self._panel(k, n), strict=True)]) for n in rounds
        ]
        return [_mean(question, drawn=k < self.most) for question in zip(*drawn, strict=True)]

    def _panel(self, k: int, number: int) -> list[list[int]]:
        """Who votes on each question: the same k voters on all, or any k where most voters saw few questions."""
        rng = random.Random(repr((self.seed, "voters", k, number)))
        voters = sorted({voter for record in self.records for voter in record.voters})
        if k >= self.most:
            return [list(range(len(record))) for record in self.records]
        if sum(map(len, self.records)) < SPARSE * len(voters) * len(self.records):
            return [rng.sample(range(len(record)), min(k, len(record))) for record in self.records]
        chosen = set(rng.sample(voters, k))
        return [[i for i, voter in enumerate(record.voters) if voter in chosen] for record in self.records]


def _mean(outcomes: Sequence[SubsetOutcome], *, drawn: bool) -> SubsetOutcome:
    marks = [o.credit for o in outcomes]
    return SubsetOutcome(
        fmean(marks),
        fmean(o.samples for o in outcomes),
        Spent.mean(o.spent for o in outcomes),
        stdev(marks) / sqrt(len(marks)) if drawn and len(marks) > 1 else 0.0,
    )


def _expected_spending(record: AnswerRecord, k: int) -> Spent:
    """Of k of these answers asked at once, over all subsets: the slowest one of them is waited for."""
    whole, n, seconds = record.spend(len(record)), len(record), None
    if whole.seconds is not None:
        slowest = enumerate(sorted(record.columns["seconds"]))
        seconds = sum(lasts * comb(before, k - 1) for before, lasts in slowest) / comb(n, k)
    tokens, money = (None if value is None else value * k / n for value in whole[:2])
    return Spent(tokens, money, seconds)


def expected_plurality(recorded: AnswerRecord, k: int) -> float:
    """Mean credit of the plurality of k of these answers, over all subsets.

    Exact but for rounding; up to about a thousand answers, beyond which binomials overflow.
    """
    if k == len(recorded):
        return recorded.credit(count_classes(recorded.classes))
    votes = Counter(c for c in recorded.classes if c is not None)
    rights: dict[int, list[bool]] = defaultdict(list)
    for number, right in zip(recorded.classes, recorded.right, strict=True):
        if number is not None:
            rights[number].append(right)
    shape = tuple(sorted((votes[number], sum(marks) / len(marks)) for number, marks in rights.items()))
    return _expected_plurality(shape, len(recorded) - votes.total(), k)


@lru_cache(maxsize=1 << 16)
def _expected_plurality(shape: tuple[tuple[int, float], ...], abstentions: int, k: int) -> float:
    """The same from votes and credit of each class: many questions look alike in these."""
    total = sum(votes for votes, _ in shape)
    if len(shape) == 1 and abstentions < k:
        return shape[0][1]
    ways = 0.0
    for place, (votes, credit) in enumerate(shape):
        if not credit:
            continue
        others = [count for other, (count, _) in enumerate(shape) if other != place]
        for m in range(1, min(votes, k) + 1):
            ways += credit * comb(votes, m) * _count_shared(others, abstentions, m, k - m)
    return ways / comb(total + abstentions, k)


def _count_shared(others: list[int], abstentions: int, m: int, rest: int) -> float:
    """Ways to draw the rest with no other class above m, those with a tie of t counted 1 / (t + 1)."""
    np = numpy()
    ties = rest // m
    table = np.zeros((ties + 1, rest + 1))
    table[0, : abstentions + 1] = [float(comb(abstentions, x)) for x in range(min(abstentions, rest) + 1)]
    for count in others:
        table = _with_class(table, count, m)
    shares: Any = table[:, rest] / np.arange(1, ties + 2)
    return float(shares.sum())


def _with_class(table: Any, count: int, m: int) -> Any:
    """The table after another class has given 0 to m of its votes."""
    width = table.shape[1]
    added = table.copy()
    for x in range(1, min(m - 1, count, width - 1) + 1):
        added[:, x:] += comb(count, x) * table[:, : width - x]
    if count >= m and width > m:
        added[1:, m:] += comb(count, m) * table[:-1, : width - m]
    return added
