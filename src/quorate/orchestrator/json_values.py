"""JSON by value: one spelling for all that mean the same.

Like RFC 8785 (JSON Canonicalization Scheme), but numbers are compared as exact decimals and not as
doubles, so that 1, 1.0 and 1e0 are one while long identifiers stay apart. Keys are sorted, white space
between tokens is dropped; strings and the order of arrays are kept. Of a repeated key the last counts,
as in every common parser.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache, wraps
from typing import NamedTuple, NoReturn, TypeAlias

Json: TypeAlias = "bool | Decimal | str | Sequence[Json] | Mapping[str, Json] | None"

MAX_CHARACTERS = 200_000
"""Of a document; what is longer is no answer."""
MAX_DEPTH = 64
"""Of nesting; what is deeper is no answer."""
PLAIN_ZEROS = 20
"""A number is written without an exponent while it needs at most so many zeros."""
REMEMBERED_TEXTS = 512
REMEMBERED_CHARACTERS = 4000
"""Longer texts are read again each time, so that nobody can fill the memory with them."""


class Document(NamedTuple):
    """A JSON value in a text."""

    text: str
    """As the model spelled it."""
    value: Json
    """Numbers are decimals."""
    canonical: str


def remember_texts(function: Callable[[str], Document | None]) -> Callable[[str], Document | None]:
    """Votes are counted anew with every sample that comes, over the same texts."""
    cached = lru_cache(REMEMBERED_TEXTS)(function)

    @wraps(function)
    def cached_if_short(text: str) -> Document | None:
        return cached(text) if len(text) <= REMEMBERED_CHARACTERS else function(text)

    return cached_if_short


@remember_texts
def parse_json(text: str) -> Document | None:
    """The document that a text is; None where it is not JSON, or too long or too deep to be one of ours."""
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        value = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse)
        return Document(text, value, to_canonical(value))
    except (ValueError, ArithmeticError, RecursionError):
        return None


def to_canonical(value: Json) -> str:
    """The one spelling of a value.

    Raises:
        ValueError: it is nested too deeply.
    """
    return repair_surrogates(to_json(value, sort=True))


def to_json(value: Json, *, sort: bool = False, depth: int = 0) -> str:
    """JSON text without white space, numbers in their one spelling, keys sorted or in the value's order."""
    if depth > MAX_DEPTH:
        raise ValueError(f"JSON nested more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        keys = sorted(value) if sort else value
        items = (f"{_quote(key)}:{to_json(value[key], sort=sort, depth=depth + 1)}" for key in keys)
        return "{" + ",".join(items) + "}"
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, Sequence):
        return "[" + ",".join(to_json(item, sort=sort, depth=depth + 1) for item in value) + "]"
    return _number(value) if isinstance(value, Decimal) else json.dumps(value)


def is_whole(number: Decimal) -> bool:
    """Whether its value is an integer, as 1.0 and 1e3 are."""
    return _parts(number)[1] >= 0


def _number(number: Decimal) -> str:
    digits, exponent = _parts(number)
    sign = "-" if number.is_signed() and digits != "0" else ""
    if 0 <= exponent <= PLAIN_ZEROS:
        return sign + digits + "0" * exponent
    if -PLAIN_ZEROS <= exponent < 0:
        padded = digits.rjust(1 - exponent, "0")
        return f"{sign}{padded[:exponent]}.{padded[exponent:]}"
    return f"{sign}{digits}e{exponent}"


def _parts(number: Decimal) -> tuple[str, int]:
    """Digits without zeros at the end, and the power of ten that they are counted in."""
    _, digits, exponent = number.as_tuple()
    whole = "".join(map(str, digits))
    kept = whole.rstrip("0")
    if not kept or not isinstance(exponent, int):
        return "0", 0
    return kept, exponent + len(whole) - len(kept)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def repair_surrogates(text: str) -> str:
    """Text that UTF-8 can hold: halves of surrogate pairs, which an escape may name, are joined, lone ones replaced."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
