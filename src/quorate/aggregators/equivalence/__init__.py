"""Which answers are equivalent."""

from __future__ import annotations

from functools import cache

from .mathematics import MathEquivalence

__all__ = ["MathEquivalence", "default_equivalence"]


@cache
def default_equivalence() -> MathEquivalence:
    """What votes and graders use unless told otherwise."""
    return MathEquivalence()
