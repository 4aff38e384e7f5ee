"""The measures, against their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.confidence import (
    BottomGroups,
    LowestGroup,
    MeanLogprob,
    Measure,
    SelfCertainty,
    Tail,
    TokenConfidence,
    token_confidence,
)
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Candidate, TokenLogprob

from .traces import token, trace

MEASURES: list[Measure] = [
    MeanLogprob(),
    SelfCertainty(),
    SelfCertainty(vocabulary=100),
    TokenConfidence(),
    LowestGroup(4),
    BottomGroups(4),
    Tail(4),
]


def written(*distributions: list[float], kept: int | None = None) -> Candidate:
    """A trace of these next-token distributions, of which the likeliest are reported."""
    tokens = []
    for p in distributions:
        ranked = sorted(p, reverse=True)[:kept]
        top = tuple((f"t{i}", math.log(x)) for i, x in enumerate(ranked))
        tokens.append(TokenLogprob(token="t0", logprob=top[0][1], top=top))
    return trace(0, "1").model_copy(update={"logprobs": tuple(tokens)})


def test_a_tokens_confidence_is_the_mean_over_its_candidates() -> None:
    """-mean log p; without candidates there is none."""
    one = TokenLogprob(token="a", logprob=-0.1, top=(("a", -0.1), ("b", -2.5), ("c", -4.0)))
    assert math.isclose(token_confidence(one), 2.2)
    assert math.isnan(token_confidence(TokenLogprob(token="a", logprob=-0.1)))


def test_groups_by_hand() -> None:
    """Windows of two over 1 5 3 0 4: means 3 4 1.5 2."""
    given = trace(0, "1", 1, 5, 3, 0, 4)
    assert LowestGroup(2)(given) == 1.5
    assert BottomGroups(2, share=0.5)(given) == 1.75
    assert BottomGroups(2, share=0.01)(given) == 1.5
    assert Tail(2)(given) == 2
    assert TokenConfidence()(given) == 2.6
    assert math.isclose(MeanLogprob()(given) or 0, -2.6)


@settings(deadline=None, max_examples=60)
@given(values=st.lists(st.floats(0, 20), min_size=1, max_size=40), window=st.integers(1, 50))
def test_groups_are_those_of_a_convolution(values: list[float], window: int) -> None:
    """A trace shorter than the window is one group."""
    width = min(window, len(values))
    means = np.convolve(values, np.ones(width) / width, mode="valid")
    assert np.allclose(LowestGroup(window).groups(values), means, atol=1e-9)
    low, bottom, tail = (m(trace(0, "1", *values)) for m in (LowestGroup(window), BottomGroups(window), Tail(window)))
    assert low is not None
    assert bottom is not None
    assert tail is not None
    assert low <= bottom + 1e-9
    assert low <= tail + 1e-9


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.floats(0.001, 1), min_size=8, max_size=8), min_size=1, max_size=4))
def test_self_certainty_is_the_divergence_from_uniform(raw: list[list[float]]) -> None:
    """Exact with the whole vocabulary; with fewer entries and its size a lower bound, never negative."""
    distributions = [[x / sum(p) for x in p] for p in raw]
    exact = float(np.mean([-np.mean([math.log(8 * x) for x in p]) for p in distributions]))
    full = SelfCertainty()(written(*distributions))
    assert full is not None
    assert math.isclose(full, exact, abs_tol=1e-9)
    bound = SelfCertainty(vocabulary=8)(written(*distributions, kept=3))
    assert bound is not None
    assert -1e-9 <= bound <= exact + 1e-9


def test_self_certainty_of_a_few_alternatives_ranks_like_token_confidence() -> None:
    """Without the vocabulary's size it differs from it by a constant."""
    given = [trace(i, "1", *values) for i, values in enumerate([(1, 2), (3, 0.5), (4, 4)])]
    gaps = {round((TokenConfidence()(t) or 0) - (SelfCertainty()(t) or 0), 9) for t in given}
    assert gaps == {round(math.log(2), 9)}


def test_all_of_the_mass_reported_leaves_a_finite_rest() -> None:
    """Rounding may leave less than nothing for the rest of the vocabulary."""
    sure = written([1.0 - 1e-16, 1e-16], kept=2)
    score = SelfCertainty(vocabulary=1000)(sure)
    assert score is not None
    assert math.isfinite(score)
    assert score > 0


@pytest.mark.parametrize("measure", MEASURES)
def test_what_cannot_be_told_is_none(measure: Measure) -> None:
    """No log-probabilities, none at all, one that is no number or beyond all measure: None, never an error."""
    nothing = trace(0, "1")
    assert measure(nothing) is None
    assert measure(nothing.model_copy(update={"logprobs": ()})) is None
    for bad in (math.nan, math.inf, -math.inf, 1e300):
        assert measure(trace(0, "1", 1.0, bad, 1.0)) is None
    mixed = TokenLogprob(token="x", logprob=math.nan, top=(("a", math.inf), ("b", -math.inf)))
    assert measure(nothing.model_copy(update={"logprobs": (token(1), mixed)})) is None


@pytest.mark.parametrize("measure", MEASURES[1:])
def test_measures_of_alternatives_need_them(measure: Measure) -> None:
    """Chosen tokens alone do not tell; the measure says what to ask for."""
    alone = trace(0, "1").model_copy(update={"logprobs": (TokenLogprob(token="x", logprob=-0.5),)})
    assert measure(alone) is None
    assert measure.alternatives == 20
    assert MeanLogprob()(alone) == -0.5
    assert MeanLogprob().alternatives == 0


@settings(deadline=None, max_examples=60)
@given(score=st.floats(-1e15, 1e15), measure=st.sampled_from(MEASURES))
def test_weights_are_never_negative(score: float, measure: Measure) -> None:
    """Nor without bound where the score is not."""
    assert 0 <= measure.weight(score) < math.inf


@pytest.mark.parametrize(
    "make",
    [
        lambda: LowestGroup(0),
        lambda: Tail(-1),
        lambda: BottomGroups(share=0),
        lambda: BottomGroups(share=math.nan),
        lambda: SelfCertainty(vocabulary=1),
    ],
)
def test_impossible_parameters_are_refused(make: object) -> None:
    """One clear error that names the class."""
    with pytest.raises(BadInput, match=r"\w+\("):
        make()  # type: ignore[operator]
