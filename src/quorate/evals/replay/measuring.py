"""Aggregators on drawn subsets: accuracy with intervals, what it took, and the gain over plurality.

Subsets are drawn without replacement, so every estimate is unbiased for k fresh answers; all
aggregators see the same subsets. Intervals are the 2.5 and 97.5 per cent points of a bootstrap over
questions (answers of several models to one question stay together).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import comb
from statistics import fmean
from typing import Any

from quorate.aggregators.votes.arrays import numpy
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Frozen

from .exact import expected_plurality
from .records import Recorded, RecordedBank
from .registry import BatchEntry, Exact, Outcome, Replayable, found

__all__ = ["DRAWS", "Gain", "Result", "replay"]

DRAWS = 200
"""Subsets of each question where not all can be had."""
BATCH_DRAWS = 20
"""The same for aggregators that learn from all questions together."""
SPARSE = 0.5
"""A panel is sparse where fewer than this share of its possible answers was given."""
RESAMPLES = 2000


class Gain(Frozen):
    """Accuracy minus that of plurality on the same questions at the same tokens."""

    difference: float
    low: float
    high: float
    votes: float
    """How many answers plurality gets for the tokens; between two whole numbers it is drawn which."""


class Result(Frozen):
    """One aggregator on one group with k answers a question."""

    aggregator: str
    model: str
    k: int
    accuracy: float
    low: float
    high: float
    tokens: float | None
    """Mean a question; None where the bank has none."""
    samples: float
    """Mean a question."""
    gain: Gain | None = None

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(exclude={"gain"})


@dataclass(frozen=True)
class _Group:
    """The recorded answers of one model, or a panel's."""

    model: str
    records: tuple[Recorded, ...]
    seed: int
    draws: int
    pluralities: dict[tuple[str, int], float] = field(default_factory=dict)

    @property
    def most(self) -> int:
        return max(map(len, self.records))

    def plurality(self, record: Recorded, k: int) -> float:
        key = (f"{record.id}\n{record.voters[0]}", min(k, len(record)))
        if key not in self.pluralities:
            self.pluralities[key] = expected_plurality(record, key[1])
        return self.pluralities[key]

    def outcomes(self, entry: Replayable, k: int) -> list[Outcome]:
        """For each question the mean over its subsets; a question with fewer than k answers gives all."""
        if isinstance(entry, BatchEntry):
            return self._batch(entry, k)
        return [self._outcome(entry, record, min(k, len(record))) for record in self.records]

    def _outcome(self, entry: Replayable, record: Recorded, k: int) -> Outcome:
        if isinstance(entry, Exact):
            whole = record.spent(len(record))
            return Outcome(entry.expected(record, k), k, None if whole is None else whole * k / len(record))
        return _mean(entry.outcomes([record.take(p) for p in self._subsets(record, k, ordered=entry.ordered)]))

    def _subsets(self, record: Recorded, k: int, *, ordered: bool) -> Iterator[Sequence[int]]:
        n = len(record)
        if not ordered and comb(n, k) <= self.draws:
            return iter(list(combinations(range(n), k)))
        rng = random.Random(repr((self.seed, record.id, record.voters[0], k)))
        return (rng.sample(range(n), k) for _ in range(self.draws))

    def _batch(self, entry: BatchEntry, k: int) -> list[Outcome]:
        """Several times a subset of the panel."""
        rounds = range(1 if k >= self.most else BATCH_DRAWS)
        drawn = [
            entry.outcomes([r.take(p) for r, p in zip(self.records, self._panel(k, n), strict=True)]) for n in rounds
        ]
        return [_mean(question) for question in zip(*drawn, strict=True)]

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


def replay(
    bank: RecordedBank,
    aggregators: Sequence[str],
    *,
    k: Sequence[int] = (),
    seed: int = 0,
    draws: int = DRAWS,
    gains: bool = True,
) -> list[Result]:
    """Every aggregator on every group of the bank, for every k.

    Args:
        k: numbers of answers; all of them if not given.
        gains: compare with plurality as well.

    Raises:
        UnknownName: there is no such aggregator.
        BadInput: an aggregator needs what the bank lacks, or a k is impossible.
        MissingExtra: numpy is not installed.
    """
    numpy()
    chosen = [found(name, bank) for name in aggregators]
    if not chosen:
        raise BadInput("choose at least one aggregator to replay, for example plurality")
    if draws < 1:
        raise BadInput(f"draws={draws}: draw at least 1 subset")
    groups = [_Group(model, records, seed, draws) for model, records in bank.groups.items()]
    most = max(group.most for group in groups)
    for size in k:
        if not 1 <= size <= most:
            raise BadInput(f"k={size}: {bank.name} has from 1 to {most} answers a question")
    return [
        _result(entry, group, size, gains=gains)
        for group in groups
        for entry in chosen
        for size in sorted({min(size, group.most) for size in k}) or [group.most]
    ]


def _result(entry: Replayable, group: _Group, k: int, *, gains: bool) -> Result:
    outcomes = group.outcomes(entry, k)
    resampled = _Bootstrap(group)
    credited = [o.credit for o in outcomes]
    low, high = resampled.interval(credited)
    tokens = [o.tokens for o in outcomes if o.tokens is not None]
    result = Result(
        aggregator=entry.name,
        model=group.model,
        k=k,
        accuracy=fmean(credited),
        low=low,
        high=high,
        tokens=fmean(tokens) if len(tokens) == len(outcomes) else None,
        samples=fmean(o.samples for o in outcomes),
    )
    if not gains or entry.name in ("plurality", "pass"):
        return result
    votes = _affordable(group, result)
    base = [_between(group, record, votes) for record in group.records]
    differences = [a - b for a, b in zip(credited, base, strict=True)]
    low, high = resampled.interval(differences)
    return result.model_copy(update={"gain": Gain(difference=fmean(differences), low=low, high=high, votes=votes)})


def _affordable(group: _Group, result: Result) -> float:
    """How many answers plurality gets for what this result cost, from 1 to all."""
    counted = result.tokens is None
    spent = result.samples if result.tokens is None else result.tokens

    def cost(votes: float) -> float:
        each = [1.0 if counted else (r.spent(len(r)) or 0.0) / len(r) for r in group.records]
        return fmean(price * min(votes, len(r)) for price, r in zip(each, group.records, strict=True))

    if spent >= cost(result.k) * (1 - 1e-9):
        return float(result.k)
    low, high = 1.0, float(result.k)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(middle) < spent else (low, middle)
    return round(high, 6)


def _between(group: _Group, record: Recorded, votes: float) -> float:
    few, part = int(votes), votes - int(votes)
    value = group.plurality(record, few)
    return value if part < 1e-9 else (1 - part) * value + part * group.plurality(record, few + 1)


class _Bootstrap:
    """Means over resampled questions; the same resamples for everything of one group."""

    def __init__(self, group: _Group) -> None:
        np = numpy()
        place = {name: i for i, name in enumerate(dict.fromkeys(record.id for record in group.records))}
        self._question = np.array([place[record.id] for record in group.records])
        drawn = np.random.default_rng(group.seed).multinomial(len(place), [1 / len(place)] * len(place), RESAMPLES)
        self._drawn = drawn.astype(float)
        self._rows = self._drawn @ np.bincount(self._question)

    def interval(self, values: Sequence[float]) -> tuple[float, float]:
        np = numpy()
        sums = np.bincount(self._question, values, minlength=self._drawn.shape[1])
        low, high = np.quantile(self._drawn @ sums / self._rows, [0.025, 0.975])
        mean = fmean(values)
        return min(float(low), mean), max(float(high), mean)


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    tokens = [o.tokens for o in outcomes if o.tokens is not None]
    return Outcome(
        fmean(o.credit for o in outcomes),
        fmean(o.samples for o in outcomes),
        fmean(tokens) if len(tokens) == len(outcomes) else None,
    )
