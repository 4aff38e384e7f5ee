"""Two systems on the same questions, and several such comparisons at once.

Right or wrong on independent questions, the difference has Tango's score interval (Tango, 1998, Statistics in
Medicine 17), which stays honest where the two never disagree, and McNemar's exact p. scipy has the binomial test and
the root finder; no library offers the interval. Partly right answers and families of questions have a cluster-robust
interval and a test that exchanges the two in whole families.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean
from typing import Any, Literal

from quorate.orchestrator.errors import BadInput

from .base import LEVEL, Result, require
from .resampling import Bootstrap, clustered_fit, families

EXCHANGES = 9999
"""Exchanges drawn by the test, where not all can be listed."""


class PairedDifference(Result):
    """Accuracy of one system minus that of another on the same questions."""

    difference: float
    low: float
    high: float
    p: float
    """Two-sided, exact McNemar: how surprising the disagreements are if both are equally good."""


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided p of the exact McNemar test, from the questions that only one of the two gets right.

    Exact at every size, so there is no border at which it turns into an approximation.
    """
    require()
    from scipy.stats import binomtest

    disagreements = only_a + only_b
    return min(1.0, float(binomtest(only_a, disagreements).pvalue)) if disagreements else 1.0


def paired_difference(a: Sequence[bool], b: Sequence[bool], level: float = LEVEL) -> PairedDifference:
    """How much more often a is right than b on the same questions, in the same order.

    Raises:
        BadInput: the two differ in length, or there are no questions.
    """
    if not a or len(a) != len(b):
        raise BadInput(f"a paired comparison needs the same questions of both, not {len(a)} and {len(b)}")
    only_a = sum(x and not y for x, y in zip(a, b, strict=True))
    only_b = sum(y and not x for x, y in zip(a, b, strict=True))
    low, high = tango(only_a, only_b, len(a), level)
    return PairedDifference(difference=(only_a - only_b) / len(a), low=low, high=high, p=mcnemar(only_a, only_b))


def tango(only_a: int, only_b: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Score interval of the difference, from the questions that only one of the two gets right."""
    require()
    return -_upper_limit(only_b, only_a, n, level), _upper_limit(only_a, only_b, n, level)


def _upper_limit(only_a: int, only_b: int, n: int, level: float) -> float:
    """Largest difference that Tango's score test would not reject."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.ppf((1 + level) / 2))
    estimate = (only_a - only_b) / n
    if estimate == 1:
        return 1.0

    def excess(difference: float) -> float:
        slack = difference * (1 - difference)
        linear = (2 * n - only_a + only_b) * difference - only_a - only_b
        # Maximum-likelihood share of questions that only b gets right, given this difference.
        nuisance = (sqrt(max(0.0, linear**2 + 8 * n * only_b * slack)) - linear) / (4 * n)
        return only_a - only_b - n * difference + z * sqrt(n * max(0.0, 2 * nuisance + slack))

    # The estimate itself is a root too where nobody disagrees, so the search starts just above it.
    return float(brentq(excess, estimate + 1e-9, 1.0))


class PairedComparison(Result):
    """Accuracy of a minus that of b on the same questions."""

    difference: float
    low: float
    high: float
    interval: Literal["tango", "cluster-t", "tango-families"]
    """Tango's score interval; cluster-robust t; Tango's with a question a family where the two never differ."""
    bootstrap_low: float
    bootstrap_high: float
    """Percentile bootstrap over the same units: a second opinion that needs no model."""
    p: float
    """Two-sided: how surprising the difference is if both are equally good."""
    test: Literal["mcnemar", "exchange"]
    """McNemar's exact test; exchange of the two in whole families, McNemar's generalization."""
    questions: int
    families: int
    better: int
    """Questions on which a did better."""
    worse: int


def compare_paired(
    a: Sequence[float],
    b: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    seed: int = 0,
    level: float = LEVEL,
) -> PairedComparison:
    """Compares two systems, given for each question the chance that each is right (1 or 0 for one answer).

    Right or wrong answers to independent questions have Tango's interval and McNemar's exact test.
    Anything else has the cluster-robust t interval of the mean difference (statsmodels) and the test
    that exchanges a and b in whole families (scipy's `permutation_test`), which with one question a
    family and right or wrong answers is McNemar's.

    Args:
        clusters: the family of each question; without them all questions are independent.
        seed: of the resamples and exchanges.

    Raises:
        BadInput: the two differ in length, or there are no questions.
    """
    if not a or len(a) != len(b):
        raise BadInput(f"a paired comparison needs the same questions of both, not {len(a)} and {len(b)}")
    require()
    groups, names = families(clusters, len(a)), clusters or [""] * len(a)
    # Resamples are drawn by place, and it shall change nothing which question was answered first.
    order = sorted(range(len(a)), key=lambda question: (names[question], a[question], b[question]))
    groups, gaps = [groups[i] for i in order], [float(a[i]) - float(b[i]) for i in order]
    better, worse = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    count = len(set(groups))
    boot_low, boot_high = Bootstrap(groups, seed).interval(gaps, level)
    common = {
        "difference": fmean(gaps),
        "bootstrap_low": boot_low,
        "bootstrap_high": boot_high,
        "questions": len(gaps),
        "families": count,
        "better": better,
        "worse": worse,
    }
    if count == len(gaps) and {*a, *b} <= {0, 1}:
        low, high = tango(better, worse, len(gaps), level)
        return PairedComparison(
            low=low, high=high, interval="tango", p=mcnemar(better, worse), test="mcnemar", **common
        )
    low, high, interval = _interval(gaps, groups, level)
    return PairedComparison(
        low=low, high=high, interval=interval, p=_exchange(gaps, groups, seed), test="exchange", **common
    )


def _interval(
    gaps: Sequence[float], groups: Sequence[int], level: float
) -> tuple[float, float, Literal["cluster-t", "tango-families"]]:
    """Cluster-robust t, unless all families differ alike: then nothing is known of their spread."""
    fit = clustered_fit(gaps, groups) if len(set(groups)) > 1 else None
    if fit is None or not float(fit.cov_params()[0, 0]) > 1e-24:
        low, high = tango(0, 0, len(set(groups)), level)
        mean = fmean(gaps)
        return max(-1.0, mean + low), min(1.0, mean + high), "tango-families"
    ((low, high),) = fit.conf_int(alpha=1 - level)
    return max(-1.0, float(low)), min(1.0, float(high)), "cluster-t"


def _exchange(gaps: Sequence[float], groups: Sequence[int], seed: int) -> float:
    """p of the sum of differences when each family's may as well have had the other sign."""
    import numpy as np
    from scipy.stats import permutation_test

    sums = np.bincount(groups, gaps)
    sums = np.sort(sums[np.abs(sums) > 1e-12])
    if len(sums) < 2:  # one family that differs may as well differ the other way
        return 1.0

    def total(x: Any, axis: int = -1) -> Any:
        return np.sum(x, axis=axis).round(12)  # equal sums in another order are equal

    found = permutation_test(
        (sums,),
        total,
        permutation_type="samples",
        vectorized=True,
        n_resamples=EXCHANGES,
        batch=512,
        rng=np.random.default_rng(seed),
    )
    return min(1.0, float(found.pvalue))


def holm(ps: Sequence[float]) -> list[float]:
    """The p values of several comparisons, corrected by Holm (1979), in the given order.

    Whoever calls everything below 0.05 a difference is wrong about any at all in at most 5 % of
    evaluations. statsmodels' `multipletests`.
    """
    require()
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(list(ps), alpha=1 - LEVEL, method="holm")[1]] if ps else []
