"""Patterns in quorate.yaml: what they find, and that no text can keep them busy."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.config.patterns import check_pattern, fits, occurs


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"(?i)\bprove\b", "Please PROVE it", True),
        (r"(?i)\bprove\b", "improved", False),
        (r"\d+ \+ \d+", "what is 12 + 30?", True),
        (r"théorème|定理", "下面的定理", True),
        (r"^b$", "a\nb", False),
        (r"(?m)^b$", "a\nb", True),
        ("a?b", "half a \ud800b", True),
    ],
)
def test_what_is_found(pattern: str, text: str, found: bool) -> None:
    """Words, numbers, other alphabets, lines, and texts that UTF-8 cannot write."""
    assert occurs(pattern, text) is found


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a", "missing \\)"),
        ("(?=a)b", r"invalid perl operator: \(\?="),
        (r"(a)\1", r"invalid escape sequence: \\1"),
        ("(a{100}){100}", "invalid repetition size|too large"),
    ],
)
def test_what_only_a_search_that_goes_back_could_match_is_refused(pattern: str, why: str) -> None:
    """References, look-around and huge repetitions are RE2's to refuse, which is why it never goes back."""
    with pytest.raises(ValueError, match=rf"is no regular expression of RE2, .*(?:{why})"):
        check_pattern(pattern)


@given(st.text("ab./", max_size=8), st.text("ab.*+?/(", max_size=5))
def test_whole_texts_are_matched_as_by_the_standard_library(text: str, pattern: str) -> None:
    """Where both take a pattern."""
    try:
        check_pattern(pattern)
        expected = re.fullmatch(pattern, text) is not None
    except (ValueError, re.error):
        return
    assert fits(pattern, text) is expected
