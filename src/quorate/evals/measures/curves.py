"""Aggregators at k and their scaling curves, over samples and over tokens, from one set of recorded answers.

Every value is a mean over subsets of k of the recorded answers: over all of them where they are few or
the mean has a closed form (pass@k, plurality), else over drawn ones. Drawn without replacement, a subset
is what k fresh samples would be, so the estimate is unbiased for any k up to the number recorded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import sqrt
from statistics import fmean
from typing import Any

from quorate.orchestrator.errors import BadInput, UnknownName

from ..records import AnswerRecord, Spent
from ..replay.contract import Replayable
from ..replay.rules import replay_rules
from ..replay.subsets import DRAWS, AnswerGroup, expected_plurality
from ..statistics import Estimate, Result, mean_interval


class AtK(Result):
    """One aggregator with k answers a question; the tuples have one rule a question."""

    aggregator: str
    k: int
    accuracy: Estimate
    """Interval over questions, in families where they have some."""
    monte_carlo: float
    """Standard error from drawing subsets; 0 where all of them count."""
    samples: float
    """Mean a question; below k where an aggregator stops early or a question has fewer."""
    tokens: float | None
    """Mean a question; None where some answers have none recorded."""
    cost: float | None
    """Money, the same."""
    seconds: float | None
    """The same."""
    credits: tuple[float, ...]
    """Chance of being right."""
    spent: tuple[Spent, ...]

    def as_json(self) -> dict[str, Any]:
        """Without the entries of single questions."""
        return self.model_dump(mode="json", exclude={"credits", "spent"})


class Curve(Result):
    """An aggregator at growing k."""

    aggregator: str
    points: tuple[AtK, ...]
    """By growing k."""
    group: str = ""
    """Whose answers these are, where that is told."""

    def as_json(self) -> dict[str, Any]:
        """Without the entries of single questions."""
        return {"aggregator": self.aggregator, "points": [point.as_json() for point in self.points]}

    @property
    def reach(self) -> tuple[float, float] | None:
        """Fewest and most tokens a question that the curve knows; None without recorded tokens."""
        tokens = [point.tokens for point in self.points if point.tokens is not None]
        return (min(tokens), max(tokens)) if len(tokens) == len(self.points) else None

    def at_tokens(self, budget: float) -> tuple[float, ...]:
        """Chance of being right on each question at so many tokens a question in the mean.

        Between two points it is drawn which of them is used, so that the tokens come out on average.

        Raises:
            BadInput: the curve has no tokens, or does not reach so far.
        """
        if self.reach is None:
            raise BadInput(f"{self.aggregator}: the bank has no tokens of its answers, so no budget can be met")
        first, last = self.reach
        if not first * (1 - 1e-9) <= budget <= last * (1 + 1e-9):
            raise BadInput(
                f"{self.aggregator}: {budget:,.0f} tokens a question are outside what was recorded, "
                f"{first:,.0f} to {last:,.0f}"
            )
        climbing = sorted(self.points, key=lambda point: (point.tokens or 0.0, point.k))
        place = bisect_left([point.tokens or 0.0 for point in climbing], budget * (1 - 1e-9))
        upper = climbing[min(place, len(climbing) - 1)]
        lower = climbing[max(place - 1, 0)]
        gap = (upper.tokens or 0.0) - (lower.tokens or 0.0)
        part = min(max((budget - (lower.tokens or 0.0)) / gap, 0.0), 1.0) if gap > 0 else 1.0
        return tuple((1 - part) * a + part * b for a, b in zip(lower.credits, upper.credits, strict=True))


def maj_at_k(record: AnswerRecord, k: int) -> float:
    """Expected credit of the plurality of k answers over all subsets: ties share it, no answer abstains.

    Raises:
        BadInput: not 1 <= k <= the number of answers.
    """
    if not 1 <= k <= len(record):
        raise BadInput(f"maj@{k} of {len(record)} answers: needs 1 <= k <= answers")
    return expected_plurality(record, k)


def at_k(
    records: Sequence[AnswerRecord], aggregator: str | Replayable, k: int, *, seed: int = 0, draws: int = DRAWS
) -> AtK:
    """Any aggregator with k answers; a question that has fewer gives all.

    Raises:
        UnknownName: there is no such aggregator.
        BadInput: no question has k answers.
    """
    return _at(_group(records, seed, draws), _find_rule(aggregator), k)


def curve(
    records: Sequence[AnswerRecord],
    aggregator: str | Replayable = "plurality",
    ks: Sequence[int] | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Curve:
    """The scaling curve of an aggregator; at 1, 2, 4, ... and all answers if not told where."""
    group, rule = _group(records, seed, draws), _find_rule(aggregator)
    points = tuple(_at(group, rule, k) for k in sorted({*(sizes(group.most) if ks is None else ks)}))
    return Curve(aggregator=rule.name, points=points)


def sizes(most: int) -> list[int]:
    """1, 2, 4, ... up to `most`, and that itself."""
    return sorted({*(2**i for i in range(most.bit_length())), most})


def clusters_of(records: Sequence[AnswerRecord]) -> list[str] | None:
    """The family of each question; None where none is known."""
    names = [str(record.facts.get("cluster", "")) for record in records]
    return names if any(names) else None


def _at(group: AnswerGroup, rule: Replayable, k: int) -> AtK:
    if not 1 <= k <= group.most:
        raise BadInput(f"{rule.name}@{k}: the questions have from 1 to {group.most} answers")
    outcomes = group.outcomes(rule, k)
    marks = [min(1.0, max(0.0, o.credit)) for o in outcomes]
    tokens, money, seconds = Spent.mean(o.spent for o in outcomes)
    return AtK(
        aggregator=rule.name,
        k=k,
        accuracy=mean_interval(marks, clusters=_units(group.records)),
        monte_carlo=sqrt(sum(o.error**2 for o in outcomes)) / len(outcomes),
        samples=fmean(o.samples for o in outcomes),
        tokens=tokens,
        cost=money,
        seconds=seconds,
        credits=tuple(marks),
        spent=tuple(o.spent for o in outcomes),
    )


def _units(records: Sequence[AnswerRecord]) -> list[str] | None:
    """Families, or where none are known the questions, if several models answered the same."""
    known = clusters_of(records)
    ids = [record.id for record in records]
    if known is None:
        return ids if len(set(ids)) < len(ids) else None
    return [name or f"question {one}" for name, one in zip(known, ids, strict=True)]


def _group(records: Sequence[AnswerRecord], seed: int, draws: int) -> AnswerGroup:
    if not records or not all(map(len, records)):
        raise BadInput("nothing to measure: give at least one question, each with at least one answer")
    if draws < 1:
        raise BadInput(f"draws={draws}: draw at least 1 subset")
    return AnswerGroup("", tuple(records), seed, draws)


def _find_rule(aggregator: str | Replayable) -> Replayable:
    if not isinstance(aggregator, str):
        return aggregator
    if aggregator not in replay_rules():
        raise UnknownName("aggregator", aggregator, replay_rules())
    return replay_rules()[aggregator]


class Headroom(Result):
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
    records: Sequence[AnswerRecord],
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
