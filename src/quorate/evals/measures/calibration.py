"""Whether a confidence says how often the answer is right: ECE, Brier score, risk over coverage.

ECE with equally wide bins: Guo et al., 2017 (arXiv 1706.04599), section 2. Risk-coverage and its area:
Geifman and El-Yaniv, 2017 (arXiv 1705.08500). Answers may be partly right (a shared tie): the chance of
being right stands for the label. Questions of equal confidence are taken in the mean of all their orders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, groupby
from statistics import fmean

from quorate.orchestrator.errors import BadInput

from ..records import AnswerRecord
from ..replay.contract import count_classes
from ..statistics import Result

BINS = 10


class Bin(Result):
    """Questions of similar confidence."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


class RiskPoint(Result):
    """What is wrong among the surest questions."""

    coverage: float
    """Share of questions answered."""
    risk: float
    """Share of wrong ones among them."""
    confidence: float
    """The lowest among them: the threshold that gives this coverage."""


class Calibration(Result):
    """How well a confidence predicts being right."""

    questions: int
    accuracy: float
    confidence: float
    """Mean; above `accuracy` is overconfident."""
    ece: float
    """Expected calibration error: mean distance of confidence and accuracy over bins."""
    brier: float
    """Mean squared distance of confidence and right (1) or wrong (0)."""
    aurc: float
    """Mean risk over all coverages, below 1 - accuracy where confidence tells something."""
    bins: tuple[Bin, ...]
    """Those that hold a question."""
    risk_coverage: tuple[RiskPoint, ...]
    """One for every threshold that tells questions apart, the surest first."""


def tally_confidence(records: Sequence[AnswerRecord]) -> tuple[list[float], list[float]]:
    """The share of all samples that the plurality has, and the chance that it is right, for each question."""
    top = [max(Counter(c for c in r.classes if c is not None).values(), default=0) / len(r) for r in records]
    return top, [record.credit(count_classes(record.classes)) for record in records]


def calibration(confidences: Sequence[float], right: Sequence[float], bins: int = BINS) -> Calibration:
    """Calibration of confidences in [0, 1] against right answers (1, 0, or the chance of being right).

    Raises:
        BadInput: there is nothing, the two differ in length, or a number is not in [0, 1].
    """
    if not confidences or len(confidences) != len(right):
        raise BadInput(
            f"calibration needs a confidence and a result of each question: {len(confidences)}, {len(right)}"
        )
    if not all(0 <= value <= 1 for value in (*confidences, *right)) or bins < 1:
        raise BadInput("calibration needs confidences and results from 0 to 1, and at least one bin")
    pairs = sorted(zip(map(float, confidences), map(float, right), strict=True), reverse=True)
    filled = _bins(pairs, bins)
    ordered = [credit for _, tied in _ties(pairs) for credit in [fmean(r for _, r in tied)] * len(tied)]
    risks = [1 - done / (i + 1) for i, done in enumerate(accumulate(ordered))]
    return Calibration(
        questions=len(pairs),
        accuracy=fmean(r for _, r in pairs),
        confidence=fmean(c for c, _ in pairs),
        ece=sum(b.count * abs(b.confidence - b.accuracy) for b in filled) / len(pairs),
        brier=fmean(c * c - 2 * c * r + r for c, r in pairs),
        aurc=max(0.0, fmean(risks)),
        bins=filled,
        risk_coverage=_risk_coverage(pairs),
    )


def _ties(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, list[tuple[float, float]]]]:
    return [(confidence, list(tied)) for confidence, tied in groupby(pairs, key=lambda pair: pair[0])]


def _bins(pairs: Sequence[tuple[float, float]], bins: int) -> tuple[Bin, ...]:
    """Half-open from below, the last one closed."""
    held: dict[int, list[tuple[float, float]]] = {}
    for confidence, right in pairs:
        held.setdefault(min(int(confidence * bins), bins - 1), []).append((confidence, right))
    return tuple(
        Bin(
            low=place / bins,
            high=(place + 1) / bins,
            count=len(members),
            confidence=fmean(c for c, _ in members),
            accuracy=fmean(r for _, r in members),
        )
        for place, members in sorted(held.items())
    )


def _risk_coverage(pairs: Sequence[tuple[float, float]]) -> tuple[RiskPoint, ...]:
    points, seen, wrong = [], 0, 0.0
    for confidence, tied in _ties(pairs):
        seen += len(tied)
        wrong += sum(1 - right for _, right in tied)
        points.append(RiskPoint(coverage=seen / len(pairs), risk=wrong / seen, confidence=confidence))
    return tuple(points)
