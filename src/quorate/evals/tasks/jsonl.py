"""`jsonl`: questions of your own, one JSON object a line: {"id": ..., "question": ..., "gold": ...}."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quorate.evals.journal import first_fault
from quorate.evals.task import Item, Selection, Task
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.run import derive_seed
from quorate.orchestrator.types import Question

__all__ = ["JsonLines"]


class Row(BaseModel):
    """One line of the file; further fields are left alone."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: str = Field(min_length=1)
    question: str = Field(pattern=r"\S")
    gold: str = Field(pattern=r"\S")
    cluster: str = ""


class JsonLines(Task):
    """Questions from a local file; the seed chooses which ones, if not all are wanted."""

    name = "jsonl"

    def items(self, selection: Selection) -> list[Item]:
        if selection.data is None:
            raise BadInput("task 'jsonl' needs a file: --data FILE with id, question and gold on each line")
        self.tier(selection.tier)
        rows = sorted(_rows(selection.data), key=lambda row: (derive_seed(selection.seed, row.id), row.id))
        return [Item(r.id, Question.of(r.question), r.gold, r.cluster) for r in rows[: selection.limit]]


def _rows(path: Path) -> Iterator[Row]:
    """Every row of the file.

    Raises:
        DataError: the file cannot be read or holds nothing, a row is broken, or an id stands twice.
    """
    seen: dict[str, int] = {}
    for number, line in _lines(path):
        try:
            row = Row.model_validate_json(line)
        except ValidationError as error:
            message, field = first_fault(error)
            raise DataError(message, file=path, line=number, field=field) from None
        if row.id in seen:
            raise DataError(f"{row.id!r} stands in line {seen[row.id]} too", file=path, line=number, field="id")
        seen[row.id] = number
        yield row
    if not seen:
        raise DataError("holds no questions", file=path)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=path) from error
