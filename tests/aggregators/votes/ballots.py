"""Ballots for the tests."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import strategies as st

from quorate.aggregators.votes import Ballot

__all__ = ["ballots", "crowd", "shuffled"]

MODELS = st.sampled_from(["a", "b", "c"])
SCORES = st.sampled_from([None, float("nan"), float("inf"), -2.0, 0.0, 0.25, 1.0, 3.5])


@st.composite
def ballots(draw: st.DrawFn, *, most: int = 9) -> Ballot:
    """Any ballot: abstentions, repeated voters, missing and broken scores."""
    votes = draw(st.lists(st.tuples(st.none() | st.integers(0, 3), MODELS, SCORES), max_size=most))
    return Ballot(tuple(v[0] for v in votes), tuple(v[1] for v in votes), tuple(v[2] for v in votes))


def shuffled(ballot: Ballot, shuffler: random.Random) -> Ballot:
    """The same votes in another order."""
    order = list(range(len(ballot.classes)))
    shuffler.shuffle(order)
    return Ballot(
        tuple(ballot.classes[i] for i in order),
        tuple(ballot.voters[i] for i in order),
        tuple(ballot.scores[i] for i in order),
    )


def crowd(lines: Sequence[str]) -> list[Ballot]:
    """One ballot a line, one character a voter: a class, or a dot for a voter who was not asked."""
    asked = [[(int(c), f"w{w}") for w, c in enumerate(line) if c != "."] for line in lines]
    return [Ballot(tuple(c for c, _ in line), tuple(w for _, w in line)) for line in asked]
