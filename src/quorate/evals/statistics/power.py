"""What a paired evaluation can see: questions needed for a gain, and the gain that questions can show.

The score test of McNemar in large samples (Miettinen, 1968; Connor, 1987, Biometrics 43): with a share
d of questions on which exactly one of the two systems is right, a gain g is seen with the given power by

    n = (z_alpha sqrt(d) + z_power sqrt(d - g^2))^2 / g^2

questions. Partly right answers (expected credit) enter by the mean square of their differences, which for
right and wrong ones is d itself. Families multiply n by the design effect of the differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from statistics import fmean

from quorate.orchestrator.errors import BadInput

from .base import LEVEL, Result, require

POWER = 0.8


class Needed(Result):
    """Questions that show a gain."""

    questions: int
    gain: float
    disagreement: float
    power: float
    design_effect: float


class Detectable(Result):
    """The smallest gain that so many questions show with the given power; None where none is small enough."""

    gain: float | None
    questions: int
    disagreement: float
    power: float
    design_effect: float


def disagreement(a: Sequence[float], b: Sequence[float]) -> float:
    """Share of questions on which exactly one is right; for partly right answers the mean square difference."""
    if not a or len(a) != len(b):
        raise BadInput(f"a paired comparison needs the same questions of both, not {len(a)} and {len(b)}")
    return fmean((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True))


def sample_size(
    gain: float,
    disagreement: float,
    *,
    power: float = POWER,
    level: float = LEVEL,
    design_effect: float = 1.0,
    most: float | None = None,
) -> Needed:
    """How many questions show this gain.

    Args:
        most: the largest gain there can be: the disagreement itself for right and wrong answers, its
            square root for partly right ones.

    Raises:
        BadInput: the gain is 0, or larger than the disagreement allows.
    """
    most = disagreement if most is None else most
    if not (0 < abs(gain) <= most and gain**2 <= disagreement <= 1):
        raise BadInput(
            f"a gain of {gain:g} where the two disagree on {disagreement:g} of the questions: needs "
            "0 < gain <= disagreement <= 1"
        )
    questions = ceil(_questions(abs(gain), disagreement, power, level) * design_effect - 1e-9)
    return Needed(questions=questions, gain=gain, disagreement=disagreement, power=power, design_effect=design_effect)


def detectable(
    questions: int,
    disagreement: float,
    *,
    power: float = POWER,
    level: float = LEVEL,
    design_effect: float = 1.0,
    most: float | None = None,
) -> Detectable:
    """The minimum detectable effect of a paired evaluation with so many questions.

    Args:
        most: as in `sample_size`.

    Raises:
        BadInput: no questions, or the disagreement is no share.
    """
    require()
    from scipy.optimize import brentq

    if questions < 1 or not 0 <= disagreement <= 1:
        raise BadInput(f"{questions} questions and disagreement {disagreement:g}: needs 1 or more, and a share")
    gain: float | None = None
    most = disagreement if most is None else min(most, sqrt(disagreement))
    if disagreement > 0 and _questions(most, disagreement, power, level) * design_effect <= questions:

        def shortfall(effect: float) -> float:
            return _questions(effect, disagreement, power, level) * design_effect - questions

        gain = float(brentq(shortfall, 1e-9, most))
    return Detectable(
        gain=gain, questions=questions, disagreement=disagreement, power=power, design_effect=design_effect
    )


def _questions(gain: float, disagreement: float, power: float, level: float) -> float:
    require()
    from scipy.stats import norm

    sure, seen = float(norm.ppf((1 + level) / 2)), float(norm.ppf(power))
    return (sure * sqrt(disagreement) + seen * sqrt(max(0.0, disagreement - gain**2))) ** 2 / gain**2
