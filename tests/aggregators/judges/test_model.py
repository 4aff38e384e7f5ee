"""What a judge's reply decides."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.aggregators.judges.model import parse_choice, parse_preference


@pytest.mark.parametrize(
    ("reply", "position"),
    [
        ("Chosen: 2", 1),
        ("chosen 2.", 1),
        ("**Chosen:** **2**", 1),
        ("I think 1 is wrong.\n\nChosen: Response 2", 1),
        ("Chosen: 1? No.\nChosen: 3", 2),
        ("Chosen: [3]", 2),
        (r"Because of 1 and 2, \boxed{3}", 2),
        (r"\boxed{\text{Response 2}}", 1),
        ("2", 1),
        ("The response is 2.", 1),
        ("(3)", 2),
        ("Chosen: 0", None),
        ("Chosen: 4", None),
        ("Chosen: -1", None),
        ("Chosen: 99999999999999999999", None),
        ("Chosen: none of them", None),
        ("Chosen: tie", None),
        ("I cannot decide among these 3.", None),
        ("1 or 2", None),
        ("", None),
        ("...", None),
    ],
)
def test_the_one_of_three_that_is_named(reply: str, position: int | None) -> None:
    """The last marked one counts, or all there is; numbers in passing do not, nor those out of range."""
    assert parse_choice(reply, 3) == position


@pytest.mark.parametrize(
    ("reply", "points"),
    [
        ("Chosen: 1", 1.0),
        ("Chosen: 2", 0.0),
        ("Chosen: tie", 0.5),
        ("Tie", 0.5),
        ("Chosen: 3", None),
        ("untied, then Chosen: the tiebreak", None),
        ("", None),
    ],
)
def test_the_better_of_two(reply: str, points: float | None) -> None:
    """Points of the first."""
    assert parse_preference(reply) == points


@given(st.text() | st.from_regex(r"(chosen|tie|\\boxed|[\d{}:* \n])*"), st.integers(1, 50))
def test_any_reply_is_read(reply: str, n: int) -> None:
    """A position in range or none, never an error."""
    position = parse_choice(reply, n)
    assert position is None or 0 <= position < n
    assert parse_preference(reply) in (None, 0.0, 0.5, 1.0)


def test_hostile_replies_are_read_in_linear_time() -> None:
    """Half a megabyte of near misses, that would take a backtracking reader longer than anyone waits."""
    for piece in ("chosen ", "chosen: the ", "chosen" + "*" * 1000, "\\boxed{", "chosen\n"):
        reply = piece * (500_000 // len(piece))
        start = time.process_time()
        assert parse_choice(reply, 3) is None
        assert time.process_time() - start < 20
