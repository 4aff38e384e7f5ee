"""Problems with a number or an expression as answer.

Multiple choice with letters.

The base of benchmarks that are judged by running programs.
"""

from __future__ import annotations

import ast
import asyncio
import hashlib
import os
import re
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from random import Random
from typing import Any
from weakref import WeakKeyDictionary

from quorate.aggregators.equivalence import SameText
from quorate.aggregators.execution import Limits, Sandbox, run_tests
from quorate.aggregators.extraction import Boxed, Choices
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.reading import Equivalence, Extractor

from .benchmark import Benchmark, ParsedRow
from .rows import DataRow


class Maths(Benchmark):
    r"""Asks for the answer in `\boxed{}`, which `MathEquivalence` grades; override `question`, `gold` as needed."""

    template = "task-maths"

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        del seed
        return ParsedRow(self.gold(row), {"question": self.question(row)}, self.identity(row))

    def identity(self, row: DataRow) -> str:
        """The row's own id, if it has one."""
        return row.text("id") if row.has("id") else ""

    def question(self, row: DataRow) -> str:
        return row.text("question", "problem")

    def gold(self, row: DataRow) -> str:
        r"""The answer; of a whole solution its last box.

        Raises:
            DataError: there is no box in it, or its braces are not closed.
        """
        name, _ = row.find("gold", "answer", "solution")
        text = row.text(name)
        answer = Boxed().extract(text) if name == "solution" or "\\boxed" in text else text.strip()
        if answer is None:
            raise row.fault(name, "holds no \\boxed{answer} that is closed")
        if answer.count("{") != answer.count("}"):
            raise row.fault(
                name, f"{answer!r} does not parse: its braces are not closed; correct the row or leave it out"
            )
        return answer


class Numeric(Maths):
    """Problems whose answer is a number, which the gold answer must be."""

    def gold(self, row: DataRow) -> str:
        """The number, whole ones without a point; of GSM8K's solutions what follows `####`.

        Raises:
            DataError: it is no number.
        """
        name, _ = row.find("gold", "answer")
        text = row.text(name).rpartition("####")[2].strip()
        plain = text.replace(",", "").removeprefix("$")
        try:
            number = Fraction(plain)
        except (ValueError, ZeroDivisionError):
            raise row.fault(name, f"{text!r} is no number: correct the row or leave it out") from None
        return str(number.numerator) if number.denominator == 1 else plain


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


SECONDS = 10.0
"""For one program and its tests."""


class Executed(Benchmark):
    """Programs run in the sandbox of `aggregators.execution`: limits of time, memory and files, no network.

    Where programs cannot be isolated nothing is run, which `prepare` says before anything is sampled.
    """

    needs = ("isolation",)

    @cached_property
    def equivalence(self) -> Equivalence:
        """Programs are the same if their text is."""
        return SameText()

    @cached_property
    def sandbox(self) -> Sandbox:
        """What programs run in."""
        return Sandbox(Limits(seconds=SECONDS + 5))

    async def prepare(self) -> None:
        if not await run_tests("x = 1", ["assert x == 1"], self.sandbox, seconds=SECONDS):
            raise BadInput(f"task {self.name!r} runs programs in a sandbox, and a trivial one did not pass here")

    async def passes(self, code: str, test: str) -> bool:
        """Whether a test passes; the same question is answered once.

        Raises:
            BadInput: programs cannot be isolated here.
        """
        key = hashlib.sha256(f"{len(code)} {code} {test}".encode(errors="replace")).digest()
        if key not in self._verdicts:
            async with self._limit():
                self._verdicts[key] = bool(await run_tests(code, [test], self.sandbox, seconds=SECONDS))
        return self._verdicts[key]

    def check_python(self, row: DataRow, field: str, code: str) -> None:
        """Checks that a field is Python.

        Raises:
            DataError: it is not.
        """
        try:
            ast.parse(code)
        except (SyntaxError, ValueError) as error:
            raise row.fault(field, f"is no Python ({error}): correct the row or leave it out") from None

    @cached_property
    def _verdicts(self) -> dict[bytes, bool]:
        return {}

    @cached_property
    def _limits(self) -> WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]:
        return WeakKeyDictionary()

    def _limit(self) -> asyncio.Semaphore:
        """As many programs at once as there are processors, in each event loop."""
        return self._limits.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(os.cpu_count() or 1))
