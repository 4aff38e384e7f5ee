"""Means over questions with their intervals.

- A share of right answers has the Wilson interval (Wilson, 1927).
- A mean of values in [0, 1] that are not all 0 or 1, such as pass@1 over sixteen samples, has the
  Wilson interval at its effective sample size (Korn and Graubard, 1998; recommended by Franco et
  al., 2019, J. Survey Statistics and Methodology 7). On values that are all 0 or 1 the two agree.
- The same with families: the effective size follows from the cluster-robust variance, adjusted to
  the t distribution with families - 1 degrees of freedom (Korn and Graubard, section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from statistics import fmean

from quorate.orchestrator.errors import BadInput

from .base import LEVEL, Estimate, require
from .resampling import clustered_fit, families


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Chance that k of these samples, drawn without replacement, hold a correct one.

    The unbiased estimator of Chen et al., 2021 (Evaluating Large Language Models Trained on Code), section 2.1.

    Raises:
        BadInput: not 0 <= correct <= samples and 1 <= k <= samples.
    """
    if not (0 <= correct <= samples and 1 <= k <= samples):
        raise BadInput(
            f"pass@{k} of {correct} correct in {samples} samples: needs 1 <= k <= samples, correct <= samples"
        )
    return 1.0 - comb(samples - correct, k) / comb(samples, k)


def wilson(right: float, n: float, level: float = LEVEL) -> Estimate:
    """Share of right answers with its Wilson interval; n may be an effective number."""
    require()
    from statsmodels.stats.proportion import proportion_confint

    if not 0 <= right <= n or n == 0:
        raise BadInput(f"{right} right of {n}: needs 0 <= right <= n, and n above 0")
    low, high = proportion_confint(right, n, alpha=1 - level, method="wilson")
    return Estimate(value=right / n, low=min(float(low), right / n), high=max(float(high), right / n))


def mean_interval(
    values: Sequence[float],
    draws: int | None = None,
    clusters: Sequence[str] | None = None,
    level: float = LEVEL,
) -> Estimate:
    """Mean of one value in [0, 1] a question, with its interval.

    Args:
        values: one a question.
        draws: how many samples stand behind all values together; bounds the effective sample size
            where questions happen to agree. The number of questions if not given.
        clusters: the family of each question; without them all questions are independent.

    Raises:
        BadInput: there are no values, or not one family a value.
    """
    if not values:
        raise BadInput("an interval needs at least one value")
    mean, n = fmean(values), len(values)
    groups = families(clusters, n)
    if len(set(groups)) < n:
        effective = _effective(values, groups, level)
    else:
        spread = fmean((value - mean) ** 2 for value in values)
        most = max(n, draws or n)
        effective = min(max(n * mean * (1 - mean) / spread, n), most) if spread > 0 else most
    found = wilson(min(mean, 1.0) * effective, effective, level)
    return Estimate(value=mean, low=min(found.low, mean), high=max(found.high, mean))


def _effective(values: Sequence[float], groups: Sequence[int], level: float) -> float:
    """How many independent right-or-wrong questions tell as much; as many as families where all values are equal."""
    from scipy.stats import t

    mean, n, count = fmean(values), len(values), len(set(groups))
    if max(values) - min(values) < 1e-12:
        return count
    variance = float(clustered_fit(values, groups).cov_params()[0, 0])
    size = min(mean * (1 - mean) / variance, n) if variance > 1e-24 else n
    surer = float(t.ppf((1 + level) / 2, n - 1) / t.ppf((1 + level) / 2, count - 1)) ** 2
    return max(size * surer, 1.0)
