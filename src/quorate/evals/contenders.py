"""The systems that folders hold, by task: pipelines of runs that were sampled alike, or recorded answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quorate.orchestrator.errors import BadInput, UnknownName

from .answer_files import read_bank
from .bank import AlikeRuns, Bank, RunRecord, bank_file, choose_alike
from .bank.queries import sample_groups
from .measures import System, list_systems, recorded_systems
from .outcome import Outcome


@dataclass(frozen=True)
class Contenders:
    """What can be compared on one task."""

    systems: tuple[System, ...]
    notes: tuple[str, ...] = ()
    """Which runs of a bank are not among them, and why."""


async def read_contenders(
    folders: Sequence[Path], *, task: str | None = None, runs: Sequence[int] = (), seed: int = 0
) -> dict[str, Contenders]:
    """The systems of every task; those of one name are told apart by their folder, or by their run.

    Args:
        folders: banks, or answers.
        task: only this one.
        runs: numbers of the runs of a bank that are compared; if not given, the newest complete run and those that
            were sampled like it.
        seed: chooses subsets of samples.

    Raises:
        BadInput: a folder is missing, no folder has the task, or runs are given for several folders.
        UnknownName: there is no such run.
    """
    for folder in folders:
        if not folder.exists():
            raise BadInput(f"{folder}: there is no such folder; `quorate eval run --out DIR` makes one")
    different = list(dict.fromkeys(folders))
    if runs and (len(different) > 1 or not bank_file(different[0]).is_file()):
        raise BadInput(f"--run {runs[0]}: runs are those of one bank: give one folder of `quorate eval run --out`")
    if runs:
        sources = [(f"run {run}", await _read_bank(folders[0], task, seed, run)) for run in dict.fromkeys(runs)]
    else:
        names = [folder.name for folder in different]
        labels = [folder.name if names.count(folder.name) == 1 else str(folder) for folder in different]
        sources = [(label, await _read(folder, task, seed)) for label, folder in zip(labels, different, strict=True)]
    found: dict[str, list[tuple[str, Contenders]]] = {}
    for label, tasks in sources:
        for name, some in tasks.items():
            found.setdefault(name, []).append((label, some))
    if not found:
        what = f"task {task!r}" if task else "answers or samples"
        raise BadInput(f"{', '.join(map(str, folders))}: no {what} to compare")
    return {name: _join(sides) for name, sides in found.items()}


async def _read(folder: Path, task: str | None, seed: int) -> dict[str, Contenders]:
    if bank_file(folder).is_file():
        return await _read_bank(folder, task, seed)
    bank = await read_bank(folder)
    return {bank.name: Contenders(tuple(recorded_systems(bank, seed=seed)))} if task in (None, bank.name) else {}


async def _read_bank(folder: Path, task: str | None, seed: int, number: int | None = None) -> dict[str, Contenders]:
    with Bank(folder, create=False) as bank:
        runs = [run for run in bank.runs() if bank.count_outcomes(run.id)]
        if number is not None and number not in (numbers := [run.id for run in runs]):
            raise UnknownName("run with answers", str(number), list(map(str, numbers)))
        chosen = [run for run in runs if number in (None, run.id)]
        tasks = bank.tasks() if number is None else [run.task for run in chosen]
        found = {
            name: await _contenders(bank, name, [run for run in chosen if run.task == name], seed)
            for name in tasks
            if task in (None, name)
        }
        return {name: some for name, some in found.items() if some.systems}


async def _contenders(bank: Bank, task: str, runs: Sequence[RunRecord], seed: int) -> Contenders:
    alike = choose_alike(runs) if runs else AlikeRuns((), ())
    # A run may have been stopped before its first sample, and where nothing could be sampled its failures are compared.
    drawn = any(group.drawn_by(alike.models) for group in sample_groups(bank.store, task, None))
    records = await bank.records(task, models=alike.models) if drawn else None
    if not runs:
        return Contenders(() if records is None else tuple(recorded_systems(records, seed=seed)))
    latest: dict[str, list[Outcome]] = {}
    for run in alike.runs:
        answered: dict[str, list[Outcome]] = {}
        for outcome in bank.outcomes(run.id):
            answered.setdefault(outcome.pipeline, []).append(outcome)
        latest |= answered
    asked = [outcome for some in latest.values() for outcome in some]
    return Contenders(tuple(list_systems(asked, records, seed=seed)), alike.notes)


def _join(sides: Sequence[tuple[str, Contenders]]) -> Contenders:
    names = [system.name for _, some in sides for system in some.systems]
    systems = [
        replace(system, name=f"{system.name} [{label}]") if names.count(system.name) > 1 else system
        for label, some in sides
        for system in some.systems
    ]
    several = len(sides) > 1
    notes = [f"{label}: {note}" if several else note for label, some in sides for note in some.notes]
    return Contenders(tuple(systems), tuple(notes))
