"""Votes to clusters: what every vote shares, whatever its votes weigh."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import fsum
from typing import NamedTuple

from quorate.orchestrator.protocols import Equivalence
from quorate.orchestrator.types import Candidate, Cluster

__all__ = ["Vote", "best_told", "clusters", "ranked"]


class Vote(NamedTuple):
    """One candidate's answer and what it weighs."""

    voter: int
    answer: str
    weight: float = 1.0


async def clusters(votes: Sequence[Vote], equivalence: Equivalence) -> tuple[Cluster, ...]:
    """Equivalence classes of the votes by falling weight, independent of the order of the votes.

    Classes of equal weight come in the order of a hash of their answers, so that no kind of answer
    (the smallest number, the first letter) is preferred.
    """
    answers = sorted({vote.answer for vote in votes})
    class_of = dict(zip(answers, await equivalence.classes(answers), strict=True))
    members: dict[int, list[Vote]] = defaultdict(list)
    for vote in votes:
        members[class_of[vote.answer]].append(vote)
    found = [_cluster(sorted(group)) for group in members.values()]
    return ranked(found)


def ranked(found: Iterable[Cluster]) -> tuple[Cluster, ...]:
    """Clusters by falling weight, those of equal weight by a hash of their answers."""
    return tuple(sorted(found, key=lambda c: (-c.weight, hashlib.sha256(c.answer.encode("utf-8", "replace")).digest())))


def _cluster(votes: Sequence[Vote]) -> Cluster:
    spellings = Counter(vote.answer for vote in votes)
    return Cluster(
        answer=min(spellings, key=lambda answer: (-spellings[answer], answer)),
        votes=len(votes),
        weight=fsum(vote.weight for vote in votes),
        voters=tuple(vote.voter for vote in votes),
    )


def best_told(candidates: Sequence[Candidate], answer: str | None = None) -> Candidate:
    """The candidate whose text stands for an answer, chosen by content alone.

    First those that spell the answer just so, then those that ended by themselves, then the shortest
    text, then the first in the alphabet.
    """
    return min(
        candidates,
        key=lambda c: (
            answer is not None and c.answer != answer,
            c.finish_reason != "stop",
            len(c.text),
            c.text,
            c.reasoning or "",
            c.model,
        ),
    )
