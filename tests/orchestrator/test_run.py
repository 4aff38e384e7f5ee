"""Budgets, the ledger and seeds."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from quorate import Budget, Usage
from quorate.orchestrator.context import Ledger, RunContext, derive_seed, explain_cut

usages = st.builds(
    Usage,
    prompt_tokens=st.integers(0, 1000),
    completion_tokens=st.integers(0, 1000),
    requests=st.integers(0, 3),
    cost=st.none() | st.floats(0, 10),
    estimated=st.booleans(),
)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("mn"), usages)))
def test_the_ledger_loses_and_doubles_nothing(entries: list[tuple[str, str, Usage]]) -> None:
    """Whatever the order and nesting, the nodes sum to the total, which is that of the entries."""
    parent = Ledger()
    child = Ledger(parent)
    for i, (node, model, usage) in enumerate(entries):
        (child if i % 2 else parent).record(node, model, usage)
    total = sum(u.total_tokens for _, _, u in entries)
    assert parent.usage.total_tokens == total
    assert sum(s.usage.total_tokens for s in parent.nodes) == total
    assert child.usage.total_tokens == sum(u.total_tokens for _, _, u in entries[1::2])


def test_unknown_costs_stay_unknown() -> None:
    """No price is None, not zero; a known part is kept."""
    assert (Usage() + Usage()).cost is None
    assert (Usage(cost=1.0) + Usage()).cost == 1.0


def test_an_estimate_marks_the_sum() -> None:
    """One guessed part makes the total an estimate."""
    assert (Usage(estimated=True) + Usage()).estimated


@given(st.integers(), st.integers(0, 10_000))
def test_derived_seeds_fit_every_backend(seed: int, index: int) -> None:
    """31 bits, whatever the seed was."""
    derived = derive_seed(seed, "sample", index)
    assert derived is not None
    assert 0 <= derived < 2**31


def test_without_a_seed_backends_draw_their_own() -> None:
    """None stays None at every depth, and the aggregator's generator is still reproducible."""
    run = RunContext()
    assert run.sample_seed(3) is None
    assert run.nested(1).seed is None
    assert run.rng("ties").random() == RunContext().rng("ties").random()


def test_generators_differ_by_purpose_node_and_seed() -> None:
    """Two uses of randomness in one run never share a stream."""
    run = RunContext(seed=1)
    draws = {
        run.rng("a").random(),
        run.rng("b").random(),
        run.at_node("x").rng("a").random(),
        RunContext(seed=2).rng("a").random(),
    }
    assert len(draws) == 4


def test_each_limit_is_named_when_it_is_used_up() -> None:
    """Tokens count those arriving too; money counts the cost."""
    run = RunContext(budget=Budget(tokens=10, money=1))
    assert run.exhausted() is None
    assert run.exhausted(unrecorded=10) == "budget: 10 tokens used"
    run.record("m", Usage(cost=1.5))
    assert run.exhausted() == "budget: 1.0 of money spent"


def test_a_nested_run_spends_its_parents_budget() -> None:
    """A limit holds for the whole call, however deep the spending happens."""
    run = RunContext(budget=Budget(tokens=10))
    run.nested(0).record("m", Usage(completion_tokens=10))
    assert run.exhausted() == run.nested(1).exhausted() == "budget: 10 tokens used"


@pytest.mark.parametrize("limit", ["tokens", "money", "seconds", "samples"])
@pytest.mark.parametrize("value", [0, -1])
def test_impossible_budgets_are_refused(limit: str, value: int) -> None:
    """A limit of nothing is a mistake, not an answer."""
    with pytest.raises(ValidationError):
        Budget.model_validate({limit: value})


def test_the_earliest_deadline_counts() -> None:
    """Of the request, the node and the node around it; what ran out is told in words, with its code."""
    run = RunContext(budget=Budget(seconds=60))
    node = run.at_node("sample", seconds=5)
    assert run.deadline is not None
    assert node.deadline is not None
    assert run.deadline - node.deadline == pytest.approx(55, abs=1)
    assert node.at_node("inner", seconds=50).deadline == node.deadline
    assert node.at_node("inner", seconds=1).deadline < node.deadline  # type: ignore[operator]
    over = replace(run, until=time.monotonic() - 1, node="sample")
    reason = over.exhausted()
    assert reason is not None
    assert explain_cut(reason, "sample").code == "deadline_passed"
    spent = replace(over, started=time.monotonic() - 100).exhausted()
    assert spent is not None
    assert explain_cut(spent, "sample").code == "budget_exhausted"


@given(seconds=st.floats(0.01, 1000))
def test_a_nested_run_ends_a_little_earlier(seconds: float) -> None:
    """So that its best answer so far arrives in time; never by more than a tenth of a second."""
    run = RunContext(budget=Budget(seconds=seconds))
    inner = run.nested(0)
    assert inner.seconds_left is not None
    assert run.seconds_left is not None
    assert 0 <= run.seconds_left - inner.seconds_left <= 0.11
    assert RunContext().nested(0).deadline is None
