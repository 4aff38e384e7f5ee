"""Ranks systems over several tasks, from scores of which some may be missing.

- `mean`: of the scores a system has; scores of different scales count as they are.
- `borda`: in each task the share of the other systems that it beats, ties half; the mean over tasks.
- `copeland`: for each other system 1 if it is better on more of the tasks that both have, 1/2 if as many.
- `plackett-luce`: strengths under which the tasks' orders are likeliest (choix, Maystre and Grossglauser,
  2015, with a little shrinkage, so that a system that always wins has a finite strength).

The first three are positional and pairwise rules of Vote'n'Rank (arXiv 2210.05769), the last one is how
ONEBench (arXiv 2412.06745) aggregates what is mostly missing. Only `mean` looks at distances; the others
look at orders, and so do not care for scales. A mean over different tasks compares different things
where scores are missing; the orders compare systems only where both were asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from itertools import permutations
from math import lcm
from statistics import fmean
from typing import Any

from quorate.aggregators.votes.arrays import numpy
from quorate.orchestrator.errors import BadInput, MissingExtra, UnknownName

from .statistics import LEVEL, Result

Scores = Mapping[str, Mapping[str, float]]
"""Of each task, by name, the scores of the systems that were asked."""
SHRINKAGE = 0.01
RESAMPLES = 200
_ORDERS = 10_000
"""Orders that may stand for a task with ties."""


class Ranked(Result):
    """A system's place."""

    system: str
    score: float
    """By the method's own measure; higher is better."""
    rank: float
    """From 1, the best; systems of equal score share the mean of their ranks."""
    low: float
    high: float
    """Interval of the rank over resampled tasks, or over the given replicates."""
    tasks: int
    """Those that it has a score in."""


class Ranking(Result):
    """All systems, the best first, then by name."""

    method: str
    tasks: int
    systems: tuple[Ranked, ...]


def rank(
    scores: Scores,
    method: str = "plackett-luce",
    *,
    replicates: Sequence[Scores] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Ranking:
    """Ranks the systems.

    Args:
        replicates: the same scores from resampled questions; without them whole tasks are resampled,
            which with few tasks is a rough guide at best.
        seed: of the resampled tasks.

    Raises:
        UnknownName: there is no such method.
        BadInput: there are no scores.
        MissingExtra: choix is not installed.
    """
    if method not in METHODS:
        raise UnknownName("ranking method", method, METHODS)
    names = sorted({system for task in scores.values() for system in task})
    if not names:
        raise BadInput("nothing to rank: give at least one task with at least one score")
    found = METHODS[method](list(scores.values()), names)
    ranks = _ranks(found, names)
    again = _resample(scores, seed, resamples) if replicates is None else [list(one.values()) for one in replicates]
    drawn = [_ranks(METHODS[method](tasks, names), names) for tasks in again]
    rows = [_place_system(name, scores, found[name], ranks[name], [d[name] for d in drawn]) for name in names]
    return Ranking(method=method, tasks=len(scores), systems=tuple(sorted(rows, key=lambda r: (r.rank, r.system))))


def _place_system(name: str, scores: Scores, score: float, place: float, drawn: Sequence[float]) -> Ranked:
    tail = (1 - LEVEL) / 2
    low, high = numpy().quantile([*drawn], [tail, 1 - tail]) if drawn else (place, place)
    held = sum(name in task for task in scores.values())
    return Ranked(
        system=name, score=score, rank=place, low=min(float(low), place), high=max(float(high), place), tasks=held
    )


def _resample(scores: Scores, seed: int, resamples: int) -> list[list[Mapping[str, float]]]:
    rows = list(scores.values())
    drawn = numpy().random.default_rng(seed).integers(len(rows), size=(resamples, len(rows)))
    return [[rows[i] for i in places] for places in drawn]


def _ranks(scores: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """From 1; ties, but for rounding, share the mean."""
    values = [round(scores[name], 6) for name in names]
    return {
        name: 1 + sum(v > own for v in values) + (sum(v == own for v in values) - 1) / 2
        for name, own in zip(names, values, strict=True)
    }


def _mean(tasks: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
    held = {name: [task[name] for task in tasks if name in task] for name in names}
    return {name: fmean(values) if values else float("-inf") for name, values in held.items()}


def _borda(tasks: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
    points: dict[str, list[float]] = {name: [] for name in names}
    for task in tasks:
        for name, own in task.items():
            if len(task) > 1:
                beaten = sum((own > v) + (own == v) / 2 for v in task.values()) - 0.5
                points[name].append(beaten / (len(task) - 1))
    return {name: fmean(values) if values else 0.0 for name, values in points.items()}


def _copeland(tasks: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
    def against(a: str, b: str) -> float:
        both = [(task[a], task[b]) for task in tasks if a in task and b in task]
        ahead, behind = sum(x > y for x, y in both), sum(x < y for x, y in both)
        return 1.0 if ahead > behind else 0.5 if ahead == behind else 0.0

    return {a: sum(against(a, b) for b in names if b != a) for a in names}


def _plackett_luce(tasks: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
    try:
        choix = import_module("choix")
    except ImportError as error:
        raise MissingExtra("eval", "ranking by Plackett-Luce") from error
    place = {name: i for i, name in enumerate(names)}
    ways = [_ways(task) for task in tasks if len(task) > 1]
    if not ways:
        return dict.fromkeys(names, 0.0)
    # So many orders hold each way of each block equally often; every task has the same number, and so the same weight.
    count = min(lcm(*(len(block) for task in ways for block in task)), _ORDERS)
    orders = [tuple(place[name] for way in task for name in way[i % len(way)]) for task in ways for i in range(count)]
    strengths: Any = choix.ilsr_rankings(len(names), orders, alpha=SHRINKAGE * count, max_iter=1000, tol=1e-8)
    return {name: float(strengths[place[name]]) for name in names}


def _ways(task: Mapping[str, float]) -> list[list[Sequence[str]]]:
    """The orders in which systems of equal score may stand, for each score of the task from the best."""
    blocks: dict[float, list[str]] = {}
    for name in sorted(task, key=lambda name: (-task[name], name)):
        blocks.setdefault(task[name], []).append(name)
    return [_orders(block) for block in blocks.values()]


def _orders(block: Sequence[str]) -> list[Sequence[str]]:
    """All of them; of five systems and more only the rotations, forth and back."""
    if len(block) <= 4:
        return list(permutations(block))
    turned = [[*block[i:], *block[:i]] for i in range(len(block))]
    return [way for order in turned for way in (order, order[::-1])]


METHODS: Mapping[str, Callable[[Sequence[Mapping[str, float]], Sequence[str]], dict[str, float]]] = {
    "mean": _mean,
    "borda": _borda,
    "copeland": _copeland,
    "plackett-luce": _plackett_luce,
}
