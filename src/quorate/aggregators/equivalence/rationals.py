"""Numbers in all their spellings, as exact fractions."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import partial

from .units import SCALES

__all__ = ["MAX_DIGITS", "agrees", "as_tex", "parse_rational", "parse_words", "with_plain_digits"]

MAX_DIGITS = 100
"""A longer number, or a larger power of ten, is compared as text: exact arithmetic would be a trap."""
_APPROXIMATE_DIGITS = 6

_DECIMAL = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?:[ ][0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
_POWER = r"(?:[eE]|\s*(?:\\times|\\cdot|[×x*·])\s*10\s*\^)\s*(?:\{\s*([-+]?[0-9]+)\s*\}|([-+]?[0-9]+))"
_SCIENTIFIC = re.compile(rf"({_DECIMAL})(?:{_POWER})?")
_POWER_OF_TEN = re.compile(r"10\s*\^\s*(?:\{\s*([-+]?[0-9]+)\s*\}|([-+]?[0-9]+))")
_FRACTION = re.compile(rf"({_DECIMAL})\s*/\s*({_DECIMAL})")
_TEX_FRACTION = re.compile(rf"\\frac\s*\{{\s*([-+]?)\s*({_DECIMAL})\s*\}}\s*\{{\s*([-+]?)\s*({_DECIMAL})\s*\}}")
_MIXED = re.compile(r"([0-9]+)(?:\s+([0-9]+)\s*/\s*([0-9]+)|\s*\\frac\s*\{\s*([0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\})")
_REPEATING = re.compile(
    r"([0-9]*)\.([0-9]*)"
    r"(?:\\(?:overline|bar|dot)\s*\{?\s*([0-9]+)\s*\}?|\(([0-9]+)\)|([0-9])\5\5+\s*(?:\.\.\.|…|\\[lc]?dots))"
)


def parse_rational(text: str) -> Fraction | None:
    r"""The value of a number: 1,000  1.8e1  -\frac{3}{4}  1 1/2  3.2\times 10^5  0.\overline{3}; else None."""
    if len(text) > MAX_DIGITS:
        return None
    text = text.strip()
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-").strip() if text[:1] in ("+", "-") and text[1:2] not in ("+", "-") else text
    if text.startswith("(") and text.endswith(")") and "," not in text:
        text = text[1:-1].strip()
    value = _parse_unsigned(text)
    return None if value is None else sign * value


def agrees(exact: Fraction, rounded: Fraction) -> bool:
    """Whether a decimal of six significant digits or more is a fraction without a finite one, rounded or cut off."""
    places = _places(rounded)
    if places is None or _places(exact) is not None:
        return False
    digits = len(str(abs(rounded.numerator * 10**places // rounded.denominator)))
    return digits >= _APPROXIMATE_DIGITS and abs(exact - rounded) < Fraction(1, 10**places)


def as_tex(value: Fraction) -> str:
    """A decimal where it ends, else a fraction."""
    places = _places(value)
    if places is None:
        return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    whole, part = divmod(abs(value.numerator) * 10**places // value.denominator, 10**places)
    return f"{'-' if value < 0 else ''}{whole}" + (f".{part:0{places}}" if places else "")


def _parse_unsigned(text: str) -> Fraction | None:
    if match := _MIXED.fullmatch(text):
        whole, top, bottom, tex_top, tex_bottom = match.groups()
        part = _ratio(top or tex_top, bottom or tex_bottom)
        return None if part is None else int(whole) + part
    if match := _FRACTION.fullmatch(text):
        return _ratio(*match.groups())
    if match := _TEX_FRACTION.fullmatch(text):
        value = _ratio(match[2], match[4])
        return -value if value is not None and (match[1] == "-") != (match[3] == "-") else value
    return _parse_decimal(text)


def _parse_decimal(text: str) -> Fraction | None:
    if match := _POWER_OF_TEN.fullmatch(text):
        return _scaled("1", match[1] or match[2])
    if match := _SCIENTIFIC.fullmatch(text):
        return _scaled(match[1], match[2] or match[3] or "0")
    if match := _REPEATING.fullmatch(text):
        return _repeating(match[1], match[2], match[3] or match[4] or match[5])
    return None


def _scaled(digits: str, exponent: str) -> Fraction | None:
    power = int(exponent)
    return _decimal(digits) * Fraction(10) ** power if abs(power) <= MAX_DIGITS else None


def _ratio(top: str, bottom: str) -> Fraction | None:
    divisor = _decimal(bottom)
    return _decimal(top) / divisor if divisor else None


def _repeating(whole: str, places: str, period: str) -> Fraction:
    start = Fraction(int(f"0{whole}{places}"), 10 ** len(places))
    return start + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(places))


def _decimal(digits: str) -> Fraction:
    plain = digits.replace(",", "").replace(" ", "")
    return Fraction(f"0{plain}0" if "." in plain else plain)


def _places(value: Fraction) -> int | None:
    """Decimal places of a finite decimal; None for one without end."""
    rest, places = value.denominator, 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest //= prime
            power += 1
        places = max(places, power)
    return places if rest == 1 else None


# Numbers of other places

_ALONE = r"(?<![0-9.,'\w])"
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_LOCAL = (
    (re.compile(rf"{_ALONE}([0-9]{{1,3}})((?:['’ʼ][0-9]{{3}})+)(?![0-9'’])"), ""),  # 12'500
    (re.compile(rf"{_ALONE}([0-9]{{1,2}})((?:,[0-9]{{2}})+,[0-9]{{3}})(?![0-9,])"), ""),  # 12,34,567
    (re.compile(rf"{_ALONE}([0-9]{{1,3}})((?:\.[0-9]{{3}})+,[0-9]+)(?![0-9.,])"), ","),  # 1.234,56
    (re.compile(rf"{_ALONE}([0-9]{{1,3}})((?:[ \u00a0\u2009\u202f][0-9]{{3}})+,[0-9]+)(?![0-9.,])"), ","),  # 1 234,5
    (re.compile(rf"{_ALONE}([0-9]{{1,3}})((?:\.[0-9]{{3}}){{2,}})(?![0-9.,])"), ""),  # 1.234.567
    (re.compile(rf"{_ALONE}(0)(,[0-9]{{2,}})(?![0-9.,])"), ","),  # 0,75
    (re.compile(rf"{_ALONE}([0-9]+)(,[0-9]{{4,}})(?![0-9.,])"), ","),  # 3,1416
    (
        re.compile(
            rf"{_ALONE}([0-9]+)(,[0-9]{{1,2}})(?=\s?(?:\\?%|[€°]|(?!and\b|or\b|y\b|et\b|und\b)[A-Za-z]{{2,}}|[mgsLl]\b))"
        ),
        ",",
    ),  # 2,5 kg
    (re.compile(r"(?<=[€£])([0-9]+)(,[0-9]{1,2})(?![0-9.,])"), ","),  # €2,50
)


def with_plain_digits(text: str) -> str:
    """The text with its numbers in ASCII digits, a point before decimals and no marks between thousands."""
    if not text.isascii():
        text = text.translate(_FULL_WIDTH)
        text = "".join(str(int(c)) if not c.isascii() and c.isdecimal() else c for c in text)
    for pattern, decimal_mark in _LOCAL:
        text = pattern.sub(partial(_plain, decimal_mark), text)
    return text


def _plain(decimal_mark: str, match: re.Match[str]) -> str:
    whole, mark, places = match[2].rpartition(decimal_mark) if decimal_mark else (match[2], "", "")
    return match[1] + re.sub(r"[^0-9]", "", whole) + ("." if mark else "") + places


# Numbers in words

_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_PARTS = ["half", "third", "quarter", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
_VALUES = {
    **{word: number for number, word in enumerate(["zero", *_ONES, *_TEENS])},
    **{word: 10 * number for number, word in enumerate(_TENS, 2)},
    "a": 1,
    "an": 1,
}
_DENOMINATORS = dict(zip(_PARTS, (2, 3, 4, 4, 5, 6, 7, 8, 9, 10), strict=True))
_BELOW = rf"(?:(?:{'|'.join(_TENS)})(?:[\s-]+(?:{'|'.join(_ONES)}))?|{'|'.join(_TEENS)}|{'|'.join(_ONES)}|zero)\b"
_GROUP = rf"(?:(?:{_BELOW}|an?)\s+(?:hundred|dozen)\b(?:\s+(?:and\s+)?{_BELOW})?|{_BELOW})"
_SCALE = r"(?:thousand|million|billion|trillion)\b"
_IN_WORDS = re.compile(
    rf"""(?P<sign>(?:minus|negative)\s+)?
         (?: (?P<half>half)\s+an?\s+(?P<of>dozen|hundred|{_SCALE})
           | (?P<number>(?:(?:{_GROUP}|an?)\s+{_SCALE}(?:,?\s+(?:and\s+)?(?={_GROUP}))?)*(?:{_GROUP})?)
             (?:(?<=[a-z])(?P<and_half>\s+and\s+an?\s+half)\b)? )""",
    re.IGNORECASE | re.VERBOSE,
)
_HALF = re.compile(
    rf"half\b(?=\s*$|\s+(?!past\b|to\b|(?:an?\s+)?(?:dozen|hundred|{_SCALE}))[a-z])(?:\s+an?\b)?", re.IGNORECASE
)
_SHARE = re.compile(
    rf"(?P<sign>(?:minus|negative)\s+)?(?P<top>{_BELOW}|an?)[\s-]+(?P<part>{'|'.join(_PARTS)}|halve)s?\b", re.IGNORECASE
)


def parse_words(text: str) -> tuple[Fraction, str] | None:
    """The number that a text begins with in words, and the rest; None where there is none.

    `twenty-one apples` is 21 and ` apples`, `two and a half` is 5/2, `three million` 3,000,000, `half an hour` 1/2
    and ` hour`.
    """
    if match := _HALF.match(text):
        return Fraction(1, 2), text[match.end() :]
    if match := _SHARE.match(text):
        value = Fraction(_whole(match["top"]), _DENOMINATORS.get(match["part"].lower(), 2))
    elif (match := _IN_WORDS.match(text)) and match["half"]:
        value = Fraction(SCALES[match["of"].lower()], 2)
    elif match and match["number"]:
        value = _whole(match["number"]) + (Fraction(1, 2) if match["and_half"] else 0)
    else:
        return None
    return (-value if match["sign"] else value), text[match.end() :]


def _whole(words: str) -> Fraction:
    total = group = 0
    for word in re.findall("[a-z]+", words.lower()):
        if word in ("hundred", "dozen"):
            group *= SCALES[word]
        elif word in SCALES:
            total, group = total + group * SCALES[word], 0
        else:
            group += _VALUES.get(word, 0)
    return Fraction(total + group)
