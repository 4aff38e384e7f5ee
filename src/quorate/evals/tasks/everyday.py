"""`everyday`: 200 short questions of general knowledge, and those of your own whose answers are sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from quorate.aggregators.markup import visible
from quorate.aggregators.meaning.counter import MeaningEquivalence
from quorate.aggregators.meaning.texts import Statement, words_of
from quorate.evals.task import BETWEEN, Selection
from quorate.orchestrator.reading import AnswerReader, Equivalence, Extractor

from .base import Benchmark, DataRow, ParsedRow

__all__ = ["Everyday"]

SHIPPED = Path(__file__).with_suffix(".jsonl")
POLAR = ("yes", "no")


class Everyday(Benchmark):
    """Questions as people ask them, each with the answers that are accepted; a file of your own has the same fields.

    Nothing tells the model how to answer, and the votes get no reader: whether values or sentences are compared they
    decide for each set, as they do for anybody's question. A text is right if its beginning, where an answer is
    expected, holds an accepted answer word for word; a yes or no has to be its first word.
    """

    name = "everyday"
    cite = "quorate's own"
    home = "shipped"
    file_hint = " with id, question and answers on each line"

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        """See `Benchmark.read_row`."""
        del seed
        return ParsedRow(BETWEEN.join(row.texts("answers")), {"question": row.text("question")}, row.text("id"))

    def _rows(self, selection: Selection) -> tuple[list[DataRow], str, str]:
        if selection.data is not None:
            return super()._rows(selection)
        rows, _, revision = super()._rows(replace(selection, data=SHIPPED))
        return rows, self.name, revision

    @cached_property
    def extractor(self) -> Extractor:
        """All that is said."""
        return _Said()

    @cached_property
    def equivalence(self) -> Equivalence:
        """By value or by meaning, whatever the set is."""
        return MeaningEquivalence()

    @property
    def answer_reader(self) -> AnswerReader | None:
        """None: a vote decides by the question and the set."""
        return None

    async def correct(self, answer: str | None, gold: str) -> bool:
        """See `Task.correct`."""
        return answer is not None and _states(answer, gold.split(BETWEEN))


class _Said:
    def extract(self, text: str) -> str | None:
        return None if Statement.of(text).silent else visible(text).strip() or None


def _states(text: str, accepted: Sequence[str]) -> bool:
    said = Statement.of(text).lead_words
    for answer in accepted:
        words = words_of(answer)
        if answer in POLAR:
            if said[:1] == words:
                return True
        elif any(said[place : place + len(words)] == words for place in range(len(said) - len(words) + 1)):
            return True
    return False
