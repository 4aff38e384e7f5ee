"""Samples from elsewhere into a bank: other banks and folders, recorded answers, logs of other harnesses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from quorate.evals.replay.lines import lines_of
from quorate.orchestrator.errors import BadInput, DataError
from quorate.storage.traces import is_store

from ..absorbing import Absorbed, Incoming, absorb
from ..bank import Bank
from ..store import bank_file
from .exported import copy_runs, exported_files, exported_samples, import_runs, samples_of
from .folder import import_folder, is_folder
from .inspect_logs import inspect_samples, is_log
from .lm_eval import is_samples, lm_eval_samples
from .recorded import recorded_answers
from .served import served_samples

__all__ = ["Absorbed", "Hints", "Incoming", "absorb", "import_path"]

EVERY = 1_000_000
"""Questions asked for where no limit is told, of tasks that end by themselves."""


@dataclass(frozen=True)
class Hints:
    """What the user says of a source that does not tell it itself: how its run chose the questions."""

    task: str | None = None
    tier: str | None = None
    split: str | None = None
    limit: int | None = None
    seed: int | None = None
    data: Path | None = None


async def import_path(bank: Bank, path: Path, hints: Hints | None = None) -> Absorbed:
    """Adds the samples of a folder or file, whatever its kind.

    Raises:
        DataError: it is no known kind, or broken; names file, line and field. What came before the
            broken place is kept.
        BadInput: there is no such file, or a hint fits no task.
    """
    hints = hints or Hints()
    if is_folder(path):
        return await _folder(bank, path, hints)
    return _import(bank, path, hints)


def _import(bank: Bank, path: Path, hints: Hints) -> Absorbed:
    if not path.exists():
        raise BadInput(f"{path}: there is no such file or folder")
    if bank_file(path).is_file() or path.suffix == ".sqlite" or is_store(path):
        return absorb(bank, served_samples(path)) if is_store(path) else _bank(bank, path)
    if not path.is_dir():
        read = _reader(path)
        return absorb(bank, recorded_answers(path, hints.task) if read is None else read(path))
    if files := exported_files(path):
        done = _all(bank, files, exported_samples)
        import_runs(bank, path)
        return done
    if logs := sorted(file for file in path.rglob("*") if is_log(file)):
        return _all(bank, logs, inspect_samples)
    if samples := sorted(file for file in path.rglob("samples_*") if is_samples(file)):
        return _all(bank, samples, lm_eval_samples)
    return absorb(bank, recorded_answers(path, hints.task))


def _reader(file: Path) -> Callable[[Path], Iterator[Incoming]] | None:
    """Who reads such a file; None for recorded answers."""
    if is_log(file):
        return inspect_samples
    if file.suffix == ".parquet":
        return exported_samples
    if is_samples(file):
        return lm_eval_samples
    first = next(lines_of(file), None)
    if first is None:
        raise DataError("holds nothing", file=file)
    if "resps" in first.data:
        return lm_eval_samples
    return exported_samples if {"asker", "key", "idx"} <= first.data.keys() else None


def _all(bank: Bank, files: list[Path], read: Callable[[Path], Iterator[Incoming]]) -> Absorbed:
    return absorb(bank, (incoming for file in files for incoming in read(file)))


def _bank(bank: Bank, path: Path) -> Absorbed:
    from ..salvage import readable

    if bank.path is not None and bank_file(path).resolve() == bank.path.resolve():
        raise BadInput(f"{path} is the bank itself: name another --bank")
    with readable(path) as (other, whole):
        done = absorb(bank, samples_of(other))
        copy_runs(bank, other)
    if not whole:
        done.notes.append(f"{bank_file(path)} is broken: these are the samples that could still be read")
    return done


async def _folder(bank: Bank, path: Path, hints: Hints) -> Absorbed:
    if hints.task is None and hints.data is None:
        return await import_folder(bank, path, seed=hints.seed)
    from quorate.evals.registry import find_task
    from quorate.evals.task import Selection

    task = find_task(hints.task, hints.data)
    if hints.limit is None and hints.data is None:
        raise BadInput(f"--task {task.name} for {path} needs --limit (and --seed, --tier, --split) as the run had them")
    wanted = Selection(hints.limit or EVERY, hints.seed or 0, hints.tier, hints.data, hints.split)
    return await import_folder(
        bank, path, task=task, items=task.items(wanted), split=task.split(hints.split), seed=hints.seed
    )
