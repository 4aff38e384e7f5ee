"""Families of questions and resamples of them.

A family is made alike, such as from one template, so that its results go together. The bootstrap is the percentile
bootstrap over questions, or over their families (Efron, 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from quorate.aggregators.votes.arrays import numpy
from quorate.orchestrator.errors import BadInput

from .base import LEVEL, Estimate, require

RESAMPLES = 2000


def families(clusters: Sequence[str] | None, questions: int) -> list[int]:
    """A number for the family of each question, from 0.

    A question without a name of a family is one of its own. Where all questions are of one family,
    that family is what is measured, and its questions are independent draws: a family each.

    Raises:
        BadInput: there is not one name a question.
    """
    if clusters is None:
        return list(range(questions))
    if len(clusters) != questions:
        raise BadInput(f"{questions} questions, but {len(clusters)} names of families")
    if questions and clusters[0] and len(set(clusters)) == 1:
        return list(range(questions))
    known: dict[object, int] = {}
    return [known.setdefault(name or i, len(known)) for i, name in enumerate(clusters)]


def clustered_fit(values: Sequence[float], groups: Sequence[int]) -> Any:
    """The mean as a regression on a constant with cluster-robust covariance, t with families - 1 degrees.

    statsmodels' CR1: the variance times G / (G - 1), as in Stata; with one question a family it is
    that of the ordinary mean.
    """
    require()
    import numpy as np
    from statsmodels.regression.linear_model import OLS

    kinds = {"groups": np.asarray(groups)}
    return OLS(np.asarray(values, float), np.ones(len(values))).fit(cov_type="cluster", cov_kwds=kinds, use_t=True)


def design_effect(values: Sequence[float], clusters: Sequence[str] | None) -> float:
    """How many times more questions are needed because those of one family are alike; 1 if they are not.

    The variance of the mean over families over that of as many independent questions (Kish, 1965),
    not below 1: a family of opposites is no reason to ask fewer.
    """
    groups = families(clusters, len(values))
    if len(set(groups)) == len(groups) or len(values) < 2:
        return 1.0
    mean = fmean(values)
    alone = sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values)
    return max(1.0, float(clustered_fit(values, groups).cov_params()[0, 0]) / alone) if alone else 1.0


class Bootstrap:
    """Means over resampled units; the same resamples for every list of values given to it.

    Args:
        units: what each value belongs to, a question or a family; values of one unit stay together.
        seed: chooses the resamples.

    Raises:
        BadInput: there are no values.
        MissingExtra: numpy is not installed.
    """

    def __init__(self, units: Sequence[object], seed: int = 0, resamples: int = RESAMPLES) -> None:
        if not units:
            raise BadInput("a bootstrap needs at least one value")
        np = numpy()
        place = {name: i for i, name in enumerate(dict.fromkeys(units))}
        self._unit = np.array([place[name] for name in units])
        drawn = np.random.default_rng(seed).multinomial(len(place), [1 / len(place)] * len(place), resamples)
        self._drawn = drawn.astype(float)
        self._rows = self._drawn @ np.bincount(self._unit)

    def means(self, values: Sequence[float]) -> Any:
        """The mean of every resample, an array."""
        sums = numpy().bincount(self._unit, values, minlength=self._drawn.shape[1])
        return self._drawn @ sums / self._rows

    def interval(self, values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
        """Of the mean; holds the mean itself."""
        tail = (1 - level) / 2
        low, high = numpy().quantile(self.means(values), [tail, 1 - tail])
        mean = fmean(values)
        return min(float(low), mean), max(float(high), mean)


def bootstrap_interval(
    values: Sequence[float], clusters: Sequence[str] | None = None, seed: int = 0, level: float = LEVEL
) -> Estimate:
    """Mean of any values, one a question, with its percentile interval."""
    low, high = Bootstrap(families(clusters, len(values)), seed).interval(values, level)
    return Estimate(value=fmean(values), low=low, high=high)
