"""A run ends close below its limit."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.evals.outcome import Outcome
from quorate.evals.runner import RunBudget
from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import BadInput


def outcome(tokens: int, cost: float | None = None) -> Outcome:
    return Outcome(pipeline="m", item="1", gold="1", spent=tokens - 2, spent_prompt=2, spent_cost=cost)


def test_without_a_budget_everything_may_begin() -> None:
    """Also after a lot was spent."""
    budget = RunBudget()
    budget.begin()
    budget.end([outcome(10**9, 10.0**6)])
    assert budget.begin()
    assert not budget.counted
    assert budget.deadline() is None


def test_a_budget_of_samples_is_refused() -> None:
    """The names of the pipelines say how many."""
    with pytest.raises(BadInput, match="@N"):
        RunBudget(Budget(samples=3))


def test_a_budget_of_money_without_prices_is_refused() -> None:
    """It would bound nothing; what the bank gives has no price to have."""
    budget = RunBudget(Budget(money=1.0))
    assert budget.begin()
    budget.end([outcome(2)])
    assert budget.begin()
    with pytest.raises(BadInput, match="no model has prices"):
        budget.end([outcome(20), outcome(2)])


@given(st.integers(50, 5000), st.integers(1, 40), st.integers(0, 2**20))
@settings(max_examples=80, deadline=None)
def test_many_turns_at_once_end_near_the_limit(limit: int, at_once: int, seed: int) -> None:
    """Not above it by more than turns differ from their mean, and no turn that would fit is left out."""
    rng, budget = random.Random(seed), RunBudget(Budget(tokens=limit))
    running: list[int] = []
    open_ = True
    while open_:
        # The first turn alone shows what one costs.
        while len(running) < (at_once if budget.tokens else 1) and (open_ := budget.begin()):
            running.append(rng.randint(8, 12))
        if running and open_:
            budget.end([outcome(running.pop(0))])
    for tokens in running:
        budget.end([outcome(tokens)])
    # Turns of 8 to 12 lie up to 4 from the mean that the first of them shows.
    assert limit - 12 - 4 * at_once <= budget.tokens <= limit + 4 * at_once
    assert f"of {limit:,} tokens used" in str(budget.over)


def test_money_ends_a_run_and_free_samples_do_not() -> None:
    """What the bank gives costs nothing."""
    budget = RunBudget(Budget(money=1.0))
    for _ in range(3):
        assert budget.begin()
        budget.end([outcome(2, None)])
    assert budget.begin()
    budget.end([outcome(50, 0.2), outcome(50, 1.0)])
    assert not budget.begin()
    assert budget.over == "budget: 1.2 of 1 of money spent"
