r"""Keys of numbers with what stands around them: units, currency, per cent, times of day, places in an order."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd
from typing import Literal

from .rationals import as_tex, parse_rational, parse_words
from .units import CURRENCY, SCALES, Description, describe, factor_and_dimension, leading_sense

__all__ = ["TEXT", "Key", "Kind", "parse_place", "parse_quantity", "read_scale"]

Kind = Literal["exact", "words", "maths"]


@dataclass(frozen=True, order=True)
class Key:
    """What an answer says; equal keys mean equivalent answers."""

    value: str
    unit: str = ""
    """Factor and dimension of a unit of measurement, `%`, a currency (see `units`); "" where none is given."""
    name: str = ""
    """What the value is said to be: the `x` of `x = 5`."""
    kind: Kind = "maths"
    """`exact` values (numbers and lists of them) and words need no algebra to be told apart."""
    latex: str = ""
    """What a computer algebra system may be asked about."""
    sense: str = ""
    """Words that make it another quantity of the same number, such as `east`."""
    label: str = ""
    """Words for what is counted."""
    reading: str = ""
    """What it also says where nobody gives the value itself: 1/2 for 50%, in TeX."""

    @property
    def number(self) -> Fraction | None:
        """The value, where it is a number."""
        return Fraction(self.value) if self.kind == "exact" and _NUMBER_VALUE.fullmatch(self.value) else None

    def described_by(self, description: Description) -> Key:
        """The key with a unit, sense and label."""
        return replace(self, unit=description.unit, sense=description.sense, label=description.label)


TEXT = re.compile(r"\\(?:text(?:bf|it|rm|normal)?|math(?:rm|bf|it|sf)|mbox|operatorname|boxed)\s*\{([^{}]*)\}")
"""Words within TeX."""
_NUMBER_VALUE = re.compile(r"-?[0-9]+(?:/[0-9]+)?")
_BASE = re.compile(r"([0-9]+)_(?:\{?([0-9]+)\}?|\{\s*(?:\\text\s*\{)?\s*([a-z]+)\s*\}?\s*\})")
_BASES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
]
_LEADING_NUMBER = re.compile(
    r"[-+]?\s*(?:[0-9]+\s*\\frac\s*\{[0-9]+\}\s*\{[0-9]+\}|[0-9]+\s+[0-9]+/[0-9]+|\\frac\s*\{[-+]?[0-9.]+\}\s*\{[0-9.]+\}"
    r"|[0-9]*\.[0-9]*(?:\\(?:overline|bar|dot)\s*\{?[0-9]+\}?|\([0-9]+\))"
    r"|[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]{1,3}(?: [0-9]{3})+(?![0-9])|[0-9]+/[0-9]+|[0-9]*\.?[0-9]+)"
    r"(?:\s*(?:\\times|\\cdot)\s*10\s*\^\s*(?:\{[-+]?[0-9]+\}|[-+]?[0-9]+)|[eE][-+]?[0-9]+(?![A-Za-z]))?"
)
_FUNCTIONS = {"sqrt", "sin", "cos", "tan", "sec", "csc", "cot", "log", "exp", "mod", "arcsin", "arccos", "arctan"}
_NOT_UNITS = {"pi", "ln", "and", "or", "to", "choose", "factorial", "x", "if", "when", *_FUNCTIONS}
_SHORT_UNITS = set("mgshlLNJWVAKCFTM")
_SENSED = re.compile(r"(?:an?\s+)?([A-Za-z]+)\s+(?:of\s+)?([-$€£¥0-9].*)")
_CLOCK = re.compile(r"([0-9]{1,2})(?::([0-9]{2})(?::([0-9]{2}))?)?\s*(?:([ap])\.?\s?m\.?|o'clock)", re.IGNORECASE)
_TIME = re.compile(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?")
_RATIO = re.compile(r"([0-9]{1,9})\s*(?::|\\colon|to)\s*([0-9]{1,9})")
_ORDINAL = re.compile(r"([0-9]+)\s*(?:\^\{?)?\s*(?:st|nd|rd|th)\}?")
_ORDINALS = [
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]
_CURRENCY = re.compile(r"([-+]?)\s*(?:(?:US|USD)\s*(?=\$))?([$€£¥₹]|(?:USD|EUR|GBP|JPY|INR)\b)\s*(?=[-+.0-9\\])")
_CODES = {"USD": "dollar", "EUR": "euro", "GBP": "gbp", "JPY": "yen", "INR": "rupee"}
_SHORT_SCALES = {"k": 10**3, "K": 10**3, "M": 10**6, "m": 10**6, "mn": 10**6, "B": 10**9, "b": 10**9, "bn": 10**9}
_HOURS = re.compile(r"([0-9]{1,3})\s?h\s?([0-5]?[0-9])\s?(?:m|min)?")
"""`1h30`, whose minutes need no unit; matched as a whole."""
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+|\^\\circ|''|'|\")\.?\s*(?:,|and\b)?\s*")
_SCALED = re.compile(r"([0-9][0-9,.]*)([kKM])")
_MARKS = {"'": ("ft", "arcmin"), "''": ("in", "arcsec"), '"': ("in", "arcsec")}


def parse_quantity(text: str) -> Key | None:
    """A number with whatever stands around it: currency, unit, per cent, base; None for anything else."""
    if base := _BASE.fullmatch(text):
        radix = base[2] or (str(_BASES.index(base[3])) if base[3] in _BASES else "")
        return Key(str(int(base[1])), f"1 base{radix}", kind="exact") if radix and len(base[1]) < 100 else None
    if (sensed := _SENSED.fullmatch(text)) and (sense := leading_sense(sensed[1])):
        key = parse_quantity(sensed[2])
        return replace(key, sense=sense) if key is not None and not key.sense else None
    sign, currency, rest = _split_currency(text)
    rest = TEXT.sub(r" \1 ", rest).strip()
    if hours := _HOURS.fullmatch(rest):
        rest = f"{hours[1]} h {hours[2]} min"
    if (value := parse_rational(rest)) is not None:
        return _quantity(sign * value, Description(unit=currency))
    split = _split_number(rest)
    if split is None:
        return None
    scale, words = _split_scale(split[1], currency)
    if words.strip() in _MARKS:
        words = f" {_MARKS[words.strip()][0]}"
    described = _describe(words) if words.strip() else Description()
    if described is None:
        return None if currency else _parse_sum(rest)
    return _quantity(sign * split[0] * scale, replace(described, unit=currency or described.unit))


def read_scale(text: str) -> str:
    """The number that `100k` or `1.5M` may mean, in digits; "" for anything else."""
    match = _SCALED.fullmatch(text.strip())
    value = parse_rational(match[1]) if match else None
    return "" if match is None or value is None else as_tex(value * _SHORT_SCALES[match[2]])


def parse_place(text: str) -> Key | None:
    """Times of day, ratios and places in an order: `3 pm`, `2:4`, `2nd`."""
    plain = TEXT.sub(r" \1 ", text).strip()
    if (clock := _CLOCK.fullmatch(plain)) and int(clock[1]) <= 12:
        hour = int(clock[1]) % 12 + 12 * (clock[4].lower() == "p") if clock[4] else int(clock[1])
        return Key(f"{hour:02}:{clock[2] or '00'}:{clock[3] or '00'}", kind="words")
    if _TIME.fullmatch(plain):
        hour_text, _, rest = plain.partition(":")
        return Key(f"{hour_text:0>2}:{rest}{'' if ':' in rest else ':00'}", kind="words")
    if ratio := _RATIO.fullmatch(plain):
        left, right = int(ratio[1]), int(ratio[2])
        common = gcd(left, right) or 1
        return Key(f"{left // common}:{right // common}", kind="words")
    if ordinal := _ORDINAL.fullmatch(plain):
        return Key(ordinal[1].lstrip("0") or "0", sense="ordinal", kind="exact") if len(ordinal[1]) < 100 else None
    found = plain.lower() in _ORDINALS
    return Key(str(_ORDINALS.index(plain.lower())), sense="ordinal", kind="exact") if found else None


def _quantity(value: Fraction, described: Description) -> Key:
    """A number's key; a percentage and an angle have another reading as plain numbers."""
    reading = ""
    if described.unit == "1 %":
        reading = str(value / 100)
    elif described.unit == "1 degree":
        half_turns = value / 180
        reading = rf"\frac{{{half_turns.numerator}\pi}}{{{half_turns.denominator}}}" if value else "0"
    return Key(str(value), kind="exact", latex=as_tex(value), reading=reading).described_by(described)


def _split_number(text: str) -> tuple[Fraction, str] | None:
    """The number that a text begins with, in digits or words, and the rest."""
    number = _LEADING_NUMBER.match(text)
    if number is not None:
        value = parse_rational(number[0])
        return None if value is None else (value, text[number.end() :])
    spelled = parse_words(text)
    if spelled is None or len(spelled[1].split()) > 3 or parse_words(spelled[1].strip()):
        return None
    return spelled


def _split_currency(text: str) -> tuple[int, str, str]:
    """Sign, currency and the rest of `-$5`."""
    match = _CURRENCY.match(text)
    if match is None:
        return 1, "", text
    name = CURRENCY.get(match[2]) or _CODES[match[2]]
    return -1 if match[1] == "-" else 1, f"1 {name}", text[match.end() :].rstrip("$")


def _split_scale(words: str, currency: str) -> tuple[int, str]:
    """The number that a scale such as `million` stands for, and the words behind it."""
    match = re.match(r"\s*([A-Za-z]+)\b(.*)", words, re.DOTALL)
    if match is None:
        return 1, words
    # A k alone may be a variable; before a word, and behind a currency, it is a thousand.
    short = currency or match[1] == "bn" or (match[1] in "kK" and re.match(r"\s+[A-Za-z]{3}", match[2]))
    scale = SCALES.get(match[1].lower()) or (_SHORT_SCALES.get(match[1]) if short else None)
    return (scale, match[2].strip()) if scale else (1, words)


def _describe(words: str) -> Description | None:
    """What words behind a number mean; None if they are more than words, or a letter that may be a variable."""
    first = re.match(r"\s*([A-Za-z]+)", words)
    if first is None:
        described = (
            describe(words)
            if re.match(r"\s*(?:[%¢$€£¥₹°ΩΩμµÅ℃℉]|\^\\circ|\\(?:mu|Omega|frac\{[a-z]))", words)
            else None
        )
        return None if described == Description() else described
    short = len(first[1]) == 1 and not (words[0].isspace() and first[1] in _SHORT_UNITS)
    return None if short or first[1].lower() in _NOT_UNITS else describe(words)


def _parse_sum(text: str) -> Key | None:
    """Such as `3 hours 20 minutes` or `6 ft 2 in`, in its first unit."""
    parts, position = [], 0
    while match := _PART.match(text, position):
        parts.append((Fraction(match[1]), match[2]))
        position = match.end()
    if len(parts) < 2 or position < len(text):
        return None
    angle = parts[0][1] == r"^\circ"
    units = [describe(_MARKS[unit][angle] if unit in _MARKS else unit) for _, unit in parts]
    if any(unit is None or not unit.unit for unit in units):
        return None
    scaled = [factor_and_dimension(unit.unit) for unit in units if unit is not None]
    factors = [factor for factor, _ in scaled]
    if len({dimension for _, dimension in scaled}) > 1 or factors != sorted(set(factors), reverse=True):
        return None
    total = sum((number * factor for (number, _), factor in zip(parts, factors, strict=True)), Fraction(0))
    return _quantity(total / factors[0], Description(unit=f"{factors[0]} {scaled[0][1]}"))
