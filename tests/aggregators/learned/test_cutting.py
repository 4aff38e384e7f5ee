"""Cutting sets: sizes, labels, balance, seeds, and what cannot be cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.learned.cutting import Cut, balance_sets, cut_sets
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import CandidateSet

from .sets import many, sampled, solution


async def test_a_deal_gives_disjoint_sets_of_m() -> None:
    """Sixteen samples make two sets of eight without a common sample."""
    sets = await cut_sets([sampled("q", range(16), 3)], Cut(m=8))
    texts = [{c.text for c in s.source.candidates} for s in sets]
    assert [len(t) for t in texts] == [8, 8]
    assert not texts[0] & texts[1]


async def test_a_set_is_hard_when_its_plurality_is_wrong_or_shared() -> None:
    """Right alone is easy; wrong, tied or nothing at all is hard."""
    easy, wrong, tied = [
        (await cut_sets([sampled("q", answers)], Cut(m=4)))[0] for answers in ([4, 4, 4, 5], [5, 5, 4, 6], [4, 4, 5, 5])
    ]
    assert (easy.hard, easy.plurality) == (False, 3)
    assert (wrong.hard, wrong.plurality) == (True, 2)
    assert (tied.hard, tied.plurality) == (True, 2)


async def test_the_target_is_a_right_sample_of_the_question() -> None:
    """Also one that is not in the set; none where no sample is right."""
    (found,) = await cut_sets([sampled("q", [4, 5, 5, 5, 5], 4)], Cut(m=4, seed=1))
    assert found.target == solution(4)
    (hopeless,) = await cut_sets([sampled("q", [5, 6, 7, 8], 4)], Cut(m=4))
    assert hopeless.target is None


async def test_of_several_right_samples_the_target_is_the_one_most_like_the_set() -> None:
    """What the set's candidates wrote, wherever it was right, is not to be written otherwise."""
    alike, other = "a: 1 + 1 = 2\nb: 2 + 2 = 4\nAnswer: 4", "x: 8 / 2 = 4\nAnswer: 4"
    wrong = "a: 1 + 1 = 2\nb: 2 + 2 = 5\nAnswer: 5"
    texts = [(wrong, False), (wrong, False), (alike, True), (other, True)]
    base = sampled("q", [4] * len(texts), 4)
    candidates = tuple(c.model_copy(update={"text": t}) for c, (t, _) in zip(base.candidates, texts, strict=True))
    question = base.model_copy(update={"candidates": candidates, "correct": tuple(ok for _, ok in texts)})
    (found,) = await cut_sets([question], Cut(m=4))
    assert found.target == alike


@settings(deadline=None)
@given(share=st.sampled_from([0.0, 0.25, 0.5, 1.0]), seed=st.integers(0, 5))
async def test_all_hard_sets_stay_and_easy_ones_as_a_share_of_them(share: float, seed: int) -> None:
    """Whatever the share and seed."""
    how = Cut(m=4, easy_share=share, seed=seed)
    sets = await cut_sets(many(), how)
    hard = sum(s.hard for s in sets)
    kept = balance_sets(sets, how)
    assert sum(s.hard for s in kept) == hard
    assert sum(not s.hard for s in kept) == min(len(sets) - hard, round(share * hard))


async def test_the_same_seed_cuts_the_same_sets_and_another_one_others() -> None:
    """Deals, targets and order follow from the seed."""
    first, again, other = [await cut_sets(many(), Cut(m=4, seed=seed)) for seed in (1, 1, 2)]
    assert first == again
    assert first != other


async def test_the_order_in_which_samples_came_does_not_matter() -> None:
    """They are put in a canonical order before they are dealt."""
    answers = [4, 5, 6, 4, 7, 4, 5, 4]
    one = sampled("q", answers)
    pairs = list(zip(one.candidates, one.correct, strict=True))[::-1]
    turned = one.model_copy(update={"candidates": tuple(c for c, _ in pairs), "correct": tuple(k for _, k in pairs)})
    cuts = [await cut_sets([q], Cut(m=4)) for q in (one, turned)]
    assert [[c.text for c in s.source.candidates] for s in cuts[0]] == [
        [c.text for c in s.source.candidates] for s in cuts[1]
    ]


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ([], "no samples"),
        ([sampled("q", [4] * 8, None)], "no gold answers"),
        ([sampled("q", [4] * 8, graded=False)], "no gold answers"),
        ([sampled("q", [4, 5, 6])], r"at most 3 .*cut\.m=3"),
    ],
)
async def test_a_bank_that_gives_no_sets_says_what_it_lacks(sets: list[CandidateSet], words: str) -> None:
    """Nothing sampled, nothing graded, too few samples."""
    with pytest.raises(DataError, match=words):
        await cut_sets(sets, Cut(m=8))


async def test_no_hard_sets_is_an_error_unless_all_easy_ones_are_wanted() -> None:
    """There is nothing to gain where the vote is always right."""
    sets = await cut_sets([sampled("q", [4] * 8), sampled("r", [4] * 8)], Cut(m=4))
    with pytest.raises(DataError, match="none of the 4 sets is hard"):
        balance_sets(sets, Cut(m=4))
    assert len(balance_sets(sets, Cut(m=4, easy_share=None))) == 4


@pytest.mark.parametrize("wrong", [{"m": 1}, {"deals": 0}, {"easy_share": -0.5}])
def test_impossible_cuts_are_refused(wrong: dict[str, float]) -> None:
    """By name."""
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Cut(**wrong)
