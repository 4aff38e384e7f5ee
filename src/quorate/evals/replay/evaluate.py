"""Aggregators on drawn subsets: accuracy with intervals, what it took, and the gain over plurality.

Subsets are drawn without replacement, so every estimate is unbiased for k fresh answers; all
aggregators see the same subsets. Intervals are the 2.5 and 97.5 per cent points of a bootstrap over
questions, or over their families where these are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from quorate.aggregators.votes.arrays import numpy
from quorate.evals.statistics import Bootstrap, families, mean_interval
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.frozen import Frozen

from ..records import AnswerRecord, RecordedBank, Spent
from .contract import Replayable
from .rules import find_rule
from .subsets import DRAWS, AnswerGroup

__all__ = ["DRAWS", "Gain", "ReplayResult", "replay"]


class Gain(Frozen):
    """Accuracy minus that of plurality on the same questions at the same tokens."""

    difference: float
    low: float
    high: float
    votes: float
    """How many answers plurality gets for the tokens; between two whole numbers it is drawn which."""


class ReplayResult(Frozen):
    """One aggregator on one group with k answers a question."""

    aggregator: str
    model: str
    k: int
    accuracy: float
    low: float
    high: float
    tokens: float | None
    """Mean a question; None where the bank has none."""
    cost: float | None
    """Money, the same."""
    seconds: float | None
    """From asking to the last answer, the same; answers that are drawn together are waited for together."""
    samples: float
    """Mean a question."""
    gain: Gain | None = None

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(exclude={"gain"})


def replay(
    bank: RecordedBank,
    aggregators: Sequence[str],
    *,
    k: Sequence[int] = (),
    seed: int = 0,
    draws: int = DRAWS,
    gains: bool = True,
) -> list[ReplayResult]:
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
    chosen = [find_rule(name, bank) for name in aggregators]
    if not chosen:
        raise BadInput("choose at least one aggregator to replay, for example plurality")
    if draws < 1:
        raise BadInput(f"draws={draws}: draw at least 1 subset")
    groups = [AnswerGroup(model, records, seed, draws) for model, records in bank.groups.items()]
    most = max(group.most for group in groups)
    for size in k:
        if not 1 <= size <= most:
            raise BadInput(f"k={size}: {bank.name} has from 1 to {most} answers a question")
    return [
        _result(rule, group, size, gains=gains)
        for group in groups
        for rule in chosen
        for size in sorted({min(size, group.most) for size in k}) or [group.most]
    ]


def _result(rule: Replayable, group: AnswerGroup, k: int, *, gains: bool) -> ReplayResult:
    outcomes = group.outcomes(rule, k)
    resampled = Bootstrap(_units(group), group.seed)
    credited = [o.credit for o in outcomes]
    low, high = resampled.interval(credited)
    if low == high:  # resamples of values that are all alike tell nothing of what else there might be
        same = mean_interval(credited, clusters=_clusters(group))
        low, high = same.low, same.high
    tokens, money, seconds = Spent.mean(o.spent for o in outcomes)
    result = ReplayResult(
        aggregator=rule.name,
        model=group.model,
        k=k,
        accuracy=fmean(credited),
        low=low,
        high=high,
        tokens=tokens,
        cost=money,
        seconds=seconds,
        samples=fmean(o.samples for o in outcomes),
    )
    if not gains or rule.name in ("plurality", "pass"):
        return result
    votes = _affordable(group, result)
    base = [_between(group, record, votes) for record in group.records]
    differences = [a - b for a, b in zip(credited, base, strict=True)]
    low, high = resampled.interval(differences)
    return result.model_copy(update={"gain": Gain(difference=fmean(differences), low=low, high=high, votes=votes)})


def _units(group: AnswerGroup) -> list[int]:
    """The family of each question; each its own where none is known."""
    return families(_clusters(group), len(group.records))


def _clusters(group: AnswerGroup) -> list[str]:
    return [str(record.facts.get("cluster") or "") for record in group.records]


def _affordable(group: AnswerGroup, result: ReplayResult) -> float:
    """How many answers plurality gets for what this result cost, from 1 to all."""
    counted = result.tokens is None
    spent = result.samples if result.tokens is None else result.tokens

    def cost(votes: float) -> float:
        each = [1.0 if counted else (r.count_tokens(len(r)) or 0.0) / len(r) for r in group.records]
        return fmean(price * min(votes, len(r)) for price, r in zip(each, group.records, strict=True))

    if spent >= cost(result.k) * (1 - 1e-9):
        return float(result.k)
    low, high = 1.0, float(result.k)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(middle) < spent else (low, middle)
    return round(high, 6)


def _between(group: AnswerGroup, record: AnswerRecord, votes: float) -> float:
    few, part = int(votes), votes - int(votes)
    value = group.plurality(record, few)
    return value if part < 1e-9 else (1 - part) * value + part * group.plurality(record, few + 1)
