"""Copies: voters that answer alike wherever a panel is divided, such as one model under two names. They count once.

A copy confirms nothing, yet every vote takes it for a further witness, and what learns from agreement takes it for the
surest: with one of five models under three names, label-free weighting fell from .75 to .38 on hard maths. Models
of one family, or with correlated errors, are no copies: their discount helps here, harms there (docs/aggregators.md).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

from quorate.orchestrator.errors import BadInput

from .ballot import Ballot

SAME = 0.98
"""Share of equal answers from which two voters are copies; different models of recorded panels had at most 0.96."""
LEAST = 20
"""Divided questions that both answered, below which nobody is called a copy."""


def find_copies(ballots: Sequence[Ballot], *, same: float = SAME, least: int = LEAST) -> tuple[tuple[str, ...], ...]:
    """Groups of two or more voters that are copies of each other, sorted; needs no labels.

    Args:
        ballots: of many questions; a voter with several votes on one counts by none of them.
        same: share of the divided questions on which two voters have to agree.
        least: divided questions that tell anything.

    Raises:
        BadInput: the share is not above 0 and at most 1, or the number is below 1.
    """
    if not 0 < same <= 1 or least < 1:
        raise BadInput(f"find_copies(same={same}, least={least}): give a share above 0 and at most 1, and 1 or more")
    alike, both = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for ballot in ballots:
        votes = _single_votes(ballot)
        if len(set(votes.values())) > 1:
            for pair in combinations(sorted(votes), 2):
                both[pair] += 1
                alike[pair] += votes[pair[0]] == votes[pair[1]]
    found: list[list[str]] = []
    linked = {pair for pair, n in both.items() if n >= least and alike[pair] >= same * n}
    for voter in sorted({voter for pair in linked for voter in pair}):
        home = next((g for g in found if all((other, voter) in linked for other in g)), None)
        if home is None:
            found.append([voter])
        else:
            home.append(voter)
    return tuple(tuple(group) for group in found if len(group) > 1)


def merge_copies(ballots: Sequence[Ballot], copies: Sequence[Sequence[str]]) -> list[Ballot]:
    """The ballots with one voter of each group, under its first name: who first cast a vote, without the others."""
    first = {voter: group[0] for group in copies for voter in group}
    return [_merge(ballot, first) for ballot in ballots] if first else list(ballots)


def _single_votes(ballot: Ballot) -> dict[str, int]:
    """The votes of those who had one."""
    cast: dict[str, list[int]] = defaultdict(list)
    for i in ballot.cast:
        cast[ballot.voter(i)].append(ballot.class_of(i))
    return {voter: classes[0] for voter, classes in cast.items() if len(classes) == 1}


def _merge(ballot: Ballot, first: Mapping[str, str]) -> Ballot:
    places: dict[str, int] = {}
    for i, number in enumerate(ballot.classes):
        home = first.get(ballot.voter(i))
        if home is not None and (home not in places or (ballot.classes[places[home]] is None and number is not None)):
            places[home] = i
    kept = [i for i in range(len(ballot.classes)) if places.get(first.get(ballot.voter(i), ""), i) == i]
    return Ballot(
        tuple(ballot.classes[i] for i in kept),
        tuple(first.get(ballot.voter(i), ballot.voter(i)) for i in kept),
        tuple(ballot.score(i) for i in kept),
    )
