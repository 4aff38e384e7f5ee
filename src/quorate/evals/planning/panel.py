"""A panel of models, one answer each: how many independent voters it amounts to, and who repeats whom.

Copies are to count once. Models whose errors are merely correlated, of one family for example, are told and no more:
discounting them does more harm than good (docs/aggregators.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

from quorate.aggregators.votes import Ballot
from quorate.aggregators.votes.copies import find_copies
from quorate.orchestrator.errors import BadInput

from ..measures.agreement import EffectiveVotes, measure_effective_votes
from ..measures.curves import at_k, clusters_of
from ..records import AnswerRecord
from ..statistics import Estimate, Result, mean_interval

SHOWN = 5
"""Pairs that are told, the most alike first."""
LEAST = 20
"""Questions that both answered, below which their errors tell nothing."""


class AlikePair(Result):
    """Two voters, and how alike they err."""

    a: str
    b: str
    correlation: float
    """Of their errors, over the questions that both answered."""


class PanelPlan(Result):
    """What a panel amounts to."""

    questions: int
    voters: int
    vote: Estimate
    """Share of questions that the most frequent answer gets right; ties share the credit."""
    best: str
    best_accuracy: Estimate
    """Of the voter that is right most often, on the same answers; no choice, since it looks at the grades."""
    effective: EffectiveVotes | None
    """None where nobody errs."""
    alike: tuple[AlikePair, ...]
    """The pairs whose errors are correlated most; copies of one voter are left out."""
    copies: tuple[tuple[str, ...], ...]
    """Voters that answer alike wherever the panel is divided."""


def plan_panel(records: Sequence[AnswerRecord]) -> PanelPlan:
    """What a panel's recorded answers say of its voters.

    Args:
        records: one answer a voter and question.

    Raises:
        BadInput: no question has two answers.
        MissingExtra: scipy or statsmodels is not installed.
    """
    records = [record for record in records if len(record) > 1]
    if not records:
        raise BadInput(
            "one sample a question: a plan needs 2 or more, of a panel of models or of one, such as majority@8"
        )
    right: dict[str, dict[int, bool]] = defaultdict(dict)
    for place, record in enumerate(records):
        for voter, mark in zip(record.voters, record.right, strict=True):
            right[voter][place] = mark
    copies = find_copies([Ballot(record.classes, record.voters) for record in records])
    clusters = clusters_of(records) or [""] * len(records)
    shares = {voter: sum(marks.values()) / len(marks) for voter, marks in right.items()}
    best = max(sorted(shares), key=lambda voter: shares[voter])
    most = max(map(len, records))
    return PanelPlan(
        questions=len(records),
        voters=len(right),
        vote=at_k(records, "plurality", most).accuracy,
        best=best,
        best_accuracy=mean_interval(
            [float(m) for m in right[best].values()], clusters=[clusters[p] for p in right[best]]
        ),
        effective=measure_effective_votes(records),
        alike=_most_alike(right, {voter for group in copies for voter in group[1:]}),
        copies=copies,
    )


def _most_alike(right: dict[str, dict[int, bool]], repeated: set[str]) -> tuple[AlikePair, ...]:
    pairs = [
        AlikePair(a=a, b=b, correlation=found)
        for a, b in combinations(sorted(right.keys() - repeated), 2)
        if (found := _correlate([(right[a][p], right[b][p]) for p in right[a].keys() & right[b].keys()])) is not None
    ]
    return tuple(sorted(pairs, key=lambda pair: (-pair.correlation, pair.a, pair.b))[:SHOWN])


def _correlate(marks: Sequence[tuple[bool, bool]]) -> float | None:
    """Of two voters' marks; None where one is always right or always wrong, or there are too few."""
    n, both = len(marks), sum(a and b for a, b in marks)
    one, other = sum(a for a, _ in marks), sum(b for _, b in marks)
    spread = one * (n - one) * other * (n - other)
    return (n * both - one * other) / spread**0.5 if n >= LEAST and spread else None
