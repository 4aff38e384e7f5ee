"""What a judge's reply decides."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.aggregators.judges.verdicts import choice_of, order_of, parse_choice, parse_preference, parse_ranking

NAMED = {
    "Chosen: 2": 1,
    "Chosen: Response A": 0,
    "Chosen: Solution B": 1,
    "chosen 2.": 1,
    "**Chosen:** **2**": 1,
    "I think 1 is wrong.\n\nChosen: Response 2": 1,
    "All are close. Chosen: 2": 1,
    "My final verdict: Chosen: 2.": 1,
    "Chosen: [3]": 2,
    "Chosen: $3$": 2,
    "Chosen: N = 3": 2,
    "Chosen: 2 (it checks its steps)": 1,
    "Chosen: 2, which is right": 1,
    "Chosen: 2 because it is right": 1,
    "Chosen: Solution 2 - the clearest": 1,
    "Chosen: Response B": 1,
    r"\boxed{\text{Response 2}}": 1,
    "Response 2": 1,
    "Chosen: 2\n\nNote: Response 1 was chosen 3 times by others.": 1,
    "Chosen: 2\n(Two readers preferred 1.)": 1,
    "Chosen: 1? No.\nChosen: 3": 2,
    "Chosen: 1\nNo, its last step is wrong.\nChosen: 3": 2,
    "Chosen: 2\nChosen: 2": 1,
}
DOUBTFUL = [
    *("Chosen: 0", "Chosen: 4", "Chosen: -1", "Chosen: 99999999999999999999", "Chosen: 2nd", "Chosen: 50%"),
    *("Chosen: none of them", "Chosen: neither", "Chosen: both 1 and 2", "Chosen: all", "Chosen: not 1", "Chosen: tie"),
    *("Chosen: 1 or 2", "Chosen: 1 and 2", "Chosen: 1, 2", "Chosen: 1 & 2", "Chosen: 1/2", "Chosen: 1-2", "1 or 2"),
    *("Chosen: 1 (or 2)", "Chosen: 1, or rather 2", "Chosen: 2 (tie with 1)", "Chosen: 1 Chosen: 2"),
    *("Chosen: 2.5", "Chosen: 2,5", "Chosen: 1½", "Chosen: .5", "Chosen: 1 is wrong, so 2", "Chosen: 1? No, 2"),
    *("Chosen: 1\nChosen: 2", "Chosen: 2\nChosen: neither", "I would have chosen 2 but", "Chosen answer: 2"),
    *("Chosen: B", "B", "2", "(3)", r"\boxed{3}", "The answer is 2.", "I cannot decide among these 3.", "", "..."),
]


@pytest.mark.parametrize(("reply", "position"), NAMED.items())
def test_the_one_of_three_that_is_named(reply: str, position: int) -> None:
    """On its line, whatever stands before or behind that."""
    assert parse_choice(reply, 3) == position


@pytest.mark.parametrize("reply", DOUBTFUL)
def test_doubt_is_no_verdict(reply: str) -> None:
    """Two at once, halves, nobody, numbers out of range, and what may be an answer of the judge's own."""
    assert parse_choice(reply, 3) is None


def test_who_was_asked_again_may_leave_the_word_out() -> None:
    """Nothing else was asked for, so a bare number is the verdict; doubt is doubt all the same."""
    form = choice_of(3)
    assert [form.parse_again(text) for text in ("2", "**3**", "Chosen: 1", "B", "2.5", "1 or 2", "4")] == [
        *(1, 2, 0),
        *[None] * 4,
    ]
    assert order_of(3).parse_again("2 > 1 > 3") == [1, 0, 2]


@pytest.mark.parametrize(
    ("reply", "points"),
    [
        ("Chosen: 1", 1.0),
        ("Chosen: 2", 0.0),
        ("Chosen: tie", 0.5),
        ("Chosen: a tie.", 0.5),
        ("Chosen: tie or 1", None),
        ("Chosen: 1.5", None),
        ("Chosen: neither", None),
        ("Chosen: 3", None),
        ("untied, then Chosen: the tiebreak", None),
        ("", None),
    ],
)
def test_the_better_of_two(reply: str, points: float | None) -> None:
    """Points of the first."""
    assert parse_preference(reply) == points


@pytest.mark.parametrize(
    ("reply", "ranking"),
    [
        ("1 is best.\nRanking: 2 > 1 > 3", [1, 0, 2]),
        ("**Ranking:** 3, 1, 2", [2, 0, 1]),
        ("FINAL RANKING: Response 2 > Response 3 > Response 1", [1, 2, 0]),
        ("Ranking: 1 > 2 > 3\nNo, wait.\nRanking: 3 > 2 > 1", [2, 1, 0]),
        ("Ranking: 2 > 1 > 3\n\nNote: the ranking 1 > 2 > 3 is close", [1, 0, 2]),
        ("2 > 3 > 1", [1, 2, 0]),
        ("Ranking: 2 > 1 > 3\nRanking: 1 > 2 > 3", None),
        ("Ranking: 1 > 2 = 3", None),
        ("Ranking: 1 < 2 < 3", None),
        ("Ranking: 1 > 2 > 3.5", None),
        ("Ranking: 1 > 2 > 3 or 2 > 1 > 3", None),
        ("Ranking: B > A > C", None),
        ("Ranking: 1 > 2", None),
        ("Ranking: 1 > 1 > 2", None),
        ("Ranking: 1 > 2 > 4", None),
        ("All three are fine.", None),
        ("", None),
    ],
)
def test_an_order_of_three(reply: str, ranking: list[int] | None) -> None:
    """Each number once, or it says nothing."""
    assert parse_ranking(reply, 3) == ranking


@given(st.text() | st.from_regex(r"(chosen|ranking|tie|\\boxed|[\d{}:>* \n])*"), st.integers(1, 50))
def test_any_reply_is_read(reply: str, n: int) -> None:
    """A position in range or none, never an error."""
    position = parse_choice(reply, n)
    assert position is None or 0 <= position < n
    assert parse_preference(reply) in (None, 0.0, 0.5, 1.0)
    assert parse_ranking(reply, n) in (None, parse_ranking(reply, n))


PIECES = ("chosen ", "chosen: the ", "chosen" + "*" * 1000, "\\boxed{", "chosen\n", "1 > ", "ranking 1", "so my the ")


@pytest.mark.parametrize("piece", PIECES)
def test_hostile_replies_are_read_in_linear_time(piece: str) -> None:
    """Half a megabyte of near misses, that would take a backtracking reader longer than anyone waits."""
    reply = piece * (500_000 // len(piece))
    start = time.process_time()
    assert parse_choice(reply, 3) is None
    assert parse_ranking(reply, 3) is None
    assert time.process_time() - start < 5
