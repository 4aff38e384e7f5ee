"""Coverage and vote curves, and the advice from them."""

from __future__ import annotations

import random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.evals.measures import maj_at_k
from quorate.evals.planning import Coverage, Profiles, fit_coverage, plan, vote_curve
from quorate.evals.records import AnswerRecord
from quorate.orchestrator.errors import BadInput

from ..replay.banks import recorded


def drawn(chances: list[list[float]], samples: int, seed: int = 1, **columns: list[int]) -> list[AnswerRecord]:
    """Questions whose first class is right, answered with these chances."""
    rng = random.Random(seed)
    return [
        AnswerRecord(
            str(i),
            ("m",) * samples,
            tuple(map(str, classes := rng.choices(range(len(chance)), chance, k=samples))),
            tuple(classes),
            tuple(c == 0 for c in classes),
            {name: tuple(column) for name, column in columns.items()},
        )
        for i, chance in enumerate(chances)
    ]


@given(st.floats(0.1, 1.0), st.floats(0.02, 0.95))
@settings(deadline=None, max_examples=25)
def test_a_coverage_curve_is_found_again(f_max: float, p: float) -> None:
    """From its own values."""
    truth = Coverage(f_max=f_max, p=p, misfit=0.0)
    found = fit_coverage([(k, truth.at(k)) for k in (1, 2, 4, 8, 16, 32)])
    assert found.misfit < 1e-3
    assert [found.at(k) for k in (1, 8, 64)] == pytest.approx([truth.at(k) for k in (1, 8, 64)], abs=0.02)


def test_n_star_is_ttspms() -> None:
    """ceil(ln(eps / (F_max p)) / ln(1 - p)): the next sample adds less, the one before did not."""
    fit = Coverage(f_max=0.8, p=0.25, misfit=0.0)
    n = fit.worth(0.01)
    assert n == 11
    assert fit.at(n + 1) - fit.at(n) < 0.01 <= fit.at(n) - fit.at(n - 1)
    assert fit.worth(0.5) == 1
    assert Coverage(f_max=0.0, p=0.0, misfit=0.0).worth(0.01) == 1
    assert Coverage(f_max=1.0, p=1.0, misfit=0.0).worth(0.01) == 1


def test_up_to_the_pilot_the_vote_is_measured() -> None:
    """The mean of maj@k over questions, nothing fitted."""
    records = drawn([[0.5, 0.3, 0.2]] * 20, 6)
    ns = [1, 2, 3, 5, 6]
    assert vote_curve(records, ns) == pytest.approx([fmean(maj_at_k(r, n) for r in records) for n in ns])


@pytest.mark.parametrize(
    ("chances", "rises"), [([[0.45, 0.2, 0.2, 0.15]] * 150, True), ([[0.3, 0.55, 0.15]] * 150, False)]
)
def test_a_vote_rises_or_falls_beyond_the_pilot_as_the_likelier_answer_says(
    chances: list[list[float]], rises: bool
) -> None:
    """Where the rival is likelier than the right answer, more votes do harm; within 0.08 of fresh samples."""
    pilot = drawn(chances, 12)
    curve = vote_curve(pilot, [12, 64])
    fresh = fmean(maj_at_k(r, 64) for r in drawn(chances, 64, seed=2))
    assert (curve[1] > curve[0]) is rises
    assert curve[1] == pytest.approx(fresh, abs=0.08)


def test_chances_of_votes_by_hand() -> None:
    """Of two voters with chances of 0.5 and 0.25: (0.5 + 2 * 0.5 * 0.25) of right, ties half."""
    profiles = Profiles([recorded([0, 0, 1])])
    at = next(
        i
        for i, (a, b) in enumerate(zip(profiles.right, profiles.rival, strict=True))
        if abs(a - 0.5) < 1e-9 and b < 1e-9
    )
    assert profiles.accuracies(1)[at] == pytest.approx(0.5)
    assert profiles.accuracies(2)[at] == pytest.approx(0.75)
    sure = [i for i, a in enumerate(profiles.right) if a == 1.0]
    assert profiles.accuracies(9)[sure] == pytest.approx([1.0])
    assert float(profiles.shares.sum()) == pytest.approx(1.0)


def test_a_plan_says_how_many_and_how_sure() -> None:
    """The advice lies in its interval; dearer samples are bought less; the same seed repeats it."""
    records = drawn([[0.6, 0.4]] * 30 + [[0.9, 0.1]] * 30, 8, tokens=[5] * 8)
    found = plan(records, model="m", epsilon=0.002, most=64, resamples=30)
    assert found == plan(records, model="m", epsilon=0.002, most=64, resamples=30)
    assert found.vote.low <= found.vote.samples <= found.vote.high
    assert found.oracle.low <= found.oracle.samples <= found.oracle.high
    assert plan(records, epsilon=0.05, most=64, resamples=30).vote.samples < found.vote.samples
    assert [p.measured for p in found.curve if p.samples in (8, 16)] == [True, False]
    assert next(p.tokens for p in found.curve if p.samples == 16) == 80
    assert found.pilot == 8
    assert all(p.accuracy.value <= p.coverage.value + 1e-9 for p in found.curve)
    assert found.as_json()["coverage"]["f_max"] == found.coverage.f_max


def test_a_vote_that_falls_is_told() -> None:
    """Wrong answers that are likelier: one sample is best."""
    found = plan(drawn([[0.35, 0.6, 0.05]] * 60, 8), resamples=20, most=64)
    assert found.falls
    assert found.vote.samples == 1


def test_questions_with_fewer_samples_are_counted() -> None:
    """Those with one say nothing of a vote and are left out."""
    found = plan([recorded([0, 1, 0, 0]), recorded([0, 0]), recorded([1])], resamples=5, most=8)
    assert (found.pilot, found.short) == (4, 1)


@pytest.mark.parametrize(("epsilon", "samples", "says"), [(0.0, 4, "epsilon"), (0.01, 1, "at least 2 samples")])
def test_what_cannot_be_planned_is_refused(epsilon: float, samples: int, says: str) -> None:
    """No pilot, no price."""
    with pytest.raises(BadInput, match=says):
        plan([recorded([0] * samples)], epsilon=epsilon)
    with pytest.raises(BadInput, match="at least one sample"):
        vote_curve([recorded([0])], [0])
    with pytest.raises(BadInput, match="at least 2 samples"):
        fit_coverage([(1, 0.5)])


def test_nobody_right_is_no_coverage() -> None:
    """And no reason to buy."""
    found = plan([recorded([1, 1, 2])] * 3, resamples=5, most=8)
    assert (found.coverage.f_max, found.oracle.samples, found.vote.samples) == (0.0, 1, 1)
