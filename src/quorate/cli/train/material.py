"""What a selector learns from: a sample bank, or recorded answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from quorate.aggregators.equivalence import default_equivalence
from quorate.aggregators.learned.selector import Example, Spelled, build_example, cut_sets
from quorate.evals.bank import Bank
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import CandidateSet

from .recorded import recorded_sets

__all__ = ["banked", "joined", "replayed"]


async def banked(path: Path, *, task: str | None, agent: str | None, size: int | None, seed: int) -> list[Example]:
    """The candidates of every question of a bank, those of several agents together.

    Raises:
        BadInput: there is no bank, or nothing in it.
    """
    with Bank(path, create=False) as bank:
        sets = joined(bank.sets(task, agent))
        known = ", ".join(bank.tasks()) or "none"
    if not sets:
        wanted = "".join([f" of task {task!r}" if task else "", f" of agent {agent!r}" if agent else ""])
        raise BadInput(f"{path}: holds no samples{wanted}; its tasks: {known}")
    equivalence = default_equivalence()
    try:
        return [await build_example(one, equivalence) for one in (cut_sets(sets, size, seed) if size else sets)]
    finally:
        await equivalence.aclose()


async def replayed(
    path: Path, *, model: str | None, without: Sequence[str], size: int | None, seed: int
) -> list[Example]:
    """Recorded answers; equal strings are one class, as in `quorate eval replay`.

    Raises:
        BadInput: there is no such model.
        DataError: the file is broken.
    """
    found = await recorded_sets(path, model=model, without=without)
    if size is None:
        return [await build_example(one.candidates, Spelled(), one.scores) for one in found]
    if any(one.scores for one in found):
        raise BadInput("--candidates cannot cut sets with recorded scores: leave it out")
    return [await build_example(one, Spelled()) for one in cut_sets([one.candidates for one in found], size, seed)]


def joined(sets: Iterable[CandidateSet]) -> list[CandidateSet]:
    """One set a question: candidates of all agents and settings, so that who said it can be learned."""
    found: dict[tuple[str, str], list[CandidateSet]] = defaultdict(list)
    for one in sets:
        found[one.task, one.item].append(one)
    return [
        group[0].model_copy(
            update={
                "candidates": tuple(c for one in group for c in one.candidates),
                "correct": tuple(mark for one in group for mark in one.correct),
            }
        )
        for group in found.values()
    ]
