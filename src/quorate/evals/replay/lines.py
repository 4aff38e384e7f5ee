"""Lines of JSON files, and what is said of broken ones: file, line and field."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quorate.orchestrator.errors import DataError

__all__ = ["Line", "lines_of"]


@dataclass(frozen=True)
class Line:
    """One line and where it stands, for errors."""

    file: Path
    number: int
    data: Mapping[str, Any]

    def fault(self, message: str, field: str | None = None) -> DataError:
        return DataError(message, file=self.file, line=self.number, field=field)

    def text(self, name: str) -> str:
        """A field that must hold text or a number.

        Raises:
            DataError: it is missing or something else.
        """
        value = self.data.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
            raise self.fault("is missing" if value is None else "must be text", name)
        return str(value)

    def entries(self, name: str, count: int | None = None) -> list[Any]:
        """A field that must hold a list, of so many entries if told.

        Raises:
            DataError: it is missing or something else.
        """
        value = self.data.get(name)
        if not isinstance(value, list):
            raise self.fault("is missing" if value is None else "must be a list", name)
        if count is not None and len(value) != count:
            raise self.fault(f"has {len(value)} entries where there are {count} answers", name)
        return value


def lines_of(file: Path) -> Iterator[Line]:
    """Every line that is not empty.

    Raises:
        DataError: the file cannot be read, or a line is no JSON object.
    """
    try:
        with gzip.open(file) if file.name.endswith(".gz") else file.open("rb") as content:
            for number, text in enumerate(content, start=1):
                if text.strip():
                    yield Line(file, number, _object(file, number, text))
    except (OSError, EOFError) as error:
        raise DataError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=file) from error


def _object(file: Path, number: int, text: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"is no JSON: {error}", file=file, line=number) from None
    if not isinstance(value, dict):
        raise DataError("must be a JSON object", file=file, line=number)
    return value
