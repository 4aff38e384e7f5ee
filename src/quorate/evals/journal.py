"""An append-only file of JSON lines that survives being killed at any byte."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from pydantic import ValidationError

from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import Frozen

__all__ = ["Journal", "first_fault"]

Row = TypeVar("Row", bound=Frozen)


class Journal(Generic[Row]):
    """Rows of one type, a line each, in the system's hands as soon as `append` returns.

    A last line without its end, as a kill leaves it, is dropped with a note unless it is whole. The
    file belongs to one process at a time.

    Args:
        path: the file; made if there is none.
        row: the type of a line.

    Raises:
        BadInput: the file cannot be written, or another run has it open.
    """

    def __init__(self, path: Path, row: type[Row]) -> None:
        self.path, self._row = path, row
        self.notes: list[str] = []
        """What was repaired when reading."""
        try:
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise BadInput(f"{path}: cannot be written: {error.strerror}") from error
        try:
            _lock(self._file, path)
        except BadInput:
            self._file.close()
            raise
        self._size = path.stat().st_size

    def rows(self) -> Iterator[Row]:
        """Every row from the beginning, and the torn end repaired.

        Raises:
            DataError: a line that is not such a row, naming file, line and field.
        """
        position = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                whole = line.endswith(b"\n")
                try:
                    row = self._row.model_validate_json(line)
                except ValidationError as error:
                    if whole:
                        raise self._fault(number, error) from None
                    self._cut(position)
                    self.notes.append(f"{self.path}:{number}: dropped the torn last line")
                    return
                yield row
                position += len(line)
                if not whole:
                    self._write(b"\n")
                    return

    def append(self, row: Row) -> None:
        """Adds one line; a write that fails leaves no part of it.

        Raises:
            DataError: the line cannot be written, for instance because the disk is full.
        """
        self._write(row.model_dump_json(exclude_defaults=True).encode() + b"\n")

    def clear(self) -> None:
        """Starts anew."""
        self._cut(0)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        reason = "the disk took only a part of the line"
        try:
            if self._file.write(line) == len(line):
                self._size += len(line)
                return
        except OSError as error:
            reason = str(error.strerror)
        self._cut(self._size)
        raise DataError(f"cannot be written: {reason}", file=self.path)

    def _cut(self, size: int) -> None:
        self._file.truncate(size)
        self._size = size

    def _fault(self, number: int, error: ValidationError) -> DataError:
        message, field = first_fault(error)
        return DataError(message, file=self.path, line=number, field=field)


def first_fault(error: ValidationError) -> tuple[str, str | None]:
    """The first thing that is wrong with a row: what, and in which field."""
    fault: Any = error.errors(include_url=False, include_input=False)[0]
    return fault["msg"], ".".join(str(part) for part in fault["loc"]) or None


def _lock(file: io.FileIO, path: Path) -> None:
    """Keeps other processes out until the file is closed, where the system has such locks."""
    try:
        import fcntl
    except ImportError:  # Windows; there one run a folder is the user's to see to
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise BadInput(f"{path}: another run is writing it; wait for its end or choose another folder") from error
