"""The rule that looks ahead, against the urn it is defined by, and told its limit by the stage."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest

from quorate.aggregators import LookAhead, MajorityVote
from quorate.aggregators.stopping import (
    AdaptiveConsistency,
    find_stopping_point,
    look_ahead_risk,
    overtaking_probability,
)
from quorate.aggregators.stopping.look_ahead import FAR
from quorate.orchestrator.context import Budget
from quorate.orchestrator.pipeline import sample
from quorate.testing import ScriptedModel

from ..helpers import Exact


def urn(a: int, b: int, others: int, left: int) -> Fraction:
    """The same probability by walking every path of a Polya urn."""
    total = Fraction(0)
    for path in itertools.product(range(3), repeat=left):
        counts, chance = [a + 1, b + 1, others + 1], Fraction(1)
        for ball in path:
            chance *= Fraction(counts[ball], sum(counts))
            counts[ball] += 1
        total += chance * (1 if counts[1] > counts[0] else Fraction(1, 2) if counts[1] == counts[0] else 0)
    return total


@pytest.mark.parametrize("votes", [(1, 0, 0), (1, 1, 0), (3, 1, 2), (2, 2, 1), (4, 0, 1)])
@pytest.mark.parametrize("left", [0, 1, 2, 5])
def test_it_is_the_urns_probability(votes: tuple[int, int, int], left: int) -> None:
    """The sum equals that over all paths."""
    assert math.isclose(overtaking_probability(*votes, left), urn(*votes, left), abs_tol=1e-12)


def test_a_lead_that_nobody_can_catch_is_certain() -> None:
    """Then the risk is exactly zero, and with the limit reached only a tie is open."""
    assert look_ahead_risk([9, 4, 2], 4) == 0
    assert look_ahead_risk([9, 4], 0) == 0
    assert look_ahead_risk([4, 4], 0) == 0.5
    assert look_ahead_risk([], 5) == 1


def test_the_risk_grows_with_what_is_left() -> None:
    """More samples can undo more, up to the value for endless sampling."""
    risks = [look_ahead_risk([6, 2, 1], left) for left in (0, 4, 8, 16, 64, FAR, FAR + 1)]
    assert risks == sorted(risks)
    assert risks[-1] - risks[-2] < 0.02


def test_near_the_limit_it_stops_where_adaptive_consistency_goes_on() -> None:
    """16 to 10 with 6 to come is as good as decided, but no safe lead in the long run."""
    classes = [*([0, 0, 1] * 3), *([0, 1] * 7), *([0] * 3), *([1] * 14)]
    assert find_stopping_point(LookAhead(), classes, limit=32) < 32
    assert find_stopping_point(AdaptiveConsistency(), classes, limit=32) == 32


async def test_the_stage_tells_it_how_many_there_can_be() -> None:
    """With a limit of five, 2 to 0 is as good as decided; with 64 it takes four. The budget's limit counts too."""
    model = ScriptedModel(["\\boxed{7}"])
    vote = sample(model, n=5, stop=LookAhead(), wave=1) | MajorityVote(equivalence=Exact())
    answer = await vote.answer("?", seed=1)
    assert len(answer.candidates) == 2
    assert answer.stopped.startswith("look ahead: 2 to 0 votes after 2 of 5")
    many = sample(model, n=64, stop=LookAhead(), wave=1) | MajorityVote(equivalence=Exact())
    assert len((await many.answer("?", seed=1)).candidates) == 4
    assert len((await many.answer("?", seed=1, budget=Budget(samples=5))).candidates) == 2


async def test_its_own_limit_stays_if_it_is_lower() -> None:
    """The stage's limit bounds it, never widens it."""
    assert repr(LookAhead(limit=8)) == "LookAhead(0.05, limit=8)"
    for limit, of in ((5, 5), (64, 16)):
        vote = sample(ScriptedModel(["\\boxed{7}"]), n=16, stop=LookAhead(limit=limit), wave=1)
        answer = await (vote | MajorityVote(equivalence=Exact())).answer("?", seed=1)
        assert f"of {of}," in answer.stopped
