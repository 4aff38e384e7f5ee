"""Scores of rankings, and when a lead is safe: checked against counting all that could still come."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import permutations, product
from typing import Literal

import pytest

from quorate.aggregators.panels.ballots import RankedBallot, bound_scores, is_decided


def test_borda_and_copeland_by_hand() -> None:
    """Three answers, two reviewers who both see all of them."""
    ballots = [RankedBallot((0, 1, 2), ((0, 1, 2),)), RankedBallot((0, 1, 2), ((1, 0, 2), (0, 1, 2)))]
    borda = bound_scores([0, 1, 2], ballots, [], "borda")
    assert {i: low for i, (low, high) in borda.items() if low == high} == {
        0: Fraction(7, 8),
        1: Fraction(5, 8),
        2: Fraction(0),
    }
    copeland = bound_scores([0, 1, 2], ballots, [], "copeland")
    assert {i: low for i, (low, _) in copeland.items()} == {0: 1, 1: Fraction(1, 2), 2: 0}


def test_who_gives_no_ranking_puts_all_level() -> None:
    """It neither helps nor harms."""
    assert RankedBallot((0, 1)).points(1) == RankedBallot((0, 1)).preference(0, 1) == Fraction(1, 2)


@pytest.mark.parametrize("rule", ["borda", "copeland"])
def test_a_safe_lead_is_never_lost(rule: Literal["borda", "copeland"]) -> None:
    """Over every way in which the members left can rank, and sometimes the lead is safe before the last one."""
    generator, safe = random.Random(1), 0
    answers = [0, 1, 2, 3]
    own = [tuple(a for a in answers if a != member) for member in answers]
    for _ in range(150):
        given = [RankedBallot(of, (tuple(generator.sample(of, 3)),)) for of in own[:3]]
        bounds = bound_scores(answers, given, own[3:], rule)
        ends = []
        for rest in product(*(permutations(of) for of in own[3:])):
            ballots = [*given, *(RankedBallot(of, (ranking,)) for of, ranking in zip(own[3:], rest, strict=True))]
            end = {a: low for a, (low, _) in bound_scores(answers, ballots, [], rule).items()}
            assert all(bounds[a][0] <= end[a] <= bounds[a][1] for a in answers)
            ends.append(end)
        if is_decided(bounds):
            safe += 1
            leader = max(answers, key=lambda a: bounds[a][0])
            assert all(end[leader] > end[a] for end in ends for a in answers if a != leader)
    assert safe > 0
