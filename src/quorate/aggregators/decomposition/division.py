"""A division of a problem into parts that may need each other's results, as text and back.

    #1: 7 * 12
    #2: How many rolls are left of #1 if 30 are sold?

A worked solution is a division, too: each of its lines `trays: 7 * 12 = 84` is a part, a number in it that an earlier
line came to stands for that line's result, and its own results are forgotten, to be found anew.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Self

from ..equivalence.rationals import as_tex
from ..markup import visible

MOST_PARTS = 32
"""A plan of more parts is none."""
LONGEST = 200
"""Characters of a calculation that is computed, and of a result that is put into another part."""

_PART = re.compile(r"^[ \t]*#(\d{1,3})\s*:[ \t]*(\S[^\n]*)$", re.MULTILINE)
_RESULT = re.compile(r"^#(\d{1,3}) = ([^\n]+)$", re.MULTILINE)
_REFERENCE = re.compile(r"#(\d{1,3})(?!\d)")
_WORKED = re.compile(r"^(?:[^:#\n]{0,60}:\s*)?(\d+) ([-+*/]) (\d+) = (\d+)\s*$", re.MULTILINE)
_BARE = re.compile(r"[\d\s.+\-*/()]*\d[\d\s.+\-*/()]*")
_PLAIN = re.compile(r"\d+(?:\.\d+)?")
_OPERATIONS: Mapping[type[ast.AST], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Division:
    """Parts by their numbers, and the results that are known."""

    parts: Mapping[int, str]
    """In the order in which they stand."""
    results: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str, *, results: bool = False) -> Self | None:
        """The plan that a text holds, in the form above or as a worked solution; None where it holds none.

        Args:
            text: thinking in it is passed over.
            results: whether lines `#1 = 84` are results; those of a plan that somebody has just made are not.
        """
        shown = visible(text)
        lines = [(int(number), part.rstrip(" \t")) for number, part in _PART.findall(shown)]
        parts = dict(lines) if lines else _parts_worked(shown)
        known = {int(number): value for number, value in _RESULT.findall(shown)} if results else {}
        plan = cls(parts, known)
        wrong = len(parts) < len(lines) or not 1 <= len(parts) <= MOST_PARTS or not plan._can_end()
        return None if wrong else plan

    def _can_end(self) -> bool:
        """Whether each part needs only parts that there are, and none needs itself in the end."""
        done: set[int] = set()
        while ready := {n for n, part in self.parts.items() if n not in done and _needs(part) <= done}:
            done |= ready
        return len(done) == len(self.parts)

    @property
    def answer(self) -> str | None:
        """The result of the last part; None while it is not known."""
        return self.results.get(list(self.parts)[-1])

    def with_results(self, more: Mapping[int, str]) -> Self:
        return replace(self, results={**self.results, **more})

    def computed(self) -> Self:
        """With the results of all calculations that can be made now."""
        plan = self
        while more := {n: value for n, part in plan.ready().items() if (value := compute(part)) is not None}:
            plan = plan.with_results(more)
        return plan

    def ready(self) -> dict[int, str]:
        """The parts without a result of which all that they need is known, with those results in their places."""
        return {
            number: _REFERENCE.sub(lambda found: _inserted(self.results[int(found[1])]), part)
            for number, part in self.parts.items()
            if number not in self.results and _needs(part) <= self.results.keys()
        }

    def __str__(self) -> str:
        lines = [f"#{number}: {part}" for number, part in self.parts.items()]
        lines += [f"#{number} = {self.results[number]}" for number in self.parts if number in self.results]
        return "\n".join([*lines, *([] if self.answer is None else [f"Answer: {self.answer}"])])


def _needs(part: str) -> set[int]:
    return {int(number) for number in _REFERENCE.findall(part)}


def _inserted(result: str) -> str:
    """A result as it stands in another part: what is more than a number in brackets, where it is a calculation."""
    return f"({result})" if compute(result) is not None and not _PLAIN.fullmatch(result) else result


def _parts_worked(text: str) -> dict[int, str]:
    """The lines of a worked solution as parts."""
    parts: dict[int, str] = {}
    stated: dict[str, int] = {}
    for number, (a, operation, b, result) in enumerate(_WORKED.findall(text), 1):
        first, second = (f"#{stated[operand]}" if operand in stated else operand for operand in (a, b))
        parts[number] = f"{first} {operation} {second}"
        stated[result] = number
    return parts


def compute(part: str) -> str | None:
    """The value of a bare calculation with + - * / and brackets, exactly; None for anything else."""
    text = part.strip().rstrip("=?. ").replace("×", "*").replace("÷", "/").replace("−", "-")
    if len(text) > LONGEST or not _BARE.fullmatch(text) or "**" in text or "//" in text:
        return None
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body)
        told = str(value) if "frac" in as_tex(value) else as_tex(value)
        return told if len(told) <= LONGEST else None
    except (SyntaxError, ValueError, ArithmeticError, RecursionError):
        return None


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Fraction(str(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left), _value(right))
    raise ValueError(ast.dump(node))
