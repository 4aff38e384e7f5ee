"""Pairwise tournaments and run-offs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators import JudgeRunOff, Knockout, Swiss
from quorate.aggregators.judges import Judge, borda, bradley_terry
from quorate.aggregators.judges.pairwise import Match
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import Done
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Question
from quorate.testing import ScriptedModel
from tests.aggregators.helpers import aggregated, happened

from .helpers import boxed, numbers, prefers, says, vote

PAIRWISE: tuple[type[Judge], ...] = (Knockout, Swiss, JudgeRunOff)
pairwise = pytest.mark.parametrize("kind", PAIRWISE)


@pytest.mark.parametrize("kind", [Knockout, Swiss])
@settings(max_examples=25, deadline=None)
@given(answers=st.lists(st.integers(0, 99), min_size=2, max_size=9, unique=True), seed=st.integers(0, 99))
def test_a_consistent_judge_finds_the_best(kind: type[Judge], answers: list[int], seed: int) -> None:
    """Whatever the draw, the one that beats all others wins."""
    answer = asyncio.run(aggregated(kind(prefers(lambda n: n), fallback=vote()), boxed(*answers), seed))
    assert answer.answer == str(max(answers))


@pairwise
async def test_every_match_is_judged_in_both_orders(kind: type[Judge]) -> None:
    """Each pair is shown twice, mirrored, with seeds of their own."""
    judge = prefers(lambda n: n)
    await aggregated(kind(judge, fallback=vote()), boxed(1, 2, 3, 4, 5))
    shown = Counter(tuple(numbers(asked)) for asked in judge.asked)
    assert shown
    assert all(count == 1 and shown[pair[::-1]] == 1 for pair, count in shown.items())
    assert len({asked.sampling.seed for asked in judge.asked}) == len(judge.asked)


@pairwise
async def test_a_judge_that_favours_a_place_decides_nothing(kind: type[Judge]) -> None:
    """Its two verdicts contradict each other, so every match is a tie, and the votes stand."""
    for place in (1, 2):
        answer = await aggregated(kind(says(f"Chosen: {place}"), fallback=vote()), boxed(1, 2, 3, 2, 4))
        assert (answer.answer, answer.degraded) == ("2", ())


@pairwise
async def test_a_tie_is_a_verdict(kind: type[Judge]) -> None:
    """Half a point each; the votes decide."""
    assert (await aggregated(kind(says("Chosen: tie"), fallback=vote()), boxed(1, 2, 3, 2))).answer == "2"


@pytest.mark.parametrize(("kind", "matches"), [(Knockout, 8), (Swiss, 16)])
async def test_how_many_matches_there_are(kind: type[Judge], matches: int) -> None:
    """A knockout of nine has eight; a Swiss one of nine four in each of four rounds; two calls each."""
    judge = prefers(lambda n: n)
    await aggregated(kind(judge, fallback=vote()), boxed(*range(9)))
    assert len(judge.asked) == 2 * matches


async def test_nobody_meets_twice_in_a_swiss_tournament() -> None:
    """With more rounds than pairs, it ends when all have met."""
    judge = prefers(lambda n: n)
    await aggregated(Swiss(judge, rounds=50, fallback=vote()), boxed(1, 2, 3, 4))
    pairs = Counter(frozenset(numbers(asked)) for asked in judge.asked)
    assert all(count == 2 for count in pairs.values())
    assert len(pairs) <= 6


@pairwise
async def test_equal_answers_are_not_judged_against_each_other(kind: type[Judge]) -> None:
    """They tie for free."""
    judge = prefers(lambda n: n)
    answer = await aggregated(kind(judge, fallback=vote()), boxed(5, 5, 5, 5))
    assert answer.answer == "5"
    assert judge.asked == []
    assert answer.degraded == ()


@pairwise
async def test_single_verdicts_that_are_missing_are_told(kind: type[Judge]) -> None:
    """They count as half; with some others readable, the tournament stands."""

    def line(question: Question, index: int) -> str:
        shown = numbers(question)
        return f"Chosen: {1 + shown.index(max(shown))}" if shown[0] < shown[1] else "hm"

    answer = await aggregated(kind(ScriptedModel(line, name="judge"), fallback=vote()), boxed(1, 2, 3))
    assert answer.answer == {"judge-run-off": answer.answer}.get(kind.name, "3")
    [note] = answer.degraded
    assert note.code == "verdict_missing"
    assert "'hm'" in note.detail


async def test_out_of_budget_in_the_middle_the_standing_decides() -> None:
    """What was judged is not lost, and the answer says why there is no more."""
    run = RunContext(seed=1, node="aggregate", budget=Budget(tokens=700))
    judge = prefers(lambda n: n)
    [event] = await happened(Knockout(judge, concurrency=1, fallback=vote()), boxed(*range(8)), run)
    assert isinstance(event, Done)
    assert 0 < len(judge.asked) < 14
    assert "budget_exhausted" in [note.code for note in event.answer.degraded]
    assert event.answer.answer is not None


async def test_concurrency_is_bounded() -> None:
    """No more calls at a time than allowed."""
    running, most = 0, 0

    class Counting(ScriptedModel):
        async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            await super().sample(question, slots, run)
            running -= 1

    await aggregated(Swiss(Counting(["Chosen: 1"]), concurrency=3, fallback=vote()), boxed(*range(8)))
    assert most == 3


async def test_the_run_off_is_between_the_two_most_frequent() -> None:
    """Whatever the judge thinks of others."""
    judge = prefers(lambda n: n)
    answer = await aggregated(JudgeRunOff(judge, fallback=vote()), boxed(1, 1, 1, 2, 2, 9))
    assert answer.answer == "2"
    assert {frozenset(numbers(asked)) for asked in judge.asked} == {frozenset({1, 2})}


def test_strengths_of_a_known_tournament() -> None:
    """Bradley-Terry and Borda rank by wins; equal results give equal strengths; no matches, equal strengths."""
    circle = [Match(0, 1, 1.0), Match(1, 2, 1.0), Match(2, 0, 1.0)]
    assert len(set(bradley_terry(3, circle))) == 1
    ladder = [Match(0, 1, 1.0), Match(1, 2, 1.0), Match(0, 2, 1.0)]
    for ranking in (bradley_terry, borda):
        first, second, third = ranking(3, ladder)
        assert first > second > third
        assert len(set(ranking(4, []))) == 1
    # One win, and the tie with strength 1: expected points are 1.5 of those two matches.
    winner, loser = bradley_terry(2, [Match(0, 1, 1.0)])
    assert winner / (winner + loser) + winner / (winner + 1) == pytest.approx(1.5, abs=1e-4)
    assert loser / (winner + loser) + loser / (loser + 1) == pytest.approx(0.5, abs=1e-4)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([0.0, 0.5, 1.0])), max_size=12))
def test_rankings_follow_the_names(played: list[tuple[int, int, float]]) -> None:
    """Renaming players, reordering or mirroring matches renames strengths and changes none."""
    matches = [Match(a, b, points) for a, b, points in played if a != b]
    mirrored = [Match(4 - m.second, 4 - m.first, 1 - m.points) for m in reversed(matches)]
    for ranking in (bradley_terry, borda):
        assert ranking(5, matches) == pytest.approx(ranking(5, mirrored)[::-1], abs=1e-5)


def test_rounds_are_checked() -> None:
    """At least one."""
    with pytest.raises(BadInput, match="rounds=0"):
        Swiss(says("x"), rounds=0)
