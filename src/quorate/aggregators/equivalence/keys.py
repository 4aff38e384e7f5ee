r"""Canonical keys: what an answer says, so that most equivalences need no algebra.

A key has a value and what the answer says about the value: its unit and the name it is assigned to.
Values are compared exactly: numbers as fractions; intervals, tuples and matrices element by element
in order; lists and sets without order; words without case and spaces; the rest as TeX without spaces.

Commas: `1,000` is a thousand, `1, 000` and everything inside brackets is a list; inside brackets an
element like `000` could be half of a thousand, so that one is left as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from quorate.aggregators.markup import tidy

from .notation import CURRENCY, SCALES, normalize_tex, strip_spaces, unit_of
from .rationals import parse_rational

__all__ = ["MAX_LENGTH", "Key", "key_of"]

MAX_LENGTH = 300
"""A longer answer is compared as text."""

Kind = Literal["exact", "words", "maths"]


@dataclass(frozen=True, order=True)
class Key:
    """What an answer says; equal keys mean equivalent answers."""

    value: str
    unit: str = ""
    """Unit of measurement, `%`, a currency; "" where none is given."""
    name: str = ""
    """What the value is said to be: the `x` of `x = 5`."""
    kind: Kind = "maths"
    """`exact` values (numbers and lists of them) and words need no algebra to be told apart."""
    latex: str = ""
    """What a computer algebra system may be asked about."""

    @property
    def number(self) -> Fraction | None:
        """The value, where it is a number."""
        return Fraction(self.value) if self.kind == "exact" and _NUMBER_VALUE.fullmatch(self.value) else None


_NUMBER_VALUE = re.compile(r"-?[0-9]+(?:/[0-9]+)?")
_TEXT = re.compile(r"\\(?:text(?:bf|it|rm|normal)?|math(?:rm|bf|it|sf)|mbox|operatorname|boxed)\s*\{([^{}]*)\}")
_TAIL = re.compile(r"(.*[0-9A-Za-z})])\s*\\(?:text|mathrm|mbox|textrm)\s*\{([^{}]*)\}\s*(\^\{?-?[0-9]\}?)?", re.DOTALL)
_NAMED = re.compile(r"([A-Za-z](?:_[A-Za-z0-9])?|[A-Za-z]\([a-z]\))\s*(?:=|\\in(?![a-z])|\\approx)\s*([^=]+)")
_HEDGE = re.compile(r"(?:approximately|about|roughly|around|\\approx)\s*(?=[-$\\0-9])", re.IGNORECASE)
_BASE = re.compile(r"([0-9]+)_\{?([0-9]+)\}?")
_LEADING_NUMBER = re.compile(
    r"[-+]?\s*(?:[0-9]+\s*\\frac\s*\{[0-9]+\}\s*\{[0-9]+\}|[0-9]+\s+[0-9]+/[0-9]+|\\frac\s*\{[-+]?[0-9.]+\}\s*\{[0-9.]+\}"
    r"|[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+/[0-9]+|[0-9]*\.?[0-9]+)(?:\s*(?:\\times|\\cdot)\s*10\s*\^\s*(?:\{[-+]?[0-9]+\}|[-+]?[0-9]+))?"
)
_FUNCTIONS = {"sqrt", "sin", "cos", "tan", "sec", "csc", "cot", "log", "exp", "mod", "arcsin", "arccos", "arctan"}
_NOT_UNITS = {"pi", "ln", "and", "or", "to", "choose", "factorial", *_FUNCTIONS}
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_SHORT_UNITS = {"m", "g", "s", "h", "l", "L"}
_SEPARATOR = re.compile(r"\s*,\s*(?:and|or)\s+|\s*;\s*|\s+(?:and|or)\s+", re.IGNORECASE)


def key_of(answer: str) -> Key:
    """The key of an answer as an extractor found it."""
    if len(answer) > MAX_LENGTH:
        return Key("".join(answer.split()).casefold(), kind="words")
    return _key(answer)


@lru_cache(maxsize=8192)
def _key(answer: str) -> Key:
    text = normalize_tex(tidy(answer).strip("\"'"))
    named = _NAMED.fullmatch(text)
    if named is None:
        return _parse_value(text, latex=text)
    name = "y" if named[1][1:2] == "(" else named[1]
    key = _parse_value(named[2], latex=text)
    return Key(key.value, key.unit, name, key.kind, text)


def _parse_value(text: str, latex: str = "") -> Key:
    """The key of what is no assignment."""
    text = tidy(_HEDGE.sub("", text.strip()))
    for read in (_parse_quantity, _parse_list, _parse_brackets, _parse_matrix):
        if (key := read(text)) is not None:
            return Key(key.value, key.unit, key.name, key.kind, latex or text)
    if tail := _TAIL.fullmatch(text):
        key = _parse_value(tail[1])
        return Key(key.value, unit_of(tail[2] + (tail[3] or "")), key.name, key.kind, key.latex)
    plain = _TEXT.sub(r" \1 ", text)
    if re.search(r"[0-9\\=+^_<>*/|{}]", plain) and not _is_prose(plain):
        value = strip_spaces(tidy(plain)).removeprefix("+").replace(r"+\infty", r"\infty")
        return Key(value, latex=latex or text)
    return Key("".join(plain.split()).casefold(), kind="words", latex=latex or text)


def _is_prose(text: str) -> bool:
    """Two words or more that are no functions: no algebra will help, and math-verify would read a part."""
    words = [word for word in _WORD.findall(text) if word.lower() not in _FUNCTIONS]
    return len(words) > 1


def _parse_quantity(text: str) -> Key | None:
    """A number with whatever stands around it: currency, unit, per cent, base."""
    if base := _BASE.fullmatch(text):
        return Key(str(int(base[1])), f"base {base[2]}", kind="exact") if len(base[1]) < 100 else None
    sign, currency, rest = _currency(text)
    rest = _TEXT.sub(r" \1 ", rest).strip()
    if (value := parse_rational(rest)) is not None:
        return Key(str(sign * value), currency, kind="exact")
    number = _LEADING_NUMBER.match(rest)
    value = parse_rational(number[0]) if number else None
    if number is None or value is None:
        return None
    scale, words = _scale(rest[number.end() :])
    unit = _unit(words) if words else ""
    return None if unit is None else Key(str(sign * value * scale), currency or unit, kind="exact")


def _currency(text: str) -> tuple[int, str, str]:
    """Sign, currency and the rest of `-$5`."""
    match = re.match(r"([-+]?)\s*([$€£¥₹])\s*(?=[-+.0-9\\])", text)
    if match is None:
        return 1, "", text
    return -1 if match[1] == "-" else 1, CURRENCY[match[2]], text[match.end() :].rstrip("$")


def _scale(words: str) -> tuple[int, str]:
    match = re.match(r"\s*([A-Za-z]+)\b(.*)", words)
    scale = SCALES.get(match[1].lower()) if match else None
    return (scale, match[2].strip()) if match and scale else (1, words)


def _unit(words: str) -> str | None:
    """The unit that words behind a number mean, "" for decoration; None if they are more than words."""
    if re.search(r"[0-9\\=+<>|(){}\[\],]", re.sub(r"\^\{?-?[123]\}?|\^\\circ", "", words)):
        return None
    first = re.match(r"\s*([A-Za-z]+)", words)
    if first is None:
        return unit_of(words) if re.fullmatch(r"\s*(?:%|¢|\^\\circ|\$)\s*[CF]?\s*", words) else None
    if len(first[1]) == 1 and not (words[0].isspace() and first[1] in _SHORT_UNITS):
        return None
    return None if first[1].lower() in _NOT_UNITS else unit_of(words)


def _parse_list(text: str) -> Key | None:
    r"""A list without brackets, or a set: `1, 2 and 3`, `\{1, 2\}`, `\pm 3`; its order means nothing."""
    if text.startswith(r"\{") and text.endswith(r"\}") and text.count(r"\{") == 1:
        parts = _elements(text[2:-2])
        return _parse_value(parts[0]) if len(parts) == 1 and parts[0] else _collect(parts, "{", "}")
    if match := re.fullmatch(r"\\pm\s*(.+)", text):
        text = f"{match[1]}, -{match[1]}" if parse_rational(match[1]) is not None else text
    parts = _elements(text)
    return _collect(parts, "{", "}") if len(parts) > 1 and all(parts) else None


def _parse_brackets(text: str) -> Key | None:
    r"""A tuple, interval, vector or union of intervals, in its order."""
    parts = [part.strip() for part in text.split(r"\cup")]
    if len(parts) > 1 and all(parts):
        keys = sorted(_parse_value(part) for part in parts)
        return Key(r"\cup".join(key.value for key in keys), kind=_common_kind(keys))
    if len(text) < 3 or text[0] not in "([" or text[-1] not in ")]" or 0 in _depths(text):
        return None
    parts = _elements(text[1:-1])
    if len(parts) == 1:
        return _parse_value(parts[0]) if text[0] == "(" and text[-1] == ")" else None
    return _collect(parts, text[0], text[-1])


def _parse_matrix(text: str) -> Key | None:
    r"""A matrix or column of numbers and expressions, row by row."""
    match = re.fullmatch(r"\\begin\{pmatrix\}(.*)\\end\{pmatrix\}", text, re.DOTALL)
    if match is None or r"\begin" in match[1]:
        return None
    rows = [[_parse_value(cell) for cell in row.split("&")] for row in match[1].split(r"\\") if row.strip()]
    value = ";".join("&".join(cell.value for cell in row) for row in rows)
    return Key(f"matrix({value})", kind=_common_kind([cell for row in rows for cell in row]))


def _collect(parts: Sequence[str], opening: str, closing: str) -> Key | None:
    if any(re.match(r"-?0[0-9]", part) for part in parts):
        return None
    keys = [_key(part) for part in parts]
    names = {key.name for key in keys}
    name = names.pop() if len(names) == 1 and opening == "{" else ""
    values = [f"{key.name}={key.value}" if key.name and not name else key.value for key in keys]
    if opening == "{":
        values = sorted(set(values))
    return Key(f"{opening}{','.join(values)}{closing}", name=name, kind=_common_kind(keys))


def _common_kind(keys: Sequence[Key]) -> Kind:
    kinds: set[Kind] = {key.kind if key.value not in _INFINITE else "exact" for key in keys}
    return kinds.pop() if len(kinds) == 1 else "maths"


_INFINITE = {r"\infty", r"-\infty"}


def _elements(text: str) -> list[str]:
    """The elements of a list: split at `and`, `or`, `;`, and at commas outside brackets."""
    text = _SEPARATOR.sub(", ", _TEXT.sub(lambda m: f" {m[1]} " if m[1].strip() in ("and", "or") else m[0], text))
    spaced = _split(text, ", ")
    if len(spaced) == 1 or any(
        "," in part and parse_rational(part.strip(" $")) is None for part in map(_outside_brackets, spaced)
    ):
        spaced = _split(text, ",")
    return [part.strip() for part in spaced]


def _outside_brackets(text: str) -> str:
    """The text without what stands in brackets."""
    return "".join(c for c, depth in zip(text, _depths(text), strict=True) if not depth)


def _split(text: str, separator: str) -> list[str]:
    """The parts between separators outside brackets."""
    parts, start = [], 0
    for position, depth in enumerate(_depths(text)):
        if depth == 0 and text.startswith(separator, position):
            parts.append(text[start:position])
            start = position + len(separator)
    return [*parts, text[start:]]


def _depths(text: str) -> Iterator[int]:
    """For each character in how many brackets it stands; a half-open interval's are brackets too."""
    depth = 0
    for character in text:
        depth += character in "([{"
        yield depth
        depth -= character in ")]}"
