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
from dataclasses import replace
from functools import lru_cache

from quorate.aggregators.markup import tidy

from .notation import normalize_tex, strip_spaces
from .quantities import TEXT, Key, Kind, parse_place, parse_quantity, read_scale
from .rationals import parse_rational
from .units import describe

__all__ = ["MAX_LENGTH", "Key", "key_of"]

MAX_LENGTH = 300
"""A longer answer is compared as text."""

_TAIL = re.compile(r"(.*[0-9A-Za-z})])\s*\\(?:text|mathrm|mbox|textrm)\s*\{([^{}]*)\}\s*(\^\{?-?[0-9]\}?)?", re.DOTALL)
_PLAIN_TAIL = re.compile(r"(.*\\.*[})0-9])\s*([A-Za-z]{2,}.{0,30}|(?<=\s)[mgshlLNJWVAK](?:\s*[/^].{0,30})?)")
_NAMED = re.compile(
    r"(\\angle\s*[A-Z]{1,3}|\\?[A-Za-z]+(?:_\{?[A-Za-z0-9]+\}?)?|[A-Za-z]\([a-z]\)|\([a-z](?:,\s*[a-z]){1,3}\)"
    r"|[A-Za-z]{3,}(?: [A-Za-z]+){1,2})\s*(?:=|\\in(?![a-z])|\\approx)\s*([^=]+)"
)
_HEDGE = re.compile(r"(?:approximately|about|roughly|around|\\approx)\s*(?=[-$\\0-9])", re.IGNORECASE)
_FILLER = re.compile(
    r"(?:(?:there (?:are|is|were|will be)|(?:it|he|she|this|that) (?:is|has|was)|they (?:are|have)"
    r"|the (?:answer|total|result|value|sum|number)(?: of [a-z ]{1,40})? (?:is|was)"
    r"|exactly|a total of|only)\s+)+(?=[-$\\0-9A-Za-z])",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"(?:the|an?)\s+(?=[A-Za-z]{2})", re.IGNORECASE)
_CHOICE = re.compile(
    r"(?:option|choice)\s+\(?([A-J])\)?\.?|\(([A-J])\)\s*\S.*|([A-J])[).]\s+\S.*", re.IGNORECASE | re.DOTALL
)
_FUNCTIONS = {"sqrt", "sin", "cos", "tan", "sec", "csc", "cot", "log", "exp", "mod", "arcsin", "arccos", "arctan"}
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_ADJACENT_WORDS = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,} (?!mod)[A-Za-z]{2,}(?![A-Za-z])")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{[A-Za-z]+\}")
_NO_EXPRESSION = re.compile(
    r"(?<![_^0-9])[0-9]+ [0-9]|'|[0-9] mod [0-9]|^[0-9]{1,4}([/-])[0-9]{1,2}\1[0-9]{1,4}$"
    r"|[0-9]\s*(?:\\[lc]?dots|\.\.\.|…)|arrow(?![a-z])"
)
_DELIMITED = re.compile(r"\A\$([^$]*[\\^][^$]*)\$\s*([^$]+)\Z")
"""A formula between dollar signs, with its unit behind it."""
_COMPUTED = re.compile(r"(?:[-+*/^(){}0-9.,\s!]|\\(?:times|cdot|frac|sqrt|div|binom))+")
_RANGE = re.compile(r"[0-9.]+-[0-9.]+(?:\s*[A-Za-z]+)?")
_SEPARATOR = re.compile(r"\s*,\s*(?:and|or)\s+|\s*;\s*|\s+(?:and|or)\s+", re.IGNORECASE)
_END = r"[-+]?(?:[0-9]+(?:\.[0-9]+)?(?:/[0-9]+)?|\\frac\{[^{}]*\}\{[^{}]*\}|\\infty)"
_ORDER = r"(<|>|\\le(?![a-z])|\\ge(?![a-z]))"
_ABOVE = re.compile(rf"([a-z])\s*{_ORDER}\s*({_END})")
_BELOW = re.compile(rf"({_END})\s*{_ORDER}\s*([a-z])")
_BETWEEN = re.compile(rf"({_END})\s*{_ORDER}\s*([a-z])\s*{_ORDER}\s*({_END})")
_BUILDER = re.compile(r"\\\{\s*([a-z])\s*(?:\\in\s*\\mathbb\{R\}\s*)?[:|]\s*(.*)\\\}", re.DOTALL)
_MIRRORED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
_PHRASES = {
    r"\emptyset": r"\{\} \emptyset emptyset theemptyset nullset nosolution nosolutions norealsolution norealsolutions"
    " therearenosolutions thereisnosolution",
    r"(-\infty,\infty)": r"\mathbb{R} allrealnumbers allreals therealnumbers realnumbers"
    r" (-\infty,\infty) (-\infty,+\infty)",
    "doesnotexist": "dne doesnotexist thelimitdoesnotexist itdoesnotexist",
    r"\infty": r"\infty +\infty positiveinfinity",
    r"-\infty": r"-\infty negativeinfinity",
}
_MEANINGS = {phrase: meaning for meaning, phrases in _PHRASES.items() for phrase in phrases.split()}
"""Phrases of one meaning, without case and spaces."""


def key_of(answer: str) -> Key:
    """The key of an answer as an extractor found it."""
    if len(answer) > MAX_LENGTH:
        return Key("".join(answer.split()).casefold(), kind="words")
    return _key(answer)


@lru_cache(maxsize=8192)
def _key(answer: str) -> Key:
    text = tidy(answer)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    text = normalize_tex(_DELIMITED.sub(r"\1 \2", text))
    *sides, last = text.split("=")
    if sides and all(_COMPUTED.fullmatch(side) for side in sides):
        text = last.strip()  # 2 + 2 = 4
    named = _NAMED.fullmatch(text)
    if named is None or ("," in named[1] and not named[2].startswith("(")):
        return _parse_value(text, latex=text)
    name = "y" if re.fullmatch(r"[A-Za-z]\([a-z]\)", named[1]) else strip_spaces(named[1])
    key = _parse_value(named[2])
    return replace(key, name=name, latex=key.latex if key.kind == "exact" else text)


def _parse_value(text: str, latex: str = "") -> Key:
    """The key of what is no assignment."""
    text = tidy(_FILLER.sub("", _HEDGE.sub("", text.strip())))
    for parse in (
        _parse_phrase,
        parse_place,
        parse_quantity,
        _parse_bounds,
        _parse_list,
        _parse_brackets,
        _parse_matrix,
    ):
        if (key := parse(text)) is not None:
            return key if key.latex else replace(key, latex=latex or text)
    if (key := _parse_tail(text)) is not None:
        return key
    plain = TEXT.sub(r" \1 ", text)
    if re.search(
        r"[0-9\\=+^_<>*/|{}]|(?<![A-Za-z])[A-Za-z] ?- ?\(*[A-Za-z](?![A-Za-z])|^-[A-Za-z]", plain
    ) and not _is_prose(plain):
        value = strip_spaces(tidy(plain)).removeprefix("+").replace(r"+\infty", r"\infty")
        text_only = _NO_EXPRESSION.search(plain) or _RANGE.fullmatch(plain)
        return Key(value, kind="words" if text_only else "maths", latex=latex or text, reading=read_scale(plain))
    is_product = text in ("e", "i") or (re.fullmatch(r"[a-z] ?[a-z]", text) and not set(text) & set("eiou"))
    words = "".join(_ARTICLE.sub("", plain.strip(), count=1).split()).casefold()
    return Key(words, kind="maths" if is_product else "words", latex=latex or text)


def _is_prose(text: str) -> bool:
    """Two words or more that are no functions: no algebra will help, and a parser would read a part."""
    if _ADJACENT_WORDS.search(text):
        return True
    words = [word for word in _WORD.findall(_ENVIRONMENT.sub("", text)) if word.lower() not in _FUNCTIONS]
    return len(words) > 1


def _parse_phrase(text: str) -> Key | None:
    """Words with a fixed meaning, such as `no solution`, and a letter with its option."""
    if choice := _CHOICE.fullmatch(TEXT.sub(r" \1 ", text).strip()):
        return Key((choice[1] or choice[2] or choice[3]).casefold(), kind="words")
    plain = "".join(TEXT.sub(r"\1", text).split())
    meaning = _MEANINGS.get(plain) or _MEANINGS.get(plain.casefold())
    return None if meaning is None else Key(meaning, kind="words" if meaning == "doesnotexist" else "exact")


def _parse_tail(text: str) -> Key | None:
    r"""An expression with words or a unit behind it: `2\sqrt{3}\text{ cm}`."""
    if tail := _TAIL.fullmatch(text):
        described = describe(tail[2] + (tail[3] or ""))
        return None if described is None else _parse_value(tail[1]).described_by(described)
    if tail := _PLAIN_TAIL.fullmatch(text):
        described = describe(tail[2])
        return _parse_value(tail[1]).described_by(described) if described is not None and described.unit else None
    return None


def _parse_bounds(text: str) -> Key | None:
    """One bound of a variable, or two, as the interval that they mean."""
    if builder := _BUILDER.fullmatch(text):
        key = _parse_bounds(builder[2].strip())
        return key if key is not None and key.name == builder[1] else None
    if match := _BETWEEN.fullmatch(text):
        low, first, name, second, high = match.groups()
        if (first in (">", r"\ge")) != (second in (">", r"\ge")):
            return None
        if first in (">", r"\ge"):
            low, first, second, high = high, second, first, low
    elif match := _ABOVE.fullmatch(text) or _BELOW.fullmatch(text):
        name, first, end = match.groups() if match.re is _ABOVE else (match[3], _MIRRORED[match[2]], match[1])
        low, high, second = (end, r"\infty", first) if first in (">", r"\ge") else (r"-\infty", end, first)
    else:
        return None
    opening = "[" if first in (r"\le", r"\ge") and "infty" not in low else "("
    closing = "]" if second in (r"\le", r"\ge") and "infty" not in high else ")"
    key = _collect([low, high], opening, closing)
    return None if key is None else replace(key, name=name)


def _parse_list(text: str) -> Key | None:
    r"""A list without brackets, or a set: `1, 2 and 3`, `\{1, 2\}`, `\pm 3`; its order means nothing."""
    if text.startswith(r"\{") and text.endswith(r"\}") and text.count(r"\{") == 1:
        parts = _elements(text[2:-2])
        if len(parts) > 1 or not parts[0]:
            return _collect(parts, "{", "}")
        only = _parse_value(parts[0])
        return Key(r"{\emptyset}", kind="exact") if only.value == r"\emptyset" else only
    if match := re.fullmatch(r"\\pm\s*(.+)", text):
        text = f"{match[1]}, -{match[1]}" if parse_rational(match[1]) is not None else text
    parts = _elements(text)
    return _collect(parts, "{", "}") if len(parts) > 1 and all(parts) else None


def _parse_brackets(text: str) -> Key | None:
    r"""A tuple, interval, vector or union of intervals, in its order."""
    text = re.sub(r"(?<=[)\]])\s+U\s+(?=[(\[])", r"\\cup ", text)
    parts = [part.strip() for part in text.split(r"\cup")]
    if len(parts) > 1 and all(part and not part.startswith(r"\{") for part in parts):
        return _unite([_parse_value(part) for part in parts])
    if open_ended := re.fullmatch(r"([\[\]])([^\[\]()]*)([\[\]])", text):
        text = f"{'(' if open_ended[1] == ']' else '['}{open_ended[2]}{')' if open_ended[3] == '[' else ']'}"
    if len(text) < 3 or text[0] not in "([" or text[-1] not in ")]" or not _is_one_bracket(text):
        return None
    parts = _elements(text[1:-1])
    if text.startswith("[") and len(parts) > 1 and all(re.fullmatch(r"\[[^\[\]]*\]", part) for part in parts):
        return _fill_matrix([_elements(part[1:-1]) for part in parts])
    if len(parts) == 1:
        return _parse_value(parts[0]) if text[0] == "(" and text[-1] == ")" else None
    return _collect(parts, text[0], text[-1])


def _parse_matrix(text: str) -> Key | None:
    r"""A matrix or column of numbers and expressions, row by row."""
    match = re.fullmatch(r"\\begin\{pmatrix\}(.*)\\end\{pmatrix\}", text, re.DOTALL)
    if match is None or r"\begin" in match[1]:
        return None
    return _fill_matrix([row.split("&") for row in match[1].split(r"\\") if row.strip()])


def _fill_matrix(texts: Sequence[Sequence[str]]) -> Key:
    rows = [[_parse_value(cell) for cell in row] for row in texts]
    value = ";".join("&".join(cell.value for cell in row) for row in rows)
    return Key(f"matrix({value})", kind=_common_kind([cell for row in rows for cell in row]))


def _unite(keys: Sequence[Key]) -> Key | None:
    """A union of intervals, in any order; those of one variable are intervals for it."""
    if any(key.kind == "words" for key in keys):
        return None
    names = {key.name for key in keys}
    value = r"\cup ".join(sorted(key.value for key in keys))
    return Key(value, name=names.pop() if len(names) == 1 else "", latex=value)


def _collect(parts: Sequence[str], opening: str, closing: str) -> Key | None:
    if any(re.match(r"-?0[0-9]", part) for part in parts):
        return None
    keys = [_key(part) for part in parts]
    if opening == "{" and all(_INTERVAL.fullmatch(key.value) and key.name for key in keys):
        return _unite(keys)  # x < 1 or x > 3
    names, units = {key.name for key in keys}, {(key.unit, key.sense) for key in keys}
    name = names.pop() if len(names) == 1 and opening == "{" else ""
    unit, sense = units.pop() if len(units) == 1 else ("", "")
    values = [f"{key.name}={key.value}" if key.name and not name else key.value for key in keys]
    if units:
        values = [" ".join(filter(None, (value, key.unit, key.sense))) for value, key in zip(values, keys, strict=True)]
    if opening == "{":
        values = sorted(set(values))
    return Key(f"{opening}{','.join(values)}{closing}", unit, name, _common_kind(keys), sense=sense)


def _common_kind(keys: Sequence[Key]) -> Kind:
    kinds: set[Kind] = {key.kind if key.value not in _INFINITE else "exact" for key in keys}
    return kinds.pop() if len(kinds) == 1 else "maths"


_INTERVAL = re.compile(r"[(\[][^,]*,[^,]*[)\]]")
_INFINITE = {r"\infty", r"-\infty"}


def _elements(text: str) -> list[str]:
    """The elements of a list: split at `and`, `or`, `;`, and at commas outside brackets."""
    text = _SEPARATOR.sub(", ", TEXT.sub(lambda m: f" {m[1]} " if m[1].strip() in ("and", "or") else m[0], text))
    spaced = _split(text, ", ")
    if len(spaced) == 1 or any(
        "," in part and parse_rational(part.strip(" $")) is None for part in map(_outside_brackets, spaced)
    ):
        spaced = _split(text, ",")
    return [part.strip() for part in spaced]


def _outside_brackets(text: str) -> str:
    """The text without what stands in brackets."""
    return "".join(c for c, depth in zip(text, _depths(text), strict=True) if not depth)


def _is_one_bracket(text: str) -> bool:
    """Whether the first bracket closes at the end: not so in `(x-1)(x+1)`."""
    return all(
        depth > 1 or character not in ")]}" for character, depth in list(zip(text, _depths(text), strict=True))[:-1]
    )


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
