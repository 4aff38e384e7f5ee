"""Samples from elsewhere into a bank: other banks and folders, recorded answers, logs of other harnesses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from quorate.orchestrator.errors import BadInput, DataError
from quorate.storage.traces import is_store

from ..bank import Bank
from ..ingest import Found, ImportReport, Incoming, LeftOut, ingest
from ..recover import recover
from ..store import bank_file
from .exported import copy_runs, exported_files, exported_samples, import_runs, samples_of
from .kinds import READ, reader_of
from .recorded import recorded_answers
from .served import served_samples
from .source import ImportOptions

__all__ = ["ImportOptions", "ImportReport", "Incoming", "LeftOut", "import_path", "ingest"]


def import_path(
    bank: Bank, path: Path, task: str | None = None, *, scorer: str | None = None, answer_filter: str | None = None
) -> ImportReport:
    """Adds the samples of a folder or file, whatever its kind.

    Args:
        bank: takes them.
        path: a bank, an export, traces of a server, logs of another harness, or recorded answers; of a folder of logs
            all that are read.
        task, scorer, answer_filter: see `ImportOptions`.

    Raises:
        DataError: it is no known kind, or broken, or holds no sample; names file, line and field. What came before the
            broken place is kept.
        BadInput: there is no such file, or no such scorer or filter in it.
    """
    if not path.exists():
        raise BadInput(f"{path}: there is no such file or folder")
    if bank_file(path).is_file() or path.suffix == ".sqlite" or is_store(path):
        return ingest(bank, served_samples(path)) if is_store(path) else _bank(bank, path)
    if path.is_dir() and (files := exported_files(path)):
        done = ingest(bank, (sample for file in files for sample in exported_samples(file)))
        import_runs(bank, path)
        return done
    done = ingest(bank, _samples(path, ImportOptions(task, scorer, answer_filter)))
    if not done.read:
        why = "; ".join(f"{count:,} {reason}" for reason, count in done.left_out.items())
        raise DataError(f"holds no sample that can be taken in{why and f' ({why})'}", file=path)
    return done


def _samples(path: Path, options: ImportOptions) -> Iterator[Found]:
    """Those of a file, or of all files of a folder that something is read of."""
    if not path.is_dir():
        if not path.stat().st_size:
            raise DataError("holds nothing", file=path)
        reader = reader_of(path)
        if reader is None:
            raise DataError(f"is nothing that can be imported. {READ}", file=path)
        yield from reader(path, options)
        return
    logs = [(file, reader) for file in sorted(path.rglob("*")) if (reader := reader_of(file, among_others=True))]
    if not logs:
        yield from recorded_answers(path, options.task)
    for file, reader in logs:
        yield from reader(file, options)


def _bank(bank: Bank, path: Path) -> ImportReport:
    if bank.path is not None and bank_file(path).resolve() == bank.path.resolve():
        raise BadInput(f"{path} is the bank itself: name another --bank")
    with recover(path) as (other, whole):
        done = ingest(bank, samples_of(other))
        copy_runs(bank, other)
    if not whole:
        done.notes.append(f"{bank_file(path)} is broken: these are the samples that could still be read")
    return done
