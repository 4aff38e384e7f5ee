"""The files of one evaluation: `samples.jsonl`, `answers.jsonl`, `results.json` and `results.md`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

from quorate.orchestrator.errors import BadInput

from .bank import Bank
from .journal import Journal
from .report import EvalResult, markdown
from .runner import Outcome

__all__ = ["Folder"]


class Folder:
    """An output folder, or with no path one that keeps nothing.

    The bank grows from run to run; answers and results are those of the latest one.

    Raises:
        BadInput: the folder cannot be written, or another run is using it.
        DataError: its bank is broken; names file, line and field.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._answers: Journal[Outcome] | None = None
        if path is None:
            self.bank = Bank()
            return
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"--out {path}: cannot be made a folder: {error.strerror}") from error
        self.bank = Bank(path / "samples.jsonl")
        try:
            self._answers = Journal(path / "answers.jsonl", Outcome)
        except BadInput:
            self.bank.close()
            raise
        self._answers.clear()

    def keep(self, outcome: Outcome) -> None:
        """Adds a line to the answers."""
        if self._answers is not None:
            self._answers.append(outcome)

    def finish(self, result: EvalResult) -> None:
        """Writes the results."""
        if self._path is None:
            return
        text = json.dumps(result.as_json(), indent=2, ensure_ascii=False) + "\n"
        for name, content in (("results.json", text), ("results.md", markdown(result))):
            try:
                (self._path / name).write_text(content, encoding="utf-8")
            except OSError as error:
                raise BadInput(f"{self._path / name}: cannot be written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bank.close()
        if self._answers is not None:
            self._answers.close()
