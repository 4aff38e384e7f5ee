"""One row of a data set, which knows where it stands, so that what is wrong with it can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quorate.orchestrator.errors import DataError

__all__ = ["Row"]


@dataclass(frozen=True)
class Row:
    """Fields of one question; names that differ between the hub and local files are given together."""

    values: Mapping[str, Any]
    place: str | Path
    """The file, or the hub's name of the data set."""
    line: int
    """In the file, from 1; the row's number where there are no lines."""
    part: str = ""
    """The data set's configuration that it came from, if there are several."""

    def find(self, *names: str) -> tuple[str, Any]:
        """Name and value of the first of these fields that is there.

        Raises:
            DataError: there is none of them.
        """
        for name in names:
            if self.values.get(name) is not None:
                return name, self.values[name]
        there = ", ".join(sorted(str(name) for name, value in self.values.items() if value is not None)) or "no fields"
        wanted = " or ".join(names)
        raise self.fault(names[0], f"there must be a field {wanted}; the row has {there}: is it the task's file?")

    def text(self, *names: str) -> str:
        """The first of these fields, which must be text or a number.

        Raises:
            DataError: there is none, or it is empty or no text.
        """
        name, value = self.find(*names)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.fault(name, f"must be text, not {type(value).__name__}")
        text = f"{value:.12g}" if isinstance(value, float) else str(value)
        if not text.strip():
            raise self.fault(name, "is empty: fill it in or leave the row out")
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise self.fault(name, "holds half a character (a lone surrogate), which no model can read")
        return text

    def raw(self, *names: str) -> str:
        """As `text`, for code: numbers are refused.

        Raises:
            DataError: there is none, or it is empty or no text.
        """
        name, value = self.find(*names)
        if not isinstance(value, str):
            raise self.fault(name, f"must be text, not {type(value).__name__}")
        return self.text(name)

    def texts(self, *names: str) -> list[str]:
        """The first of these fields, which must be a list of texts.

        Raises:
            DataError: there is none, or it is something else.
        """
        name, value = self.find(*names)
        if not isinstance(value, list | tuple) or not value or not all(isinstance(v, str | int | float) for v in value):
            raise self.fault(name, "must be a list of texts")
        return [str(v) for v in value]

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def rename_fields(self, names: Mapping[str, str]) -> Row:
        """The row with some fields under other names."""
        return replace(self, values={names.get(name, name): value for name, value in self.values.items()})

    def fault(self, field: str, message: str) -> DataError:
        """An error about one field of this row."""
        return DataError(message, file=self.place, line=self.line, field=field)
