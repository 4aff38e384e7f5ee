r"""The small extractors: a box, `#### x`, "the answer is x", a letter of multiple choice, the last number."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Extractor

from ..markup import tidy, visible

__all__ = ["Boxed", "Choices", "Finder", "FirstOf", "Hashes", "LastNumber", "LoneLetter", "Phrase"]

NUMBER = re.compile(
    r"""(?<![A-Za-z0-9_^.]) (?<!\^\{) (?<![0-9],)          # not inside a word, an exponent or a number
        (?: (?<![\w)\]}]) [-−] \s? )?+ [$€£¥]?+ (?: (?<=[$€£¥]) [-−] )?+
        (?: -?+ \\[dt]?frac \s?+ \{ -?+[0-9]++ \} \{ [0-9]++ \}
          | [0-9]{1,3} (?: ,[0-9]{3}(?![0-9]) )++ (?: \.[0-9]++ )?+
          | [0-9]++ (?: \.[0-9]++ | (?: :[0-9]++ )++ | \s?+/\s?+[0-9]++ )?+
          | \.[0-9]++
        )
        (?: [eE][-+]?+[0-9]++
          | \s?+ (?: \\times | × | \* ) \s?+ 10 \s?+ \^ (?: \{[-+−]?+[0-9]++\} | [-+−]?+[0-9]++ )
        )?+
        (?: \s?+\\?+% )?+
    """,
    re.VERBOSE,
)
"""A number as people write it: signs, thousands, decimals, fractions, powers of ten, per cent, clock times."""


class Finder(ABC):
    """Base of the small extractors: give it `find`, it is an `Extractor`."""

    def extract(self, text: str) -> str | None:
        """The answer, tidied; None (an abstention) where there is none or it is empty."""
        found = self.find(visible(text))
        return (tidy(found) or None) if found is not None else None

    @abstractmethod
    def find(self, text: str) -> str | None:
        """The answer as it stands in a text without thinking."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class FirstOf:
    """The first of several extractors that finds something: `FirstOf(Boxed(), LastNumber())`."""

    def __init__(self, *extractors: Extractor) -> None:
        if not extractors:
            raise BadInput("FirstOf() needs at least one extractor")
        self.extractors = extractors

    def extract(self, text: str) -> str | None:
        """The first finding in the order of the extractors, not in that of the text."""
        return next((found for e in self.extractors if (found := e.extract(text))), None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.extractors))})"


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
        return content if content is not None else self._find_bare(text)

    def _find_bare(self, text: str) -> str | None:
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
        return (strip_separators(match[0]) for match in NUMBER.finditer(value))


class LastNumber(Finder):
    """The last number, without thousands separators and currency; a fraction or a percentage is one number."""

    def find(self, text: str) -> str | None:
        last = None
        for match in NUMBER.finditer(text):
            last = match
        return strip_separators(last[0]) if last else None


def strip_separators(number: str) -> str:
    """The number without thousands separators, currency and spaces."""
    return re.sub(r"(?<=[0-9]),(?=[0-9])|[$€£¥\s]", "", number).replace("−", "-").replace("\\%", "%")


class LoneLetter(Finder):
    """A last line that is nothing but one capital letter: `B`, `(B)`, `**B.**`."""

    _line = re.compile(r"[\s*_`$(]*+(?:\\text\s*\{)?\(?([A-Z])[\s*_`$).}]*+")

    def find(self, text: str) -> str | None:
        line = text.rstrip()[-40:].rpartition("\n")[2]
        match = self._line.fullmatch(line)
        return match[1] if match else None


class Choices(Finder):
    r"""The letter of multiple choice that a text settles on, in the case it was configured in.

    Looked for, in this order: in the last box, behind "the answer is", after "option" or "choice",
    in brackets or emphasis, at the beginning of the last line. A bare letter inside a sentence does
    not count, since "A" is a word.

    Args:
        letters: those on offer, for example "ABCD".
    """

    def __init__(self, letters: Iterable[str] = "ABCD") -> None:
        self.letters = tuple(letters)
        if not self.letters or any(len(letter) != 1 or not letter.isalnum() for letter in self.letters):
            raise BadInput(f"Choices({''.join(self.letters)!r}): give single letters or digits, such as 'ABCD'")
        one = f"([{''.join(map(re.escape, self.letters))}])"
        self._leading = re.compile(rf"[\s*_`$(\[{{\\]*+(?:(?:option|choice)\s++\(?)?{one}(?![\w'’]|\s[a-z])", re.I)
        # The text of the option may follow, numbers included: "Answer: C) 7 metres".
        self._lettered = re.compile(rf"\banswer(?:\s++is)?+[\s:*_$]++\(?{one}[).:](?!\w)", re.I)
        self._named = re.compile(rf"\b(?:option|choice|answer)[\s:*_]++\(?{one}(?!\w)")
        self._marked = re.compile(rf"\({one}\)|\*\*\(?{one}[).:]?\*\*", re.I)
        self._line = re.compile(rf"^[ \t*_`>-]*+\(?{one}(?:[).:]|[*_`\s]*+$)")

    def find(self, text: str) -> str | None:
        for extractor in (Boxed(), Phrase()):
            if (letter := self._first(self._leading.match(self._words(extractor.find(text))))) is not None:
                return letter
        for pattern in (self._lettered, self._named, self._marked):
            last = None
            for match in pattern.finditer(text):
                last = match
            if (letter := self._first(last)) is not None:
                return letter
        return self._first(self._line.match(text.rstrip().rpartition("\n")[2]))

    def _words(self, found: str | None) -> str:
        return re.sub(r"\\(?:text|mathrm|textbf|mathbf)\s*\{", "{", tidy(found or ""))

    def _first(self, match: re.Match[str] | None) -> str | None:
        """The letter matched, spelled as configured."""
        if match is None:
            return None
        letter = next(group for group in match.groups() if group)
        exact = letter if letter in self.letters else letter.swapcase()
        return exact if exact in self.letters else None

    def __repr__(self) -> str:
        return f"Choices({''.join(self.letters)!r})"
