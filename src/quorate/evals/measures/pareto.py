"""The accuracy-cost front: what nobody beats on both."""

from __future__ import annotations

from collections.abc import Iterable

from ..statistics import Figure

__all__ = ["Point", "pareto"]


class Point(Figure):
    """A system by what it costs and what it reaches."""

    name: str
    cost: float
    """Tokens, money or seconds a question: the same for all points."""
    accuracy: float


def pareto(points: Iterable[Point]) -> tuple[Point, ...]:
    """Those that no other point reaches at the same cost or less, cheapest first; equals all stay."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.accuracy, p.name)):
        best = front[-1] if front else None
        if best is None or point.accuracy > best.accuracy or (point.cost, point.accuracy) == (best.cost, best.accuracy):
            front.append(point)
    return tuple(front)
