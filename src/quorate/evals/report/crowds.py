"""The samples of one model, or the answers of a panel: how they scale and how much they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..measures import agreement, calibration, curve, headroom, sizes, tally_confidence
from ..records import Recorded
from .data import Crowd, Curve, Point

__all__ = ["PANEL", "crowds", "curves"]

PANEL = "panel of all models"
AGGREGATORS = (("plurality", "majority@k", False), ("pass", "pass@k (any right)", True))
"""The replay's name, the report's, and whether it is a ceiling and no system."""
MOST_GROUPS = 16
"""Models whose curves are shown, those with the most samples first."""
PLENTY = 2
"""Samples a question from which a curve has two ends."""


def curves(groups: Mapping[str, Sequence[Recorded]]) -> tuple[Curve, ...]:
    """Of every group with several samples a question; ties of groups in their own order."""
    several = {name: records for name, records in groups.items() if max(map(len, records)) >= PLENTY}
    chosen = sorted(several, key=lambda name: -sum(map(len, several[name])))[:MOST_GROUPS]
    return tuple(_curve(name, several[name], *kind) for name in chosen for kind in AGGREGATORS)


def _curve(group: str, records: Sequence[Recorded], aggregator: str, name: str, ceiling: bool) -> Curve:
    most = max(map(len, records))
    found = curve(records, aggregator, sizes(most))
    points = tuple(Point(k=p.k, accuracy=p.accuracy, tokens=p.tokens) for p in found.points)
    return Curve(group=group, name=name, points=points, ceiling=ceiling)


def crowds(groups: Mapping[str, Sequence[Recorded]]) -> tuple[Crowd, ...]:
    """Every group by its figures."""
    return tuple(_crowd(name, records) for name, records in groups.items())


def _crowd(name: str, records: Sequence[Recorded]) -> Crowd:
    room, agreed = headroom(records), agreement(records)
    several = room.k >= PLENTY
    sure = calibration(*tally_confidence(records)) if several else None
    return Crowd(
        name=name,
        questions=len(records),
        samples=sum(map(len, records)),
        k=room.k,
        single=room.single,
        majority=room.chosen if several else None,
        oracle=room.oracle if several else None,
        agreement=agreed.pair_agreement,
        error_agreement=agreed.error_agreement,
        ece=sure.ece if sure else None,
        brier=sure.brier if sure else None,
    )
