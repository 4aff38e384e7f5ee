"""Which answers are equivalent: `mathematics` has the rules, `units` and `notation` what they read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from .mathematics import MathEquivalence

__all__ = ["MathEquivalence", "SameText", "default_equivalence"]


@cache
def default_equivalence() -> MathEquivalence:
    """What votes and graders use unless told otherwise."""
    return MathEquivalence()


class SameText:
    """Answers are equal where they are spelled alike: for programs, and for what has one spelling already."""

    async def classes(self, answers: Sequence[str]) -> list[int]:
        """See `protocols.Equivalence`."""
        numbers = {answer: number for number, answer in enumerate(sorted(set(answers)))}
        return [numbers[answer] for answer in answers]
