"""Problems with a number or an expression as answer."""

from __future__ import annotations

from fractions import Fraction

from quorate.aggregators.extraction import Boxed

from .benchmark import Benchmark, ParsedRow
from .rows import DataRow

__all__ = ["Maths", "Numeric"]


class Maths(Benchmark):
    r"""Asks for the answer in `\boxed{}`, which `MathEquivalence` grades; override `question`, `gold` as needed."""

    template = "task-maths"

    def read_row(self, row: DataRow, seed: int) -> ParsedRow:
        """See `Benchmark.read_row`."""
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
