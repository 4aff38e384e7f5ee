"""Comparisons by family, Holm and power, against references of other hands."""

from __future__ import annotations

import random
from math import sqrt
from random import Random
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.evals.statistics import (
    Bootstrap,
    bootstrap_interval,
    compare_paired,
    design_effect,
    detectable,
    disagreement,
    families,
    holm,
    mcnemar,
    mean_interval,
    paired_difference,
    sample_size,
    wilson,
)
from quorate.orchestrator.errors import BadInput

RNG = random.Random(5)
A = [float(RNG.random() < 0.6) for _ in range(60)]
B = [float(RNG.random() < 0.5) for _ in range(60)]
FAMILIES = [f"f{i // 6}" for i in range(60)]


def test_right_and_wrong_answers_alone_have_tango_and_mcnemar() -> None:
    """The same as the older function; families of one change nothing."""
    found, known = compare_paired(A, B), paired_difference([x == 1 for x in A], [x == 1 for x in B])
    assert (found.difference, found.low, found.high, found.p) == (known.difference, known.low, known.high, known.p)
    assert (found.interval, found.test, found.families) == ("tango", "mcnemar", 60)
    assert compare_paired(A, B, [""] * 60) == found


def test_without_families_the_t_interval_is_that_of_the_mean() -> None:
    """Mean and standard error of the differences with t of n - 1 degrees, as R's t.test(paired = TRUE)."""
    from scipy.stats import t

    a, b = [x / 2 for x in A], [x / 4 for x in B]
    gaps = [x - y for x, y in zip(a, b, strict=True)]
    half = float(t.ppf(0.975, 59)) * stdev(gaps) / sqrt(60)
    found = compare_paired(a, b)
    assert (found.low, found.high) == pytest.approx((fmean(gaps) - half, fmean(gaps) + half))


def test_the_clustered_variance_is_the_sandwich_worked_out_by_hand() -> None:
    """Sums of residuals of each family, squared, times G / (G - 1) over n squared, t with G - 1 degrees."""
    from scipy.stats import t

    gaps = [x - y for x, y in zip(A, B, strict=True)]
    sums = [sum(g - fmean(gaps) for g in gaps[i : i + 6]) for i in range(0, 60, 6)]
    error = sqrt(sum(s * s for s in sums) * 10 / 9) / 60
    found = compare_paired(A, B, FAMILIES)
    half = float(t.ppf(0.975, 9)) * error
    assert (found.low, found.high) == pytest.approx((fmean(gaps) - half, fmean(gaps) + half))
    assert (found.interval, found.test, found.families) == ("cluster-t", "exchange", 10)


@pytest.mark.parametrize(("better", "worse"), [(9, 3), (5, 5), (6, 0), (1, 0)])
def test_the_exchange_test_is_mcnemars_where_each_family_is_one_question(better: int, worse: int) -> None:
    """Halves instead of ones keep the signs, so all exchanges listed give the same p."""
    gaps = [0.5] * better + [-0.5] * worse
    found = compare_paired([max(g, 0) for g in gaps], [max(-g, 0) for g in gaps])
    assert found.test == "exchange"
    assert found.p == pytest.approx(mcnemar(better, worse))


def test_whole_families_count_once() -> None:
    """Thirty wins in three families are no better than three wins."""
    found = compare_paired([1.0] * 30, [0.0] * 30, [f"{i // 10}" for i in range(30)])
    assert found.p == pytest.approx(0.25)
    assert found.low < 0.5


@given(
    st.lists(st.tuples(st.sampled_from([0, 0.5, 1]), st.sampled_from([0, 0.5, 1])), min_size=2, max_size=12), st.data()
)
@settings(deadline=None, max_examples=15)
def test_comparison_is_fair_to_both_and_to_every_order(pairs: list[tuple[float, float]], data: st.DataObject) -> None:
    """Swapping turns it around; the order of the questions does not matter where all exchanges are listed."""
    a, b = [float(x) for x, _ in pairs], [float(y) for _, y in pairs]
    there, back = compare_paired(a, b), compare_paired(b, a)
    assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))
    assert there.p == pytest.approx(back.p)
    order = data.draw(st.permutations(range(len(a))))
    again = compare_paired([a[i] for i in order], [b[i] for i in order])
    assert (again.low, again.high, again.p) == pytest.approx((there.low, there.high, there.p))
    assert -1 <= there.low <= there.difference <= there.high <= 1
    assert 0 < there.p <= 1


def test_systems_that_never_differ_are_not_surely_equal() -> None:
    """The interval has a width; as many families as there are, not questions, make it narrow."""
    half = compare_paired([0.5] * 100, [0.5] * 100)
    assert (half.p, half.interval) == (1.0, "tango-families")
    assert half.high == pytest.approx(0.037, abs=1e-3)
    assert compare_paired([0.5] * 100, [0.5] * 100, [f"{i // 10}" for i in range(100)]).high > 0.2


def test_the_same_seed_gives_the_same_comparison() -> None:
    """Bootstrap and exchanges included."""
    assert compare_paired(A, B, FAMILIES, seed=4) == compare_paired(A, B, FAMILIES, seed=4)


@given(st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=10)
def test_it_does_not_matter_which_question_was_answered_first(random: Random) -> None:
    """Nor where resamples and exchanges are drawn: the same questions and the same seed give the same figures."""
    asked = [(float(i % 3 == 0), float(i % 7 < 3), f"family {i // 4}") for i in range(96)]
    shuffled = random.sample(asked, len(asked))
    there, again = (compare_paired(*map(list, zip(*questions, strict=True))) for questions in (asked, shuffled))
    assert there.families > 16
    assert (again.p, again.bootstrap_low, again.bootstrap_high) == (there.p, there.bootstrap_low, there.bootstrap_high)
    assert (again.low, again.high) == pytest.approx((there.low, there.high))


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [])])
def test_nothing_to_compare_is_refused(a: list[float], b: list[float]) -> None:
    """By every function of pairs."""
    for compared in (compare_paired, disagreement):
        with pytest.raises(BadInput, match="same questions"):
            compared(a, b)
    with pytest.raises(BadInput, match="same questions"):
        paired_difference([x == 1 for x in a], [x == 1 for x in b])


@given(st.lists(st.floats(0, 1), max_size=8))
@settings(deadline=None, max_examples=25)
def test_holm_never_makes_p_smaller(ps: list[float]) -> None:
    """Nor changes the order; and it agrees with its definition."""
    found = holm(ps)
    assert all(q >= p for p, q in zip(ps, found, strict=True))
    assert all(0 <= q <= 1 for q in found)
    running = 0.0
    for i, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        running = max(running, min(1.0, (len(ps) - i) * ps[place]))
        assert found[place] == pytest.approx(running)


def test_holm_is_rs_p_adjust() -> None:
    """p.adjust(c(0.01, 0.02, 0.03, 0.04), "holm") and a textbook example."""
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.005, 0.011, 0.02, 0.04, 0.13]) == pytest.approx([0.025, 0.044, 0.06, 0.08, 0.13])


def test_sample_size_is_connors() -> None:
    """Shares 0.2 and 0.1: by R's MESS::power_mcnemar_test(paid = 0.1, psi = 2, power = 0.8, method = "normal")."""
    assert sample_size(0.1, 0.3).questions == 234
    assert sample_size(0.1, 0.3, design_effect=2).questions == 467


@pytest.mark.parametrize(("gain", "apart"), [(0.1, 0.3), (0.05, 0.15), (0.04, 0.06)])
def test_so_many_questions_show_the_gain_as_often_as_promised(gain: float, apart: float) -> None:
    """McNemar's test at 5 %: exact it is a little more careful than the formula, which is the score test's."""
    from scipy.stats import binom

    n = sample_size(gain, apart).questions
    seen = 0.0
    for differing in range(1, n + 1):
        if (chance := float(binom.pmf(differing, n, apart))) > 1e-4:
            fewest = int(binom.isf(0.025, differing, 0.5)) + 1  # wins that the exact test calls a difference
            seen += chance * float(binom.sf(fewest - 1, differing, (apart + gain) / 2 / apart))
    assert 0.72 <= seen <= 0.81


@given(st.integers(20, 5000), st.floats(0.05, 1.0))
@settings(deadline=None, max_examples=25)
def test_the_detectable_gain_needs_just_so_many_questions(questions: int, apart: float) -> None:
    """The two functions are each other's inverse; more questions show less."""
    found = detectable(questions, apart)
    if found.gain is None:
        assert sample_size(apart, apart).questions > questions
        return
    assert abs(sample_size(found.gain, apart).questions - questions) <= 1
    assert (detectable(2 * questions, apart).gain or 0) < found.gain


@pytest.mark.parametrize(("gain", "apart"), [(0.0, 0.3), (0.4, 0.3), (0.1, 1.5)])
def test_impossible_gains_are_refused(gain: float, apart: float) -> None:
    """A gain is at most the disagreement."""
    with pytest.raises(BadInput, match="gain"):
        sample_size(gain, apart)


def test_partly_right_answers_can_differ_by_more_than_their_mean_square() -> None:
    """A tenth more on every question: a mean square of 0.01, and few questions show it."""
    assert detectable(30, 0.05).gain is None
    found = detectable(30, 0.05, most=0.05**0.5).gain
    assert found is not None
    assert found == pytest.approx((1.96 + 0.8416) * sqrt(0.05 / 30), rel=0.1)
    assert sample_size(found, 0.05, most=0.05**0.5).questions == 30


def test_disagreement_of_answers_is_their_share() -> None:
    """And of partly right ones the mean square."""
    assert disagreement([1, 0, 1, 1], [1, 1, 0, 1]) == 0.5
    assert disagreement([0.5, 0.0], [0.0, 0.0]) == 0.125


def test_design_effect_of_copies_is_their_number() -> None:
    """Ten questions a family that always agree tell as much as one; unlike ones cost nothing."""
    alike = [float(i // 10 % 2) for i in range(200)]
    assert design_effect(alike, [f"{i // 10}" for i in range(200)]) == pytest.approx(10, rel=0.1)
    assert design_effect(alike, None) == 1.0
    assert design_effect([0.0, 1.0] * 50, [f"{i // 2}" for i in range(100)]) == 1.0


def test_names_of_families_become_numbers() -> None:
    """No name is a family of its own; one family for all is no families."""
    assert families(["a", "b", "a", "", ""], 5) == [0, 1, 0, 2, 3]
    assert families(["a", "a", "a"], 3) == families(None, 3) == [0, 1, 2]
    with pytest.raises(BadInput, match="3 questions, but 1 names"):
        families(["a"], 3)


def test_means_of_families_are_less_sure() -> None:
    """Korn and Graubard's effective size; all right in families counts families, not questions."""
    alone, bound = mean_interval(A), mean_interval(A, clusters=FAMILIES)
    assert alone == mean_interval(A, clusters=[""] * 60)
    assert bound.value == alone.value
    perfect = mean_interval([1.0] * 60, clusters=FAMILIES)
    assert (perfect.value, perfect.high, perfect.low) == (1.0, 1.0, wilson(10, 10).low)


@pytest.mark.parametrize(("right", "n"), [(3, 2), (-1, 2), (0, 0)])
def test_impossible_shares_are_refused(right: int, n: int) -> None:
    """More right than asked, fewer than none, or nothing."""
    with pytest.raises(BadInput, match="0 <= right <= n"):
        wilson(right, n)
    with pytest.raises(BadInput, match="at least one value"):
        mean_interval([])
    with pytest.raises(BadInput, match="at least one value"):
        Bootstrap([])


def test_the_bootstrap_is_scipys() -> None:
    """The same percentile interval, within what two thousand resamples differ."""
    import numpy as np
    from scipy.stats import bootstrap

    reference = bootstrap(
        (np.array(A),), np.mean, n_resamples=20000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    found = bootstrap_interval(A)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.02)
    assert bootstrap_interval(A, FAMILIES, seed=2) == bootstrap_interval(A, FAMILIES, seed=2)
