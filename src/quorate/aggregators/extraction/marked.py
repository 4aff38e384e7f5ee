r"""Answers behind a mark: `\boxed{x}`, `#### x`, "the answer is x"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from quorate.aggregators.markup import tidy

from .base import Finder
from .numbers import NUMBER, plain

__all__ = ["Boxed", "Hashes", "Phrase"]


class Boxed(Finder):
    r"""The last `\boxed{...}` or `\fbox{...}` that is closed and not empty; of nested ones the innermost."""

    _token = re.compile(r"\\(?:boxed|fbox)\s*+\{|\\.|[{}]", re.DOTALL)
    _bare = re.compile(rf"\\boxed\s++({NUMBER.pattern})", re.VERBOSE)

    def find(self, text: str) -> str | None:
        open_boxes: list[int | None] = []
        found, content = -1, None
        for token in self._token.finditer(text):
            if token[0] == "{":
                open_boxes.append(None)
            elif token[0].endswith("{") and len(token[0]) > 2:
                open_boxes.append(token.end())
            elif token[0] == "}" and open_boxes:
                start = open_boxes.pop()
                if start is not None and start > found and text[start : token.start()].strip():
                    found, content = start, text[start : token.start()]
        return content if content is not None else self._unbraced(text)

    def _unbraced(self, text: str) -> str | None:
        return next((match[1] for match in reversed(list(self._bare.finditer(text)))), None)


class Hashes(Finder):
    """GSM8K's `#### x`: the last one that holds a number or ends the text, since `####` also opens a heading."""

    _mark = re.compile(r"(?<!#)####(?!#)[ \t]*+([^\n]*)")
    _number = re.compile(rf"[\s$€£*(\\]*+{NUMBER.pattern}[\s*).]*+(?:[A-Za-z]++)?[\s*.]*+", re.VERBOSE)

    def find(self, text: str) -> str | None:
        found = None
        for mark in self._mark.finditer(text):
            if self._number.fullmatch(mark[1]) or (mark[1].strip() and not text[mark.end() :].strip()):
                found = mark[1]
        return found


class Phrase(Finder):
    """ "The (final) answer is x", "**Answer:** x", a heading "Final answer" with x below: the last one.

    What follows is taken up to the end of its sentence. Words that only talk about an answer ("the
    answer is correct") do not count, nor does a box, which is the business of `Boxed`. Of a longer
    sentence with one number the number is taken.
    """

    _mark = re.compile(
        r"""\b(?: answers? | correct[ ](?:option|choice) )\b
            (?: [ ](?:to|for)[ ] [^.:=\n]{1,80}? (?=[ ](?:is|are)\b) )?
            (?: [*_ \t]*+ (?: [:=] | (?:is|are|was|will[ ]be|must[ ]be|should[ ]be)\b )
                [*_ \t]*+ (?: (?:therefore|thus|then|simply|just|indeed)\b )? [*_:,\s]*+
              | [*_ \t]*+ \n \s*+ )""",
        re.IGNORECASE | re.VERBOSE,
    )
    _heading = re.compile(r"[#*_ \t]*+(?:the\s)?(?:final\s)?", re.IGNORECASE)
    _end = re.compile(r"(?<!\.)\.(?=\s|$) | ,?\s(?:because|since|as|which|so)\b", re.IGNORECASE | re.VERBOSE)
    _talk = re.compile(
        r"(?:in)?correct\b|right\b|wrong\b|not\b|below\b|above\b|as\sfollows|unclear\b|clear\b|obvious|given\sby"
        r"|found\sby|indeed\b|consistent\b|reasonable\b|verified\b|unknown\b",
        re.IGNORECASE,
    )
    _reach = 1000
    """Characters after the mark that are looked at."""

    def find(self, text: str) -> str | None:
        marks = [mark for mark in self._mark.finditer(text) if self._is_mark(text, mark)]
        values = (self._value(text[mark.end() : mark.end() + self._reach]) for mark in reversed(marks))
        return next((value for value in values if value is not None), None)

    def _is_mark(self, text: str, mark: re.Match[str]) -> bool:
        """A mark without "is" or a colon must be a heading of its own."""
        if "\n" not in mark[0] or re.search(r"[:=]|\b(?:is|are|was|be)\b", mark[0]):
            return True
        line = text[text.rfind("\n", max(0, mark.start() - 40), mark.start()) + 1 : mark.start()]
        return self._heading.fullmatch(line) is not None

    def _value(self, rest: str) -> str | None:
        for opening, closing in (("$$", "$$"), (r"\[", r"\]")):
            if rest.startswith(opening) and (end := rest.find(closing, 2)) > 0:
                return rest[2:end]
        line = rest.partition("\n")[0]
        sentence_end = self._end.search(line)
        value = tidy(line[: sentence_end.start()] if sentence_end else line)
        if not value or self._talk.match(value) or "\\boxed" in value or "\\fbox" in value:
            return None
        return self._number_of(value) or value

    def _number_of(self, value: str) -> str | None:
        """The only number in a sentence of more than three words."""
        if len(value.split()) <= 3 or "\\" in value:
            return None
        numbers = list(self._numbers(value))
        return numbers[0] if len(numbers) == 1 else None

    def _numbers(self, value: str) -> Iterator[str]:
        return (plain(match[0]) for match in NUMBER.finditer(value))
