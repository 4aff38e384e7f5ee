"""What the laws are measured against: the mixture from the formulas alone, and when counts are far from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quorate.aggregators.token_level.token_bytes import END
from quorate.testing.tokens import FormulaTokens


def mix(
    models: Sequence[FormulaTokens], prompt: Sequence[int], temperature: float, weights: Sequence[float] = ()
) -> dict[bytes, float]:
    """The weighted mean distribution over texts, of equal weights if none are given."""
    import numpy as np

    mass: dict[bytes, float] = {}
    for one, weight in zip(models, weights or [1.0] * len(models), strict=True):
        shares = np.exp(one.row(prompt).astype(np.float64) / temperature)
        shares *= weight / (shares.sum() * sum(weights or [1.0] * len(models)))
        for token, share in enumerate(shares):
            key = END if token in one.vocabulary.ends else one.vocabulary.bytes_of(token)
            if key is not None:
                mass[key] = mass.get(key, 0.0) + share
    return mass


def is_far(counts: Mapping[bytes, int], mass: Mapping[bytes, float], draws: int) -> bool:
    """Whether chi-square over all texts lies four deviations above its mean; texts expected under 5 times pooled."""
    expected = {key: share * draws for key, share in mass.items()}
    common = [key for key, count in expected.items() if count >= 5]
    rest = draws - sum(counts.get(key, 0) for key in common)
    rest_expected = sum(expected.values()) - sum(expected[key] for key in common)
    statistic = sum((counts.get(key, 0) - expected[key]) ** 2 / expected[key] for key in common)
    statistic += (rest - rest_expected) ** 2 / rest_expected
    return bool(statistic >= len(common) + 4 * (2 * len(common)) ** 0.5)
