"""Aggregators at k: unbiased, exact where possible, over samples and tokens."""

from __future__ import annotations

from itertools import combinations, pairwise
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.evals.measures import at_k, curve, maj_at_k, pass_at_k, sizes
from quorate.evals.records import AnswerRecord
from quorate.evals.replay import count_classes
from quorate.orchestrator.errors import BadInput, UnknownName

from ..replay.banks import recorded

QUESTION = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        st.lists(st.none() | st.integers(0, 3), min_size=n, max_size=n),
        st.lists(st.booleans(), min_size=n, max_size=n),
    )
)


def question(drawn: tuple[list[int | None], list[bool]], name: str = "q", **columns: list[int]) -> AnswerRecord:
    classes, right = drawn
    marks = tuple(r and c is not None for c, r in zip(classes, right, strict=True))
    answers = tuple(None if c is None else str(c) for c in classes)
    return AnswerRecord(
        name, ("m",) * len(classes), answers, tuple(classes), marks, {n: tuple(c) for n, c in columns.items()}
    )


@given(QUESTION, st.data())
@settings(deadline=None, max_examples=25)
def test_both_estimators_are_the_mean_over_all_subsets(
    drawn: tuple[list[int | None], list[bool]], data: st.DataObject
) -> None:
    """By listing them, with abstentions, ties, and classes of which only some are right."""
    record = question(drawn)
    k = data.draw(st.integers(1, len(record)))
    subsets = [record.take(positions) for positions in combinations(range(len(record)), k)]
    assert maj_at_k(record, k) == pytest.approx(fmean(s.credit(count_classes(s.classes)) for s in subsets))
    assert pass_at_k(len(record), sum(record.right), k) == pytest.approx(fmean(any(s.right) for s in subsets))


@given(st.lists(QUESTION, min_size=1, max_size=5))
@settings(deadline=None, max_examples=25)
def test_one_answer_has_nothing_to_vote_on(drawn: list[tuple[list[int | None], list[bool]]]) -> None:
    """maj@1 is pass@1."""
    records = [question(one, f"{i}") for i, one in enumerate(drawn)]
    assert at_k(records, "plurality", 1).credits == pytest.approx(at_k(records, "pass", 1).credits)


@given(st.lists(QUESTION, min_size=1, max_size=4))
@settings(deadline=None, max_examples=25)
def test_pass_grows_with_k_and_bounds_every_choice(drawn: list[tuple[list[int | None], list[bool]]]) -> None:
    """The oracle never falls, and no vote is above it."""
    records = [question(one, f"{i}") for i, one in enumerate(drawn)]
    oracle, vote = curve(records, "pass"), curve(records, "plurality")
    reached = [point.accuracy.value for point in oracle.points]
    assert all(a <= b + 1e-12 for a, b in pairwise(reached))
    for best, chosen in zip(oracle.points, vote.points, strict=True):
        assert all(c <= b + 1e-9 for c, b in zip(chosen.credits, best.credits, strict=True))


@given(QUESTION, st.data())
@settings(deadline=None, max_examples=25)
def test_the_order_of_the_samples_does_not_matter(
    drawn: tuple[list[int | None], list[bool]], data: st.DataObject
) -> None:
    """Nor do the numbers of the classes."""
    classes, right = drawn
    order = data.draw(st.permutations(range(len(classes))))
    k = data.draw(st.integers(1, len(classes)))
    other = [None if classes[i] is None else 9 - (classes[i] or 0) for i in order]
    assert maj_at_k(question((other, [right[i] for i in order])), k) == pytest.approx(maj_at_k(question(drawn), k))


def test_drawn_subsets_tell_their_monte_carlo_error() -> None:
    """What has a closed form or few subsets has none; more draws, less error; the exact value is near."""
    records = [recorded([0, 1, 0, 2, 1, 0, 1, 2, 0, 0, 1, 2, 0, 1, 1, 0]) for _ in range(3)]
    assert at_k(records, "plurality", 8).monte_carlo == 0.0
    assert at_k(records, "run-off", 2).monte_carlo == 0.0
    few, many = at_k(records, "run-off", 8, draws=50), at_k(records, "run-off", 8, draws=800)
    assert 0 < many.monte_carlo < few.monte_carlo
    assert few.accuracy.value == pytest.approx(many.accuracy.value, abs=5 * few.monte_carlo)


def test_the_same_seed_gives_the_same_numbers() -> None:
    """And another seed others."""
    records = [recorded([0, 1, 0, 2, 1, 0, 1, 2, 0, 0, 1, 2, 0, 1, 1, 0])]
    assert at_k(records, "run-off", 7, seed=3) == at_k(records, "run-off", 7, seed=3)
    assert at_k(records, "run-off", 7, seed=3).credits != at_k(records, "run-off", 7, seed=4).credits


def test_a_curve_over_tokens_lies_between_its_points() -> None:
    """It is drawn which of two points is used, so accuracy is linear between them."""
    records = [recorded([0, 0, 1, 0], tokens=[10, 10, 10, 10])]
    scaling = curve(records, "plurality")
    assert scaling.reach == (10.0, 40.0)
    assert scaling.at_tokens(10) == (0.75,)
    assert scaling.at_tokens(40) == (1.0,)
    assert scaling.at_tokens(30) == pytest.approx((0.875,))


@pytest.mark.parametrize("budget", [9, 41])
def test_a_budget_outside_the_record_is_refused(budget: float) -> None:
    """Nothing is extrapolated."""
    with pytest.raises(BadInput, match="outside what was recorded, 10 to 40"):
        curve([recorded([0, 0, 1, 0], tokens=[10] * 4)]).at_tokens(budget)
    with pytest.raises(BadInput, match="no tokens of its answers"):
        curve([recorded([0, 0, 1, 0])]).at_tokens(budget)


def test_families_widen_the_interval() -> None:
    """Questions of one template that are right or wrong together count less."""
    apart = [AnswerRecord(f"{i}", ("m",), ("0",), (0,), (i // 10 % 2 == 0,)) for i in range(100)]
    alike = [
        AnswerRecord(r.id, r.voters, r.answers, r.classes, r.right, {}, {"cluster": f"{i // 10}"})
        for i, r in enumerate(apart)
    ]
    free, bound = at_k(apart, "pass", 1).accuracy, at_k(alike, "pass", 1).accuracy
    assert free.value == bound.value == 0.5
    assert bound.high - bound.low > 2 * (free.high - free.low)


def test_values_of_single_questions_stay_out_of_the_json() -> None:
    """It is for people and plots."""
    told = curve([recorded([0, 1], tokens=[1, 2])]).as_json()
    assert [point["k"] for point in told["points"]] == [1, 2]
    assert "credits" not in told["points"][0]


def test_sizes_double_and_end_at_all() -> None:
    """1, 2, 4, ... and the last."""
    assert [sizes(n) for n in (1, 4, 6)] == [[1], [1, 2, 4], [1, 2, 4, 6]]


def test_what_cannot_be_measured_is_refused() -> None:
    """Unknown aggregators, impossible sizes, nothing at all."""
    with pytest.raises(UnknownName, match="plurality"):
        at_k([recorded([0])], "pluralty", 1)
    with pytest.raises(BadInput, match="from 1 to 1"):
        at_k([recorded([0])], "plurality", 2)
    with pytest.raises(BadInput, match="at least one question"):
        at_k([], "plurality", 1)
    with pytest.raises(BadInput, match="maj@3"):
        maj_at_k(recorded([0]), 3)
