"""How much a better choice among the same candidates could still win."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from ..replay.subsets import DRAWS
from ..records import Recorded
from ..replay.rules import Replayable
from ..statistics import Estimate, Figure, mean_interval
from .curves import at_k

__all__ = ["Headroom", "headroom"]


class Headroom(Figure):
    """One answer, the chosen one, and the best possible choice of k."""

    k: int
    aggregator: str
    single: Estimate
    """pass@1."""
    chosen: Estimate
    oracle: Estimate
    """pass@k: whoever chooses perfectly."""
    headroom: float
    """Oracle minus chosen, a share of questions."""
    captured: float | None
    """Share of the way from one answer to the oracle that the aggregator goes; below 0 where it does harm,
    None where there is no way to go."""
    unreachable: float
    """Share of questions where no recorded answer is right: no choice helps, only a better proposer."""


def headroom(
    records: Sequence[Recorded],
    aggregator: str | Replayable = "plurality",
    k: int | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Headroom:
    """The aggregator between one answer and the oracle, at k or all answers."""
    k = max(map(len, records)) if k is None else k
    single, oracle = at_k(records, "pass", 1), at_k(records, "pass", k)
    chosen = at_k(records, aggregator, k, seed=seed, draws=draws)
    way = oracle.accuracy.value - single.accuracy.value
    gained = chosen.accuracy.value - single.accuracy.value
    return Headroom(
        k=k,
        aggregator=chosen.aggregator,
        single=mean_interval(single.credits, sum(map(len, records))),
        chosen=chosen.accuracy,
        oracle=oracle.accuracy,
        headroom=oracle.accuracy.value - chosen.accuracy.value,
        captured=gained / way if way > 1e-12 else None,
        unreachable=fmean(not any(record.right) for record in records),
    )
