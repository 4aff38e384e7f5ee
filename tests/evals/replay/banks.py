"""Banks written to files, for the tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quorate.evals.records import AnswerRecord

__all__ = ["recorded", "written"]


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def recorded(classes: Sequence[int | None], right: int = 0, **columns: Sequence[Any]) -> AnswerRecord:
    """One model's answers to a question of which one class is right."""
    return AnswerRecord(
        id="q",
        voters=("m",) * len(classes),
        answers=tuple(None if c is None else str(c) for c in classes),
        classes=tuple(classes),
        right=tuple(c == right for c in classes),
        columns={name: tuple(column) for name, column in columns.items()},
    )
