"""Folders of an earlier `quorate eval run --out`: `samples.jsonl` with `answers.jsonl` beside it.

A line of `samples.jsonl` knows its question by a hash and the seed of its run. Both follow from the
question and its id, so the task's questions, selected as the run did, say whose each sample is.
Without the task, ids and right answers come from `answers.jsonl` and the wording stays unknown.
A run may still be writing the folder; a line that is not whole yet is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from quorate.evals.faults import first_fault
from quorate.evals.outcome import Outcome
from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.types import Frozen, Question, SamplingParams

from ..absorbing import Absorbed, Incoming, absorb
from ..bank import Bank
from ..grading import grade
from ..values import BankedAgent, BankedItem, Drawn

if TYPE_CHECKING:
    from quorate.evals.task import Item, Task

__all__ = ["import_folder", "is_folder"]

Line = TypeVar("Line", bound=Frozen)


def is_folder(path: Path) -> bool:
    return (path / "samples.jsonl").is_file()


async def import_folder(
    bank: Bank,
    folder: Path,
    *,
    task: Task | None = None,
    items: Sequence[Item] = (),
    split: str = "",
    seed: int | None = None,
) -> Absorbed:
    """Adds the folder's samples, graded by the task, and its answers as a run.

    Args:
        task: whose samples these are.
        items: the questions that the run asked, or more.
        seed: of the run; its `results.json` tells it too.

    Raises:
        DataError: a file is missing or broken, or no sample belongs to a question.
    """
    seed = _seed(folder / "results.json") if seed is None else seed
    outcomes = folder / "answers.jsonl"
    if task is not None:
        known = [_banked(task.name, item, split) for item in items]
    elif outcomes.is_file():
        found = {outcome.item: outcome for outcome in _lines(outcomes, Outcome)}
        known = [_unworded(folder.name, outcome) for outcome in found.values()]
    else:
        raise DataError("is missing; say which questions were asked by --task, --seed, --limit, ...", file=outcomes)
    done = absorb(bank, _incoming(folder / "samples.jsonl", known, seed))
    if done.unmatched == done.read:
        raise DataError(
            f"none of {done.read:,} samples belongs to a question of the task: check --task, --tier, --split, --seed "
            "and --limit, which must be those of the run",
            file=folder / "samples.jsonl",
        )
    if task is not None:
        for item in items:
            done.ungraded -= await grade(bank, task, item)
    if outcomes.is_file():
        _keep_run(bank, known[0].task, outcomes, seed)
    return done


def _incoming(path: Path, items: Sequence[BankedItem], seed: int | None) -> Iterator[Incoming]:
    by_seed = {derive_seed(seed, item.item): item for item in items} if seed is not None else {}
    by_key = {item.question.key: item for item in items if item.question.messages}
    agents: dict[str, BankedAgent] = {}
    for drawn in _lines(path, Drawn):
        item = by_key.get(drawn.question) or by_seed.get(drawn.seed)
        agent = agents.setdefault(drawn.agent, BankedAgent.of(drawn.agent))
        same = item is not None and item.question.key == drawn.question
        # The settings themselves cannot be had from the hash; it keeps them apart.
        sampling = item.question.sampling if item and same else SamplingParams(extra={"settings": drawn.question})
        yield Incoming(
            agent=agent,
            candidate=drawn.candidate,
            item=item,
            sampling=sampling,
            seed=drawn.seed,
            key=drawn.question,
            own_prompt=drawn.own_prompt,
        )


def _keep_run(bank: Bank, task: str, answers: Path, seed: int | None) -> None:
    outcomes = list(_lines(answers, Outcome))
    settings = {"imported": str(answers.parent), "seed": seed}
    if any(run.settings == settings for run in bank.runs()):
        return
    names = list(dict.fromkeys(outcome.pipeline for outcome in outcomes))
    with bank.store.transaction():
        run = bank.start_run(
            task, pipelines=names, questions=len({o.item for o in outcomes}), settings=settings, versions={}
        )
        for outcome in outcomes:
            bank.add_outcome(run, outcome)
        bank.finish_run(run)


def _banked(task: str, item: Item, split: str) -> BankedItem:
    return BankedItem(
        task=task, item=item.id, question=item.question, gold=item.gold, cluster=item.cluster, split=split
    )


def _unworded(task: str, outcome: Outcome) -> BankedItem:
    return BankedItem(
        task=task, item=outcome.item, question=Question(messages=()), gold=outcome.gold, cluster=outcome.cluster
    )


def _seed(path: Path) -> int | None:
    try:
        seed = json.loads(path.read_text(encoding="utf-8")).get("seed")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"cannot be read: {error}", file=path) from error
    return seed if isinstance(seed, int) else None


def _lines(path: Path, kind: type[Line]) -> Iterator[Line]:
    """Every whole line, as they are needed."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield kind.model_validate_json(line)
                except ValidationError as error:
                    if not line.endswith(b"\n"):
                        return
                    message, field = first_fault(error)
                    raise DataError(message, file=path, line=number, field=field) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=path) from error
