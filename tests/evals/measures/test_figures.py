"""Headroom, agreement, calibration, spending and the front, on cases worked out by hand."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.evals.measures import (
    Point,
    agreement,
    calibration,
    headroom,
    measure_spending,
    pareto,
    spread,
    tally_confidence,
    token_spending,
)
from quorate.evals.outcome import Outcome
from quorate.evals.records import AnswerRecord
from quorate.orchestrator.errors import BadInput

from ..replay.banks import recorded


def test_headroom_is_what_a_perfect_choice_would_add() -> None:
    """One question that the vote wins, one that only a better choice would, one that nobody solves."""
    found = headroom([recorded([0, 0, 1]), recorded([1, 1, 0]), recorded([1, 2, 1])])
    assert found.single.value == pytest.approx(1 / 3)
    assert (found.chosen.value, found.oracle.value) == pytest.approx((1 / 3, 2 / 3))
    assert (found.headroom, found.captured, found.unreachable) == pytest.approx((1 / 3, 0.0, 1 / 3))
    assert headroom([recorded([0])]).captured is None


def test_agreement_by_hand() -> None:
    """Two questions of four samples: 0 0 0 1 and 0 1 2 and no answer."""
    found = agreement([recorded([0, 0, 0, 1]), recorded([0, 1, 2, None])])
    assert found.plurality_share == pytest.approx((0.75 + 0.25) / 2)
    assert found.entropy == pytest.approx((-0.75 * log(0.75) - 0.25 * log(0.25) + log(3)) / 2)
    assert found.pair_agreement == pytest.approx((3 / 6 + 0) / 2)
    assert (found.distinct, found.abstained, found.unanimous) == (2.5, 1 / 8, 0.0)
    assert found.error_agreement == 0.0
    assert found.kappa is None


def test_kappa_is_that_of_fleiss_1971() -> None:
    """The worked example of ten subjects, fourteen raters and five labels: 0.210."""
    table = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    found = agreement([recorded([label for label, n in enumerate(row) for _ in range(n)]) for row in table])
    assert found.kappa == pytest.approx(0.210, abs=5e-4)
    assert found.pair_agreement == pytest.approx(0.378, abs=5e-4)


def test_wrong_answers_that_agree_are_told() -> None:
    """They are what leads a vote astray; errors shared by hard questions are told apart from chance."""
    found = agreement([recorded([1, 1, 1, 2]), recorded([0, 0, 0, 0])])
    assert found.error_agreement == pytest.approx(0.5)
    assert found.joint_error == pytest.approx(0.5 / 0.25)


@given(st.lists(st.lists(st.none() | st.integers(0, 4), min_size=1, max_size=6), min_size=1, max_size=5), st.data())
@settings(deadline=None, max_examples=25)
def test_agreement_does_not_depend_on_order_or_names(drawn: list[list[int | None]], data: st.DataObject) -> None:
    """Of samples, of questions, of classes; and shares stay shares."""
    once = agreement([recorded(classes, right=9) for classes in drawn])
    turned = [[None if c is None else 4 - c for c in data.draw(st.permutations(classes))] for classes in drawn]
    again = agreement([recorded(classes, right=9) for classes in reversed(turned)])
    for name in ("plurality_share", "entropy", "pair_agreement", "distinct", "abstained", "error_agreement"):
        assert getattr(once, name) == pytest.approx(getattr(again, name))
    assert 0 <= once.plurality_share <= 1
    assert once.normalized_entropy is None or -1e-9 <= once.normalized_entropy <= 1 + 1e-9


def test_calibration_by_hand() -> None:
    """Four questions, two bins: confident and right half the time, unsure and wrong."""
    found = calibration([0.9, 0.9, 0.3, 0.3], [1, 0, 0, 0], bins=2)
    assert found.ece == pytest.approx((2 * 0.4 + 2 * 0.3) / 4)
    assert found.brier == pytest.approx((0.01 + 0.81 + 0.09 + 0.09) / 4)
    assert [(b.count, b.accuracy) for b in found.bins] == [(2, 0.0), (2, 0.5)]
    assert [(p.coverage, p.risk, p.confidence) for p in found.risk_coverage] == [(0.5, 0.5, 0.9), (1.0, 0.75, 0.3)]
    assert found.aurc == pytest.approx((0.5 + 0.5 + 2 / 3 + 0.75) / 4)


def test_the_best_order_has_the_smallest_area() -> None:
    """Sure where right: 0 until the wrong ones come; no order at all: the error rate."""
    right = [1.0] * 8 + [0.0] * 2
    sorted_best = calibration([1 - i / 20 for i in range(10)], right)
    assert sorted_best.aurc == pytest.approx((1 / 9 + 2 / 10) / 10)
    assert calibration([0.5] * 10, right).aurc == pytest.approx(0.2)


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.9, 1.0]), st.floats(0, 1)), min_size=1, max_size=12), st.data())
@settings(deadline=None, max_examples=25)
def test_calibration_does_not_depend_on_order(pairs: list[tuple[float, float]], data: st.DataObject) -> None:
    """Even among questions of equal confidence; perfect confidence has a Brier score of 0 and no error."""
    turned = data.draw(st.permutations(pairs))
    found = calibration([c for c, _ in pairs], [r for _, r in pairs])
    again = calibration([c for c, _ in turned], [r for _, r in turned])
    assert (found.ece, found.brier, found.aurc) == pytest.approx((again.ece, again.brier, again.aurc))
    assert found.risk_coverage[-1].coverage == 1.0
    assert found.risk_coverage[-1].risk == pytest.approx(1 - found.accuracy)
    assert 0 <= found.ece <= 1


@pytest.mark.parametrize(("confidences", "right"), [([], []), ([0.5], []), ([1.5], [1.0]), ([0.5], [2.0])])
def test_confidences_that_are_none_are_refused(confidences: list[float], right: list[float]) -> None:
    """Nothing, unequal numbers, or no probabilities."""
    with pytest.raises(BadInput, match="calibration needs"):
        calibration(confidences, right)


def test_the_tally_is_sure_of_what_most_samples_say() -> None:
    """Over all samples, those without an answer included; ties share the credit."""
    assert tally_confidence([recorded([0, 0, 1, None]), recorded([0, 1])]) == ([0.5, 0.5], [1.0, 0.5])


def test_spending_has_medians_and_tails() -> None:
    """Money only where every question has a price."""
    outcomes = [Outcome(pipeline="p", item=str(i), gold="1", tokens=i, seconds=i / 10, cost=1.0) for i in range(101)]
    found = measure_spending(outcomes)
    assert (found.tokens.mean, found.tokens.median, found.tokens.p95, found.tokens.most) == (50.0, 50.0, 95.0, 100.0)
    assert found.seconds.p95 == pytest.approx(9.5)
    assert found.cost is not None
    assert found.cost.total == 101.0
    assert measure_spending([*outcomes, Outcome(pipeline="p", item="x", gold="1")]).cost is None
    with pytest.raises(BadInput, match="at least one question"):
        spread([])


def test_tokens_of_records() -> None:
    """All answers to a question; none where they were not recorded."""
    found = token_spending([recorded([0, 1], tokens=[3, 4]), recorded([0], tokens=[5])])
    assert found is not None
    assert (found.total, found.most) == (12.0, 7.0)
    assert token_spending([recorded([0])]) is None


POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=10)


@given(POINTS)
@settings(deadline=None, max_examples=25)
def test_the_front_holds_exactly_what_nothing_dominates(drawn: list[tuple[int, int]]) -> None:
    """Compared with the definition."""
    points = [Point(name=f"{i}", cost=c, accuracy=a) for i, (c, a) in enumerate(drawn)]

    def dominated(p: Point) -> bool:
        return any(
            q.cost <= p.cost and q.accuracy >= p.accuracy and (q.cost, q.accuracy) != (p.cost, p.accuracy)
            for q in points
        )

    front = pareto(points)
    assert {p.name for p in front} == {p.name for p in points if not dominated(p)}
    assert [p.cost for p in front] == sorted(p.cost for p in front)


def test_labels_that_mean_different_things_have_no_kappa() -> None:
    """Free answers are numbered anew in every question."""
    first = AnswerRecord("a", ("m",) * 2, ("x", "y"), (0, 1), (True, False))
    second = AnswerRecord("b", ("m",) * 2, ("z", "y"), (0, 1), (True, False))
    assert agreement([first, second]).kappa is None
