"""Coverage F(N) = F_max (1 - (1 - p)^N), the chance that one of N samples is right (TTSPM, arXiv 2505.20522).

It is fitted to the unbiased pass@k of a pilot. It says nothing of what a vote makes of the samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log, sqrt
from typing import Any

from quorate.orchestrator.errors import BadInput

from ..statistics import Result, require

__all__ = ["Coverage", "fit_coverage"]


class Coverage(Result):
    """F(N) = f_max (1 - (1 - p)^N)."""

    f_max: float
    """Share of questions that enough samples solve."""
    p: float
    """Chance of one sample on those."""
    misfit: float
    """Root of the mean squared distance from the pilot's pass@k; one p for all questions rarely fits well."""

    def at(self, samples: float) -> float:
        """F(N)."""
        return float(self.f_max * (1 - (1 - self.p) ** samples))

    def worth(self, epsilon: float) -> int:
        """N*: samples after which the next one adds less than epsilon; at least 1.

        ceil(ln(epsilon / (f_max p)) / ln(1 - p)), TTSPM's equation for the marginal gain.
        """
        if self.p >= 1 or self.f_max * self.p <= epsilon:
            return 1
        return max(1, ceil(log(epsilon / (self.f_max * self.p)) / log(1 - self.p) - 1e-9))


def fit_coverage(curve: Sequence[tuple[int, float]]) -> Coverage:
    """The coverage curve nearest to these (k, pass@k), by scipy's bounded least squares.

    Raises:
        BadInput: there are fewer than two points.
        MissingExtra: scipy is not installed.
    """
    require()
    import numpy as np
    from scipy.optimize import least_squares

    if len(curve) < 2:
        raise BadInput("a coverage curve needs a pilot with at least 2 samples a question")
    k, reached = np.array([n for n, _ in curve], float), np.array([value for _, value in curve])
    if reached[-1] <= 0:
        return Coverage(f_max=0.0, p=0.0, misfit=0.0)

    def gaps(x: Any) -> Any:
        return x[0] * (1 - (1 - x[1]) ** k) - reached

    start = [min(1.0, float(reached[-1])), min(max(float(reached[0] / reached[-1]), 1e-3), 1 - 1e-6)]
    found = least_squares(gaps, start, bounds=([0.0, 1e-9], [1.0, 1.0]))
    f_max, p = (float(value) for value in found.x)
    return Coverage(f_max=f_max, p=p, misfit=sqrt(float(np.mean(found.fun**2))))
