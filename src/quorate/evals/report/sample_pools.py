"""The samples of one model, or the answers of a panel: how they scale and how much they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..measures import Curve, agreement, calibration, curve, headroom, sizes, tally_confidence
from ..records import AnswerRecord
from .data import SamplePool

__all__ = ["PANEL", "is_ceiling", "name_curve", "sample_pools", "scaling_curves"]

PANEL = "panel of all models"
_NAMES = {"plurality": "majority@k", "pass": "pass@k (any right)"}
"""What the report calls a rule of the replay."""
MOST_GROUPS = 16
"""Models whose curves are shown, those with the most samples first."""
PLENTY = 2
"""Samples a question from which a curve has two ends."""


def scaling_curves(groups: Mapping[str, Sequence[AnswerRecord]]) -> tuple[Curve, ...]:
    """Of every group with several samples a question; ties of groups in their own order."""
    several = {name: records for name, records in groups.items() if max(map(len, records)) >= PLENTY}
    chosen = sorted(several, key=lambda name: -sum(map(len, several[name])))[:MOST_GROUPS]
    return tuple(_curve(name, several[name], rule) for name in chosen for rule in _NAMES)


def _curve(group: str, records: Sequence[AnswerRecord], rule: str) -> Curve:
    found = curve(records, rule, sizes(max(map(len, records))))
    # What is known of single questions would be most of a report.
    points = tuple(point.model_copy(update={"credits": (), "costs": None}) for point in found.points)
    return found.model_copy(update={"group": group, "points": points})


def name_curve(found: Curve) -> str:
    """What the report calls it."""
    return _NAMES.get(found.aggregator, found.aggregator)


def is_ceiling(found: Curve) -> bool:
    """Whether it is no system: what a perfect choice among the samples would reach."""
    return found.aggregator == "pass"


def sample_pools(groups: Mapping[str, Sequence[AnswerRecord]]) -> tuple[SamplePool, ...]:
    """Every group by its figures."""
    return tuple(_sample_pool(name, records) for name, records in groups.items())


def _sample_pool(name: str, records: Sequence[AnswerRecord]) -> SamplePool:
    margin, agreed = headroom(records), agreement(records)
    several = margin.k >= PLENTY
    sure = calibration(*tally_confidence(records)) if several else None
    return SamplePool(
        name=name,
        questions=len(records),
        samples=sum(map(len, records)),
        k=margin.k,
        single=margin.single,
        majority=margin.chosen if several else None,
        oracle=margin.oracle if several else None,
        agreement=agreed.pair_agreement,
        error_agreement=agreed.error_agreement,
        ece=sure.ece if sure else None,
        brier=sure.brier if sure else None,
    )
