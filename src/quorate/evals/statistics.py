"""How sure a measurement is: intervals of means, and paired comparisons of two systems.

Questions are taken as independent draws; the samples of one question are not. Level 0.95 throughout.

- A share of right answers has the Wilson interval (Wilson, 1927).
- A mean of values in [0, 1] that are not all 0 or 1, such as pass@1 over sixteen samples, has the
  Wilson interval at its effective sample size (Korn and Graubard, 1998; recommended by Franco et
  al., 2019, J. Survey Statistics and Methodology 7). On values that are all 0 or 1 the two agree.
- The difference of two systems on the same questions has Tango's score interval (Tango, 1998,
  Statistics in Medicine 17), which stays honest where they never disagree, and McNemar's exact p.

statsmodels has the first two, scipy the root finder for the third, which no library offers.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from math import comb, sqrt
from statistics import fmean

from quorate.orchestrator.errors import BadInput, MissingExtra
from quorate.orchestrator.types import Frozen

__all__ = ["LEVEL", "Estimate", "PairedDifference", "mean_interval", "paired_difference", "pass_at_k", "require"]

LEVEL = 0.95


class Estimate(Frozen):
    """A mean over questions with its two-sided interval."""

    value: float
    low: float
    high: float


class PairedDifference(Frozen):
    """Accuracy of one system minus that of another on the same questions."""

    difference: float
    low: float
    high: float
    p: float
    """Two-sided, exact McNemar: how surprising the disagreements are if both are equally good."""


def require() -> None:
    """Fails now rather than after hours of sampling.

    Raises:
        MissingExtra: scipy or statsmodels is not installed.
    """
    try:
        for library in ("scipy.optimize", "scipy.stats", "statsmodels.stats.proportion"):
            import_module(library)
    except ImportError as error:
        raise MissingExtra("eval", "the statistics of an evaluation") from error


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


def mean_interval(values: Sequence[float], draws: int | None = None) -> Estimate:
    """Mean of one value in [0, 1] a question, with its interval.

    Args:
        values: one a question.
        draws: how many samples stand behind all values together; bounds the effective sample size
            where questions happen to agree. The number of questions if not given.
    """
    require()
    from statsmodels.stats.proportion import proportion_confint

    mean, n = fmean(values), len(values)
    spread = fmean((value - mean) ** 2 for value in values)
    most = max(n, draws or n)
    effective = min(max(n * mean * (1 - mean) / spread, n), most) if spread > 0 else most
    low, high = proportion_confint(mean * effective, effective, alpha=1 - LEVEL, method="wilson")
    return Estimate(value=mean, low=min(float(low), mean), high=max(float(high), mean))


def paired_difference(a: Sequence[bool], b: Sequence[bool]) -> PairedDifference:
    """How much more often a is right than b on the same questions, in the same order."""
    require()
    from scipy.stats import binomtest

    only_a = sum(x and not y for x, y in zip(a, b, strict=True))
    only_b = sum(y and not x for x, y in zip(a, b, strict=True))
    disagreements = only_a + only_b
    return PairedDifference(
        difference=(only_a - only_b) / len(a),
        low=-_upper_limit(only_b, only_a, len(a)),
        high=_upper_limit(only_a, only_b, len(a)),
        p=min(1.0, float(binomtest(only_a, disagreements).pvalue)) if disagreements else 1.0,
    )


def _upper_limit(only_a: int, only_b: int, n: int) -> float:
    """Largest difference that Tango's score test would not reject."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.ppf((1 + LEVEL) / 2))
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
