"""Patterns that people write into `quorate.yaml`: RE2's, which takes time in proportion to the text whatever they are.

Python's own goes back and tries again, so that a pattern that repeats a repetition, and a question made for it, could
stop a server for ever.
"""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["check_pattern", "fits", "occurs"]


def check_pattern(pattern: str) -> str:
    """The pattern itself.

    Raises:
        ValueError: it is none, or needs what RE2 does not have.
    """
    _compile(pattern)
    return pattern


def occurs(pattern: str, text: str) -> bool:
    """Whether it stands somewhere in a text; other threads run meanwhile."""
    return _compile(pattern).search(_bytes(text)) is not None


def fits(pattern: str, text: str) -> bool:
    """Whether it is the whole of a text."""
    return _compile(pattern).fullmatch(_bytes(text)) is not None


def _bytes(text: str) -> bytes:
    """As RE2 reads it; half a character, which JSON can write and UTF-8 cannot, becomes a question mark."""
    return text.encode(errors="replace")


@cache
def _compile(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace")
        raise ValueError(
            f"{pattern!r} is no regular expression of RE2, which has no look-around, no backreferences and "
            f"no repetition above 1,000: {why}"
        ) from None
