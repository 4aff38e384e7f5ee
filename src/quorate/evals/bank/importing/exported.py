"""What `quorate eval bank export` wrote, and banks themselves, into a bank."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quorate.evals.outcome import Outcome
from quorate.evals.replay.lines import Line, lines_of
from quorate.orchestrator.errors import DataError, MissingExtra

from ..absorbing import Incoming
from ..bank import Bank
from ..rows import flat_rows, incoming_of
from ..values import RunRecord

__all__ = ["copy_runs", "exported_files", "exported_samples", "import_runs", "samples_of"]


def exported_files(folder: Path) -> list[Path]:
    """The shards of an export; none where the folder is something else."""
    shards = [*folder.glob("*-[0-9][0-9][0-9][0-9][0-9].parquet"), *folder.glob("*-[0-9][0-9][0-9][0-9][0-9].jsonl")]
    return sorted(shards)


def exported_samples(file: Path) -> Iterator[Incoming]:
    """Every row of a Parquet or JSONL file.

    Raises:
        DataError: it is cut off, or a row is broken; names file, row and column.
        MissingExtra: Parquet needs pyarrow.
    """
    if file.suffix == ".parquet":
        for number, row in _parquet(file):
            yield incoming_of(row, lambda what, column, n=number: DataError(what, file=file, line=n, field=column))  # type: ignore[misc]
    else:
        for line in lines_of(file):
            yield incoming_of(line.data, line.fault)


def samples_of(bank: Bank) -> Iterator[Incoming]:
    """Every sample of another bank."""
    return (
        incoming_of(row, lambda what, column: DataError(what, file=bank.path, field=column))
        for row in flat_rows(bank.store)
    )


def copy_runs(bank: Bank, other: Bank) -> None:
    """The runs of another bank with their answers, but for those that are here already."""
    for run in other.runs():
        _keep(bank, run, list(other.outcomes(run.id)))


def import_runs(bank: Bank, folder: Path) -> None:
    """The runs of an export with their answers, but for those that are here already.

    Raises:
        DataError: a line is broken.
    """
    for file in sorted(folder.glob("*-runs.jsonl")):
        runs: dict[int, tuple[RunRecord, list[Outcome]]] = {}
        for line in lines_of(file):
            try:
                _take(line, runs)
            except (KeyError, ValueError, TypeError) as error:
                raise line.fault(f"is no run of an export: {error!r}") from None
        for run, outcomes in runs.values():
            _keep(bank, run, outcomes)


def _take(line: Line, runs: dict[int, tuple[RunRecord, list[Outcome]]]) -> None:
    if "run" in line.data:
        run = RunRecord.model_validate(line.data["run"])
        runs[run.id] = (run, [])
    else:
        runs[line.data["of"]][1].append(Outcome.model_validate(line.data["outcome"]))


def _keep(bank: Bank, run: RunRecord, outcomes: list[Outcome]) -> None:
    if any(there.model_copy(update={"id": run.id}) == run for there in bank.runs()):
        return
    with bank.store.transaction():
        number = bank.take_run(run)
        for outcome in outcomes:
            bank.add_outcome(number, outcome)


def _parquet(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("eval", f"reading {file.name}") from error
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(file) as content:
            for batch in content.iter_batches(batch_size=2000):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"is no Parquet file, or cut off: {error}", file=file) from error
