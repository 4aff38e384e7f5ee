"""Two systems by a rubric: who is preferred, and how much of it is length or place."""

from __future__ import annotations

import random

import pytest

from quorate.evals.judging import OpenPair, compare_by_rubric, family_of
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.identity import Identity
from quorate.testing import ScriptedModel

from .judges import TasteJudge, length, truth

pytest.importorskip("statsmodels")


def pairs(n: int = 40, *, good: float = 0.7, more: int = 6) -> list[OpenPair]:
    """In this share of questions a is the better one; a is longer by as many words in the mean."""
    rng = random.Random(2)
    made = []
    for i in range(n):
        better = rng.random() < good
        a, b = ("right" if better else "wrong"), ("wrong" if better else "right")
        made.append(OpenPair(f"q{i}", f"Why {i}?", a + " a" * (more + rng.randint(0, 8)), b + " b" * rng.randint(0, 8)))
    return made


async def test_points_are_those_of_the_better_answers() -> None:
    made = pairs()
    found = await compare_by_rubric(TasteJudge(truth), made, a="x", b="y")
    better = sum(pair.a.startswith("right") for pair in made) / len(made)
    assert found.preferred.value == pytest.approx(better)
    assert (found.consistent, found.first, found.verdicts) == (1, 0.5, 80)
    assert (found.a, found.b, found.questions, found.same) == ("x", "y", 40, 0)


async def test_a_judge_of_length_is_found_out() -> None:
    """Nothing is left of the preference at equal length, or the fit has no end, since length decides all."""
    made = pairs(80, more=2)
    found = await compare_by_rubric(TasteJudge(length), made)
    assert found.longer == 1
    assert found.preferred.value > 0.55
    assert found.at_equal_length is None


async def test_a_taste_that_is_half_length_is_fairer_at_equal_length() -> None:
    """a writes more and is no better; a judge of whom length decides half."""
    rng = random.Random(5)
    made = pairs(200, good=0.5, more=4)

    def taste(text: str) -> float:
        return length(text) if rng.random() < 0.5 else rng.random() * 8

    found = await compare_by_rubric(TasteJudge(taste), made)
    assert found.at_equal_length is not None
    assert found.preferred.value > found.at_equal_length.value
    assert found.at_equal_length.low < 0.5 < found.preferred.low


async def test_a_judge_of_places_says_nothing() -> None:
    found = await compare_by_rubric(TasteJudge(lambda _: 0.0, place=1), pairs(10))
    assert (found.preferred.value, found.consistent, found.first) == (0.5, 0, 1)


async def test_equal_and_empty_answers_need_no_judge() -> None:
    judge = TasteJudge(truth)
    made = [OpenPair("1", "?", "same", "same"), OpenPair("2", "?", "words", ""), OpenPair("3", "?", "", "")]
    found = await compare_by_rubric(judge, made)
    assert not judge.asked
    assert found.preferred.value == pytest.approx(2 / 3)
    assert (found.same, found.verdicts) == (2, 0)


async def test_the_rubric_is_what_the_judge_reads() -> None:
    judge = TasteJudge(truth)
    await compare_by_rubric(judge, pairs(2), rubric="Only kindness counts.")
    assert all("Rubric: Only kindness counts." in question.text for question in judge.asked)


async def test_what_cannot_be_compared() -> None:
    with pytest.raises(BadInput, match="no question was answered by both x and y"):
        await compare_by_rubric(TasteJudge(truth), [], a="x", b="y")
    with pytest.raises(BadInput, match="rubric is empty"):
        await compare_by_rubric(TasteJudge(truth), pairs(2), rubric=" ")
    with pytest.raises(NoAnswer, match="none of 4 verdicts"):
        await compare_by_rubric(ScriptedModel(["hm"]), pairs(2))


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("Qwen/Qwen3-8B", "qwen"),
        ("smollm2-135m", "smollm"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama"),
        ("gpt-4o-mini", "gpt"),
        ("70b", "b"),
        (Identity(kind="endpoint", model="local", family="gemma"), "gemma"),
        (Identity(kind="endpoint", model="org/Gemma-3-1b"), "gemma"),
    ],
)
def test_families(model: Identity | str, family: str) -> None:
    assert family_of(model) == family
