"""Votes weighted by confidence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.confidence import (
    ConfidenceVote,
    MeanLogprob,
    SelfCertainty,
    TokenConfidence,
    percentile,
)
from quorate.aggregators.votes import Borda
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.types import Candidate

from ..helpers import Exact, aggregated, counter_of, failed, tallied
from .traces import trace


def vote(keep: float = 1.0) -> ConfidenceVote:
    return ConfidenceVote(TokenConfidence(), keep=keep, equivalence=Exact())


def borda(power: float = 0.5) -> ConfidenceVote:
    return ConfidenceVote(TokenConfidence(), Borda(power), name="confidence-borda", equivalence=Exact())


async def test_a_sure_minority_outweighs_an_unsure_majority() -> None:
    """Two votes of 1 against one of 3; the tally holds votes and weights."""
    answer = await aggregated(vote(), [trace(0, "1", 1), trace(1, "1", 1), trace(2, "2", 3)])
    assert (answer.answer, answer.degraded) == ("2", ())
    assert [(c.answer, c.votes, c.weight) for c in answer.tally] == [("2", 1, 3.0), ("1", 2, 2.0)]


async def test_only_the_surest_are_kept() -> None:
    """Half of four, and those as sure as the last of them; 1 has more weight in all but less in the top."""
    traces = [trace(0, "1", 2), trace(1, "1", 2.5), trace(2, "2", 3), trace(3, "2", 3.1)]
    answer = await aggregated(vote(keep=0.5), traces)
    assert [(c.answer, c.voters) for c in answer.tally] == [("2", (2, 3))]
    tied = [trace(i, str(i), 2) for i in range(4)]
    assert len((await aggregated(vote(keep=0.25), tied)).tally) == 4


async def test_unknown_confidence_weighs_the_mean_and_is_told() -> None:
    """Such a voter is neither silenced nor filtered out."""
    answer = await aggregated(vote(keep=0.5), [trace(0, "1", 4), trace(1, "2", 1), trace(2, "3"), trace(3, "3")])
    assert [(c.answer, c.weight) for c in answer.tally] == [("3", 8.0), ("1", 4.0)]
    [note] = answer.degraded
    assert note.code == "no_confidence"
    assert note.detail.startswith("2 voters have no token-confidence")


@pytest.mark.parametrize("aggregator", [vote(), borda(), ConfidenceVote(MeanLogprob(), equivalence=Exact())])
async def test_without_any_confidence_it_is_the_plurality(aggregator: ConfidenceVote) -> None:
    """And says so."""
    broken = [trace(0, "1", math.nan), trace(1, "2"), trace(2, "1")]
    answer = await aggregated(aggregator, broken)
    assert [(c.answer, c.weight) for c in answer.tally] == [("1", 2.0), ("2", 1.0)]
    assert [note.code for note in answer.degraded] == ["no_confidence"]


async def test_weights_of_nothing_are_the_plurality() -> None:
    """Negative confidence weighs nothing; where all do, votes count."""
    answer = await aggregated(vote(), [trace(0, "1", -1), trace(1, "2", -5), trace(2, "2", -5)])
    assert (answer.answer, answer.tally[0].weight) == ("2", 2.0)


async def test_the_surest_may_say_nothing() -> None:
    """If none of those kept states an answer, all that do vote."""
    answer = await aggregated(vote(keep=0.1), [trace(0, None, 9), trace(1, "2", 1), trace(2, "2", 1)])
    assert (answer.answer, answer.degraded) == ("2", ())


async def test_huge_confidence_decides_without_breaking_anything() -> None:
    """Up to the bound beyond which a value counts as unknown."""
    answer = await aggregated(vote(), [trace(0, "1", 1e14), trace(1, "2", 1), trace(2, "2", 1e300)])
    assert answer.answer is not None
    assert all(math.isfinite(c.weight) for c in answer.tally)


@pytest.mark.parametrize("aggregator", [vote(), borda(), vote(keep=0.1)])
async def test_the_edges_of_a_vote(aggregator: ConfidenceVote) -> None:
    """One candidate, all abstaining, all failed but one, all failed: as in the majority vote."""
    assert (await aggregated(aggregator, [trace(0, "7", 1)])).answer == "7"
    assert (await aggregated(aggregator, [failed(0), trace(1, "7", 1), failed(2)])).answer == "7"
    abstained = await aggregated(aggregator, [trace(0, None, 1), trace(1, None, 2)])
    assert abstained.answer is None
    assert [note.code for note in abstained.degraded] == ["all_abstained"]
    assert await tallied(aggregator, []) == ()
    with pytest.raises(NoAnswer):
        await aggregated(aggregator, [failed(0), failed(1)])


async def test_borda_weighs_ranks() -> None:
    """(N - r + 1) ** p: the surest of four weighs 2, the least sure 1; equal ones share their mean."""
    tally = await tallied(borda(), [trace(0, "a", 1), trace(1, "b", 9), trace(2, "c", 3), trace(3, "d", 5)])
    assert {c.voters[0]: round(c.weight, 9) for c in tally} == {
        1: 2.0,
        3: round(3**0.5, 9),
        2: round(2**0.5, 9),
        0: 1.0,
    }
    tied = await tallied(borda(power=1), [trace(0, "a", 1), trace(1, "b", 1), trace(2, "c", 0.5)])
    assert sorted(c.weight for c in tied) == [1.0, 2.5, 2.5]


async def test_borda_without_power_is_the_plurality() -> None:
    """Every rank weighs one."""
    tally = await tallied(borda(power=0), [trace(0, "1", 9), trace(1, "2", 1), trace(2, "2", 2)])
    assert [(c.answer, c.weight) for c in tally] == [("2", 2.0), ("1", 1.0)]


traces = st.lists(
    st.tuples(st.sampled_from(["1", "2", None]), st.none() | st.floats(0, 5)), min_size=1, max_size=8
).map(lambda rows: [trace(i, a, *([] if c is None else [c])) for i, (a, c) in enumerate(rows)])


@settings(deadline=None, max_examples=60)
@given(candidates=traces, data=st.data())
async def test_order_does_not_matter(candidates: list[Candidate], data: st.DataObject) -> None:
    """Neither that of the candidates nor their numbering, and the same seed gives the same answer."""
    shuffled = data.draw(st.permutations(candidates))
    renumbered = [c.model_copy(update={"index": i}) for i, c in enumerate(shuffled)]
    for aggregator in (vote(keep=0.6), borda()):
        first, again, other = [await aggregated(aggregator, c) for c in (candidates, shuffled, renumbered)]
        assert (first.answer, first.tally) == (again.answer, again.tally)
        assert first.answer == other.answer
        assert [c.weight for c in first.tally] == [c.weight for c in other.tally]


@settings(deadline=None, max_examples=60)
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), share=st.floats(0, 1))
def test_percentiles_are_those_of_numpy(values: list[float], share: float) -> None:
    """Linear interpolation."""
    assert math.isclose(percentile(values, share), float(np.percentile(values, share * 100)), abs_tol=1e-3)


@pytest.mark.parametrize("keep", [0, -1, 1.1, math.nan])
def test_an_impossible_share_is_refused(keep: float) -> None:
    """With the range in the message."""
    with pytest.raises(BadInput, match="keep="):
        ConfidenceVote(keep=keep)


@pytest.mark.parametrize("power", [-1, math.nan, math.inf])
def test_an_impossible_power_is_refused(power: float) -> None:
    """With the range in the message."""
    with pytest.raises(BadInput, match="power="):
        borda(power)


def test_a_rule_of_ones_own_keeps_what_it_keeps() -> None:
    """A share beside it would be ignored."""
    with pytest.raises(BadInput, match=r"keep=0\.5"):
        ConfidenceVote(TokenConfidence(), Borda(), keep=0.5)


def test_their_reprs_name_the_measure() -> None:
    """And what is kept."""
    assert repr(ConfidenceVote(SelfCertainty(), keep=0.5)) == "ConfidenceVote(SelfCertainty(vocabulary=None), keep=0.5)"
    assert "TokenConfidence" in repr(vote())
    assert SelfCertainty.name == "self-certainty"


async def test_a_trace_is_measured_once_while_candidates_come() -> None:
    """However often the votes are counted."""
    measured: list[int] = []

    class Spy(TokenConfidence):
        def __call__(self, candidate: Candidate) -> float | None:
            measured.append(candidate.index)
            return super().__call__(candidate)

    counter = counter_of(ConfidenceVote(Spy(), equivalence=Exact()))
    traces = [trace(0, "1", 1), trace(1, "2", 3), trace(2, "1", 1)]
    for n in (1, 2, 3):
        tally = await counter.tally(traces[:n])
    assert [(c.answer, c.weight) for c in tally] == [("2", 3.0), ("1", 2.0)]
    assert measured == [0, 1, 2]
