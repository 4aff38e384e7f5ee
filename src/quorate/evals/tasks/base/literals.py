"""Answers compared as Python literals or as words: letters of options, yes and no, lists, brackets."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

from quorate.aggregators.extraction import Finder

LONGEST = 10_000
"""Characters; a longer one is not parsed."""
_OPTION = re.compile(r"\(([A-Za-z])\)(?![A-Za-z(]).*|([A-Za-z])(?:[.:)].*)?", re.DOTALL)


class TaggedLiteral(Finder):
    """What stands between the last `[ANSWER]` and `[/ANSWER]`, without the other side of `f(x) == y`.

    Args:
        after: take what follows this mark.
        before: take what precedes this mark.
    """

    _tags = re.compile(r"\[ANSWER\](.*?)(?:\[/ANSWER\]|\Z)", re.DOTALL | re.IGNORECASE)
    _assert = re.compile(r"^\s*assert (f\(.*==.*)$", re.MULTILINE)

    def __init__(self, *, after: str = "", before: str = "") -> None:
        self._after, self._before = after, before

    def extract(self, text: str) -> str | None:
        """As it stands: quotes and brackets are part of a literal, so nothing is tidied away."""
        found = self.find(text.rpartition("</think>")[2])
        return found.strip() or None if found is not None else None

    def find(self, text: str) -> str | None:
        tagged: list[str] = self._tags.findall(text) or self._assert.findall(text)
        if not tagged:
            return None
        answer = tagged[-1].strip().removeprefix("```python").strip("`").strip().removeprefix("assert ")
        if self._after and answer.startswith("f(") and self._after in answer:
            return answer[_end_of_call(answer) :].partition(self._after)[2]
        if self._before and self._before in answer and answer.startswith("f("):
            return answer[: _end_of_call(answer)]
        return answer


def literal(text: str) -> Any:
    """The value of a Python literal.

    Raises:
        ValueError: it is none, or too long or deep to be read.
    """
    if len(text) > LONGEST:
        raise ValueError("too long")
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from error


def call_of(answer: str | None) -> str | None:
    """The call `f(...)` with literals alone, in Python's own spelling; arguments without `f` are taken as one."""
    if not answer or len(answer) > LONGEST:
        return None
    for text in (answer, f"f({answer})"):
        try:
            call = ast.parse(text.strip(), mode="eval").body
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "f"):
                continue
            for value in (*call.args, *(k.value for k in call.keywords)):
                ast.literal_eval(value)
            return ast.unparse(call)
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
            continue
    return None


class SameValue:
    """Literals are equal if their values are; what is no literal is equal to the same text alone."""

    async def classes(self, answers: Sequence[str]) -> list[int]:
        keys = [_key(answer) for answer in answers]
        numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
        return [numbers[key] for key in keys]


def _key(answer: str) -> str:
    try:
        return f"value {_canonical(literal(answer))}"
    except (ValueError, RecursionError):
        return f"text {''.join(answer.split())}"


def _canonical(value: Any) -> str:
    """One spelling for all literals that Python calls equal."""
    if isinstance(value, bool | int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    if isinstance(value, dict):
        return f"{{{', '.join(sorted(f'{_canonical(k)}: {_canonical(v)}' for k, v in value.items()))}}}"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(_canonical, value)))}}}set"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(map(_canonical, value))})"
    return repr(value)


def _end_of_call(text: str) -> int:
    """Where the first call's bracket closes, brackets in strings left out; the text's end if it never does."""
    depth, quote = 0, ""
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote and text[position - 1] != "\\" else quote
        elif character in "\"'":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth == 0:
                return position + 1
    return len(text)


class SameWords:
    """Equal up to case, spacing, quotes and final stops; an option's letter counts, not what follows it."""

    async def classes(self, answers: Sequence[str]) -> list[int]:
        keys = [self.key(answer) for answer in answers]
        numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
        return [numbers[key] for key in keys]

    def key(self, answer: str) -> str:
        """What of an answer counts."""
        text = answer.strip().strip("\"'`*").strip()
        if option := _OPTION.fullmatch(text):
            return (option[1] or option[2]).casefold()
        words = text.rstrip(".").casefold().replace(",", " ").split()
        brackets = all(set(word) <= set("()[]{}<>") for word in words)
        return ("" if brackets else " ").join(words)
