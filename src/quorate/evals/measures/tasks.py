"""Accuracies of systems on several tasks, and the same on resampled questions: what a ranking takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from ..ranking import RESAMPLES, Scores
from ..statistics import Bootstrap, families
from .systems import System

__all__ = ["resampled_scores", "task_scores"]


def task_scores(tasks: Mapping[str, Sequence[System]]) -> Scores:
    """Of each task the accuracy of each system that was asked."""
    return {task: {s.name: fmean(p.credit for p in s.played.values()) for s in some} for task, some in tasks.items()}


def resampled_scores(
    tasks: Mapping[str, Sequence[System]], *, seed: int = 0, resamples: int = RESAMPLES
) -> list[Scores]:
    """The same so many times, each with the questions of every task drawn anew, in families.

    Systems of one task that were asked the same questions get the same ones.
    """
    drawn = {task: {s.name: _means(s, seed, resamples) for s in some} for task, some in tasks.items()}
    return [
        {task: {n: means[i] for n, means in some.items()} for task, some in drawn.items()} for i in range(resamples)
    ]


def _means(system: System, seed: int, resamples: int) -> list[float]:
    items = sorted(system.played)
    units = families([system.played[item].cluster for item in items], len(items))
    means = Bootstrap(units, seed, resamples).means([system.played[item].credit for item in items])
    return [float(mean) for mean in means]
