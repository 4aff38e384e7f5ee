"""Multiple choice with letters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from random import Random
from typing import Any

from quorate.aggregators.extraction import Choices
from quorate.orchestrator.protocols import Extractor

from .benchmark import Benchmark, ParsedRow
from .rows import DataRow

__all__ = ["MultipleChoice"]

_LETTERED = re.compile(r"\s*\(?([A-Z])[).:]\s*")


class MultipleChoice(Benchmark):
    """Reads a question, options and which of them is right; override `read_row` where a row says it otherwise."""

    template = "task-choice"
    letters = "ABCD"
    """As many as a question may have options."""

    @cached_property
    def extractor(self) -> Extractor:
        """The letter that a text settles on."""
        return Choices(self.letters)

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        """See `Benchmark.read_row`."""
        labels, options = self._options(row)
        _, gold = row.find("gold", "answer", "correct", "answerKey")
        right = gold if isinstance(gold, int) and not isinstance(gold, bool) else self._position(gold, labels)
        if right is None or not 0 <= right < len(options):
            raise row.fault(row.find("gold", "answer", "correct", "answerKey")[0], _none_of(gold, labels))
        return self.make_problem(row, row.text("question"), options, right, seed)

    def identity(self, row: DataRow) -> str:
        """The row's own id, if it has one."""
        return row.text("id") if row.has("id") else ""

    def make_problem(self, row: DataRow, question: str, options: Sequence[str], right: int, seed: int) -> ParsedRow:
        """The problem with its options lettered, shuffled by seed and row if the benchmark is `random`."""
        if not 2 <= len(options) <= len(self.letters):
            raise row.fault("options", f"{len(options)} options: there must be 2 to {len(self.letters)}")
        order = list(range(len(options)))
        if self.random:
            Random(f"{seed}/{question}").shuffle(order)
        lettered = [(letter, options[position].strip()) for letter, position in zip(self.letters, order, strict=False)]
        gold = self.letters[order.index(right)]
        values = {"question": question.strip(), "options": lettered, "letters": [letter for letter, _ in lettered]}
        return ParsedRow(gold, values, self.identity(row))

    def _options(self, row: DataRow) -> tuple[list[str], list[str]]:
        """Labels and texts; labels that stand before the texts, as AQuA's `A)12`, are taken off."""
        name, value = row.find("options", "choices")
        if isinstance(value, dict):
            inner = DataRow(value, row.place, row.line)
            labels, texts = inner.texts("label"), inner.texts("text")
            if len(labels) != len(texts):
                raise row.fault(name, f"{len(labels)} labels for {len(texts)} texts")
            return labels, texts
        texts, letters = row.texts(name), list(self.letters)
        marks = [_LETTERED.match(text) for text in texts]
        if all(mark and mark[1] == letter for mark, letter in zip(marks, letters, strict=False)):
            texts = [text[mark.end() :] if mark else text for text, mark in zip(texts, marks, strict=True)]
        return letters[: len(texts)], texts

    def _position(self, gold: Any, labels: Sequence[str]) -> int | None:
        label = str(gold).strip().strip("()")
        return labels.index(label) if label in labels else None


def _none_of(gold: Any, labels: Sequence[str]) -> str:
    return f"{gold!r} is none of the options {', '.join(labels)}: correct the row or leave it out"
