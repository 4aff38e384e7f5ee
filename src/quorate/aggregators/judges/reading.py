"""What a judge's reply decides. It may be anything; reading it takes time linear in its length."""

from __future__ import annotations

import re

__all__ = ["chosen", "preferred"]

_MARKED = re.compile(
    r"\bchosen\W*+(?:(?:response|solution|answer|attempt|option|number|is|the)\W*+){0,4}+(?<!-)(\d{1,6}|tie)\b",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\W*+(?:text\W*+)?(?:response|solution)?\W*+(\d{1,6}|tie)\b", re.IGNORECASE)
_BARE = re.compile(
    r"\W*+(?:(?:the|response|solution|answer|attempt|option|number|is)\W*+){0,3}+(\d{1,6}|tie)\W*+", re.I
)


def _word(reply: str) -> str | None:
    """The number or `tie` that a reply ends in: the last marked one, a boxed one, or all there is."""
    for marks in (_MARKED, _BOXED):
        found = marks.findall(reply)
        if found:
            return str(found[-1]).lower()
    bare = _BARE.fullmatch(reply) if len(reply) < 100 else None
    return bare[1].lower() if bare else None


def chosen(reply: str, n: int) -> int | None:
    """Position, from 0, of the one of n that a reply names; None if it names none of them."""
    word = _word(reply)
    return int(word) - 1 if word is not None and word != "tie" and 1 <= int(word) <= n else None


def preferred(reply: str) -> float | None:
    """Points of the first of two by a reply: 1, 0, or 0.5 for a tie; None if it does not say."""
    return {"1": 1.0, "2": 0.0, "tie": 0.5}.get(_word(reply) or "")
