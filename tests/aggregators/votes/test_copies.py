"""Copies of a voter are found without labels, and count once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.votes import Ballot, LabelFree, Plurality
from quorate.aggregators.votes.copies import find_copies, merge_copies
from quorate.orchestrator.errors import BadInput

NAMES = ("a", "b", "c", "d", "a2", "a3")


def panel(
    questions: int = 200, *, copies: int = 2, right: float = 0.6, alike: float = 1.0, seed: int = 0
) -> list[Ballot]:
    """Class 0 is right; copies of `a` say the same in this share of the questions."""
    rng = random.Random(seed)

    def answer() -> int:
        return 0 if rng.random() < right else rng.randint(1, 5)

    made = []
    for _ in range(questions):
        own = [answer() for _ in range(4)]
        own += [own[0] if rng.random() < alike else answer() for _ in range(copies)]
        made.append(Ballot(tuple(own), NAMES[: 4 + copies]))
    return made


def test_copies_are_found_and_others_are_not() -> None:
    assert find_copies(panel()) == (("a", "a2", "a3"),)
    assert find_copies(panel(copies=0)) == ()
    assert find_copies(panel(alike=0.9)) == ()


def test_agreement_where_all_agree_makes_no_copies() -> None:
    """Able voters agree nearly always; what counts is where the panel is divided."""
    assert find_copies(panel(2000, copies=0, right=0.99)) == ()


def test_few_divided_questions_tell_nothing() -> None:
    assert find_copies(panel(10)) == ()
    assert find_copies(panel(10), least=5) == (("a", "a2", "a3"),)


def test_two_voters_alone_are_never_copies() -> None:
    """Where they agree the panel is not divided."""
    assert find_copies([Ballot((0, 0), ("a", "b"))] * 100) == ()


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_the_order_of_ballots_and_voters_changes_nothing(rng: random.Random) -> None:
    made = panel(60)
    expected = find_copies(made)
    rng.shuffle(made)
    order = list(range(len(NAMES)))
    rng.shuffle(order)
    assert (
        find_copies([Ballot(tuple(b.classes[i] for i in order), tuple(NAMES[i] for i in order)) for b in made])
        == expected
    )


def test_merged_ballots_have_one_vote_of_each_group() -> None:
    merged = merge_copies([Ballot((None, 2, 1, 2), ("a", "a2", "b", "a3"), (0.1, 0.2, 0.3, 0.4))], [("a", "a2", "a3")])
    assert merged == [Ballot((2, 1), ("a", "b"), (0.2, 0.3))]
    lone = [Ballot((0, 1))]
    assert merge_copies(lone, ()) == lone
    assert merge_copies([Ballot((None, None), ("a", "a2"))], [("a", "a2")]) == [Ballot((None,), ("a",), (None,))]


def test_label_free_weighs_as_if_copies_were_not_there() -> None:
    """What copies say of each other is no evidence of anything."""
    pytest.importorskip("numpy")
    alone, copied = LabelFree(), LabelFree()
    expected = alone.fit_weights(panel(copies=0))
    found = copied.fit_weights(merge_names(panel()))
    assert [max(w, key=w.__getitem__) for w in found] == [max(w, key=w.__getitem__) for w in expected]
    assert copied.abilities.of("a2") == copied.abilities.of("a")


def merge_names(ballots: list[Ballot]) -> list[Ballot]:
    """The panel without copies and the one with them have the same votes but for the copies."""
    alone = panel(copies=0)
    return [Ballot((*a.classes, a.classes[0], a.classes[0]), b.voters) for a, b in zip(alone, ballots, strict=True)]


def test_plurality_is_not_outvoted_by_copies() -> None:
    made = merge_copies(panel(), find_copies(panel()))
    votes = [Plurality().weights(b) for b in made]
    assert all(sum(w.values()) == 4 for w in votes)


@pytest.mark.parametrize("bad", [{"same": 0.0}, {"same": 1.2}, {"least": 0}])
def test_impossible_settings(bad: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="find_copies"):
        find_copies([], **bad)  # type: ignore[arg-type]
