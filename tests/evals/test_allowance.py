"""A run ends close below its limit."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorate.orchestrator.context import Budget

from quorate.evals.allowance import Allowance
from quorate.evals.outcome import Outcome
from quorate.orchestrator.errors import BadInput


def outcome(tokens: int, cost: float | None = None) -> Outcome:
    return Outcome(pipeline="m", item="1", gold="1", spent=tokens - 2, spent_prompt=2, spent_cost=cost)


def test_without_a_budget_everything_may_begin() -> None:
    """Also after a lot was spent."""
    allowance = Allowance()
    allowance.begin()
    allowance.end([outcome(10**9, 10.0**6)])
    assert allowance.begin()
    assert not allowance.counted
    assert allowance.deadline() is None


def test_a_budget_of_samples_is_refused() -> None:
    """The names of the pipelines say how many."""
    with pytest.raises(BadInput, match="@N"):
        Allowance(Budget(samples=3))


def test_a_budget_of_money_without_prices_is_refused() -> None:
    """It would bound nothing; what the bank gives has no price to have."""
    allowance = Allowance(Budget(money=1.0))
    assert allowance.begin()
    allowance.end([outcome(2)])
    assert allowance.begin()
    with pytest.raises(BadInput, match="no model has prices"):
        allowance.end([outcome(20), outcome(2)])


@given(st.integers(50, 5000), st.integers(1, 40), st.integers(0, 2**20))
@settings(max_examples=80, deadline=None)
def test_many_turns_at_once_end_near_the_limit(limit: int, at_once: int, seed: int) -> None:
    """Not above it by more than turns differ from their mean, and no turn that would fit is left out."""
    rng, allowance = random.Random(seed), Allowance(Budget(tokens=limit))
    running: list[int] = []
    open_ = True
    while open_:
        # The first turn alone shows what one costs.
        while len(running) < (at_once if allowance.tokens else 1) and (open_ := allowance.begin()):
            running.append(rng.randint(8, 12))
        if running and open_:
            allowance.end([outcome(running.pop(0))])
    for tokens in running:
        allowance.end([outcome(tokens)])
    # Turns of 8 to 12 lie up to 4 from the mean that the first of them shows.
    assert limit - 12 - 4 * at_once <= allowance.tokens <= limit + 4 * at_once
    assert f"of {limit:,} tokens used" in str(allowance.over)


def test_money_ends_a_run_and_free_samples_do_not() -> None:
    """What the bank gives costs nothing."""
    allowance = Allowance(Budget(money=1.0))
    for _ in range(3):
        assert allowance.begin()
        allowance.end([outcome(2, None)])
    assert allowance.begin()
    allowance.end([outcome(50, 0.2), outcome(50, 1.0)])
    assert not allowance.begin()
    assert allowance.over == "budget: 1.2 of 1 of money spent"
