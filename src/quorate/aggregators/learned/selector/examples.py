"""Labelled candidate sets as a selector learns from them: classes of equal answers, each right or wrong."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.reading import Equivalence
from quorate.orchestrator.types import CandidateSet

from ...votes.majority import MajorityVote
from .features import compute_features
from .view import CandidateView


class Spelled:
    """Equal strings are one class: for answers that were brought to one spelling before."""

    async def classes(self, answers: Sequence[str]) -> list[int]:
        number = {answer: i for i, answer in enumerate(sorted(set(answers)))}
        return [number[answer] for answer in answers]


@dataclass(frozen=True)
class Example:
    """One question's candidates with what is right."""

    id: str
    group: str
    """What must stay on one side of every split: the question, or its cluster."""
    view: CandidateView
    right: tuple[bool | None, ...]
    """One entry a candidate of the view; None where nobody graded it."""

    @cached_property
    def labels(self) -> dict[int, bool]:
        """Whether each class is right, where one of its members was graded; most of them decide."""
        marks = {
            number: [mark for i in places if (mark := self.right[i]) is not None]
            for number, places in self.view.members.items()
        }
        return {number: fmean(known) >= 0.5 for number, known in marks.items() if known}

    @cached_property
    def rows(self) -> dict[int, dict[str, float]]:
        """Every feature of each class that has a label."""
        return {number: compute_features(self.view, number) for number in self.labels}

    def choose(self, weights: Mapping[int, float], seed: int) -> int | None:
        """The heaviest class, a tie drawn by the seed; None where nothing weighs."""
        if not weights:
            return None
        best = max(weights.values())
        tied = sorted(number for number, weight in weights.items() if weight >= best - 1e-9 * max(1.0, abs(best)))
        return random.Random(repr((seed, self.id))).choice(tied)

    def credit(self, number: int | None) -> bool:
        """Whether this class is right; no answer is not."""
        return number is not None and self.labels.get(number, False)


async def build_example(
    labelled: CandidateSet, equivalence: Equivalence | None = None, scores: Sequence[float | None] = ()
) -> Example:
    """What can be learned from this set.

    Args:
        labelled: with at least one candidate that is ok.
        equivalence: which answers count as one; as in `MajorityVote` if not given.
        scores: a verifier's, one a candidate.
    """
    counter = MajorityVote(equivalence=equivalence).counter(labelled.question, RunContext())
    # Recorded candidates of several models may all have the index they had in their own stage.
    renumbered = [c.model_copy(update={"index": i}) for i, c in enumerate(labelled.candidates)]
    found = await counter.tally(renumbered)
    view = CandidateView.of(labelled.question, renumbered, found, scores)
    name = f"{labelled.task}/{labelled.item}"
    return Example(
        id=name,
        group=f"{labelled.task}/{labelled.cluster or labelled.item}",
        view=view,
        right=tuple(labelled.correct[c.index] for c in view.candidates),
    )


def cut_sets(sets: Iterable[CandidateSet], size: int, seed: int = 0) -> list[CandidateSet]:
    """Sets of so many candidates each: every set shuffled by the seed and cut, what is left over dropped.

    Raises:
        BadInput: no set has that many candidates.
    """
    found = [part for one in sets for part in _parts(one, size, seed)]
    if not found:
        raise BadInput(f"candidates={size}: no question of the bank has so many; draw more samples or cut smaller sets")
    return found


def _parts(one: CandidateSet, size: int, seed: int) -> list[CandidateSet]:
    order = list(range(len(one.candidates)))
    random.Random(repr((seed, one.task, one.item))).shuffle(order)
    starts = range(0, len(order) - size + 1, size)
    return [
        one.model_copy(
            update={
                "candidates": tuple(one.candidates[i] for i in order[start : start + size]),
                "correct": tuple(one.correct[i] for i in order[start : start + size]),
                "cluster": one.cluster or one.item,
            }
        )
        for start in starts
    ]


def select_graded(examples: Sequence[Example]) -> list[Example]:
    """Those of which something can be learned.

    Raises:
        BadInput: there are none, or nothing is to be told apart; says which.
    """
    found = [example for example in examples if example.labels or not example.view.members]
    labels = [label for example in found for label in example.labels.values()]
    if not labels:
        raise BadInput(
            f"no candidate of these {len(examples)} sets is graded: the bank holds no gold answers; "
            "make it with `quorate eval run --out` over a task that has them"
        )
    if len(set(labels)) == 1:
        told = "right" if labels[0] else "wrong"
        raise BadInput(
            f"every answer of these {len(found)} sets is {told}: nothing to tell apart; "
            "use harder or easier questions, or other models"
        )
    return found


"""A number of one candidate; None where it cannot be told."""
