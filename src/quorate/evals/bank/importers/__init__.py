"""Samples from elsewhere into a bank: other banks and folders, recorded answers, logs of other harnesses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from quorate.evals.answer_files import lines_of
from quorate.orchestrator.errors import BadInput, DataError
from quorate.storage.traces import is_store

from ..bank import Bank
from ..ingest import ImportReport, Incoming, ingest
from ..recover import recover
from ..store import bank_file
from .exported import copy_runs, exported_files, exported_samples, import_runs, samples_of
from .inspect_log import inspect_samples, is_log
from .lm_eval import is_samples, lm_eval_samples
from .recorded import recorded_answers
from .served import served_samples

__all__ = ["ImportReport", "Incoming", "import_path", "ingest"]


def import_path(bank: Bank, path: Path, task: str | None = None) -> ImportReport:
    """Adds the samples of a folder or file, whatever its kind.

    Args:
        bank: takes them.
        path: a bank, an export, traces of a server, logs of another harness, or recorded answers.
        task: what questions of recorded answers are noted under; the name of the folder or file if not given.

    Raises:
        DataError: it is no known kind, or broken; names file, line and field. What came before the
            broken place is kept.
        BadInput: there is no such file.
    """
    if not path.exists():
        raise BadInput(f"{path}: there is no such file or folder")
    if bank_file(path).is_file() or path.suffix == ".sqlite" or is_store(path):
        return ingest(bank, served_samples(path)) if is_store(path) else _bank(bank, path)
    if not path.is_dir():
        read = _reader(path)
        return ingest(bank, recorded_answers(path, task) if read is None else read(path))
    if files := exported_files(path):
        done = _all(bank, files, exported_samples)
        import_runs(bank, path)
        return done
    if logs := sorted(file for file in path.rglob("*") if is_log(file)):
        return _all(bank, logs, inspect_samples)
    if samples := sorted(file for file in path.rglob("samples_*") if is_samples(file)):
        return _all(bank, samples, lm_eval_samples)
    return ingest(bank, recorded_answers(path, task))


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


def _all(bank: Bank, files: list[Path], read: Callable[[Path], Iterator[Incoming]]) -> ImportReport:
    return ingest(bank, (incoming for file in files for incoming in read(file)))


def _bank(bank: Bank, path: Path) -> ImportReport:
    if bank.path is not None and bank_file(path).resolve() == bank.path.resolve():
        raise BadInput(f"{path} is the bank itself: name another --bank")
    with recover(path) as (other, whole):
        done = ingest(bank, samples_of(other))
        copy_runs(bank, other)
    if not whole:
        done.notes.append(f"{bank_file(path)} is broken: these are the samples that could still be read")
    return done
