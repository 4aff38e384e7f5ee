"""Thresholds of a cascade: what each goal keeps, on questions whose answers are known."""

from __future__ import annotations

import random
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.routing.calibration import (
    KeepBudget,
    KeepRisk,
    LoseNothing,
    StagedQuestion,
    StageResult,
    chance_of_few,
    take_stages,
)
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Question


def asked(number: int, *stages: tuple[float | None, float]) -> StagedQuestion:
    """A question with a score and a mark a stage."""
    name = f"q{number}"
    return StagedQuestion(name, name, Question.of(name), tuple(StageResult(*stage) for stage in stages))


def noisy(count: int, seed: int) -> list[StagedQuestion]:
    """The first stage is right with its score as the chance, the last one on nine of ten."""
    rng = random.Random(seed)
    scores = [rng.choice([1 / 3, 2 / 3, 1.0]) for _ in range(count)]
    return [
        asked(i, (score, float(rng.random() < score)), (None, float(rng.random() < 0.9)))
        for i, score in enumerate(scores)
    ]


@given(st.lists(st.sampled_from([0.25, 0.5, 0.75, 1.0, None]), min_size=1, max_size=60), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_budget_is_the_share_that_goes_on(scores: list[float | None], budget: float) -> None:
    """Of those with a score the best are kept, and of equal ones a part, so that the expected share is the budget."""
    questions = [asked(i, (score, 1.0), (None, 1.0)) for i, score in enumerate(scores)]
    [limit] = KeepBudget((budget,)).find_limits(questions)
    known = [score for score in scores if score is not None]
    above = sum(score > limit.threshold for score in known) if limit.threshold is not None else 0
    tied = sum(score == limit.threshold for score in known)
    kept = above + (tied * limit.tie if limit.threshold is not None else 0)
    assert kept == pytest.approx(min((1 - budget) * len(scores), len(known)), abs=1e-6)


def test_equal_scores_are_split_by_the_question() -> None:
    """Always alike, and about as many as the budget says."""
    questions = [asked(i, (1.0, 1.0), (None, 1.0)) for i in range(1000)]
    limits = KeepBudget((0.25,)).find_limits(questions)
    taken = [take_stages(question, limits).stage for question in questions]
    assert sum(taken) == pytest.approx(250, abs=45)
    assert taken == [take_stages(question, limits).stage for question in questions]


def test_shares_of_three_stages_follow_from_their_risks() -> None:
    """Exponential weights: the stage that is right more often keeps more of what the last one does not take."""
    questions = [asked(i, (i / 200, float(i % 2)), (i / 200, float(i % 10 > 0)), (None, 1.0)) for i in range(200)]
    limits = KeepBudget((0.1,)).find_limits(questions)
    shares = [sum(take_stages(q, limits).stage == stage for q in questions) / 200 for stage in range(3)]
    assert shares[2] == pytest.approx(0.1, abs=0.01)
    assert shares[1] > 10 * shares[0]
    told = KeepBudget((0.5, 0.25)).find_limits(questions)
    assert [sum(take_stages(q, told).stage == stage for q in questions) / 200 for stage in range(3)] == pytest.approx(
        [0.5, 0.25, 0.25], abs=0.01
    )


def test_a_risk_is_kept_on_as_many_new_questions_in_95_of_100_cases() -> None:
    """Right last answers that are lost; and the cheap stage is used, so that the bound is not kept by refusing."""
    kept, cheap = 0, 0
    for seed in range(100):
        questions = noisy(600, seed)
        limits = KeepRisk(0.05).find_limits(questions[:300])
        taken = [take_stages(question, limits) for question in questions[300:]]
        lost = sum(t.question.stages[-1].right > t.right for t in taken)
        kept += lost <= 0.05 * 300
        cheap += sum(t.stage == 0 for t in taken)
    assert kept >= 95
    assert cheap > 0.2 * 100 * 300


@pytest.mark.parametrize(("few", "of", "half"), [(0, 4, 20), (2, 7, 30), (5, 5, 10)])
def test_the_chance_of_few_losses_in_one_half(few: int, of: int, half: int) -> None:
    """The hypergeometric distribution, by whole numbers."""
    ways = sum(comb(of, k) * comb(2 * half - of, half - k) for k in range(few + 1))
    assert chance_of_few(few, of, half) == pytest.approx(ways / comb(2 * half, half))


def test_losing_nothing_never_accepts_what_is_worse() -> None:
    """A cheap stage as good as the last one is taken; one that is worse is not, nor is a handful of questions proof."""
    good = [asked(i, (1.0, 1.0), (None, 1.0)) for i in range(1000)]
    bad = [asked(i, (1.0, float(i % 20 > 0)), (None, 1.0)) for i in range(1000)]
    assert LoseNothing(0.01).find_limits(good)[0].threshold == 1.0
    assert LoseNothing(0.01).find_limits(bad)[0].threshold is None
    assert LoseNothing(0.01).find_limits(good[:20])[0].threshold is None


def test_what_never_accepts_is_not_asked() -> None:
    """So it costs nothing."""
    question = StagedQuestion("q", "q", Question.of("q"), (StageResult(1.0, 1.0, 5.0), StageResult(None, 1.0, 7.0)))
    taken = take_stages(question, LoseNothing(0.01).find_limits([question] * 20))
    assert (taken.stage, taken.asked, taken.cost) == (1, (1,), 7.0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: KeepBudget((1.5,)), "budget 1.5: give the share"),
        (lambda: KeepBudget((0.2, 0.5)), "a later stage cannot take more"),
        (lambda: KeepBudget((0.5, 0.2, 0.1)).find_limits(noisy(20, 0)), "3 shares for 2 stages"),
        (lambda: KeepRisk(0), "risk=0: give a share"),
        (lambda: LoseNothing(1.0), "margin=1"),
    ],
)
def test_impossible_goals_are_refused(make: object, words: str) -> None:
    """By name."""
    with pytest.raises(BadInput, match=words):
        make()  # type: ignore[operator]
