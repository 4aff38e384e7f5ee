"""Numbers in all their spellings, as exact fractions."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["MAX_DIGITS", "agrees", "parse_rational"]

MAX_DIGITS = 100
"""A longer number, or a larger power of ten, is compared as text: exact arithmetic would be a trap."""
_APPROXIMATE_DIGITS = 6

_DECIMAL = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?:[ ][0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
_POWER = r"(?:[eE]|\s*(?:\\times|\\cdot|[×x*·])\s*10\s*\^)\s*(?:\{\s*([-+]?[0-9]+)\s*\}|([-+]?[0-9]+))"
_SCIENTIFIC = re.compile(rf"({_DECIMAL})(?:{_POWER})?")
_POWER_OF_TEN = re.compile(r"10\s*\^\s*(?:\{\s*([-+]?[0-9]+)\s*\}|([-+]?[0-9]+))")
_FRACTION = re.compile(rf"({_DECIMAL})\s*/\s*({_DECIMAL})")
_TEX_FRACTION = re.compile(rf"\\frac\s*\{{\s*([-+]?)\s*({_DECIMAL})\s*\}}\s*\{{\s*({_DECIMAL})\s*\}}")
_MIXED = re.compile(r"([0-9]+)(?:\s+([0-9]+)\s*/\s*([0-9]+)|\s*\\frac\s*\{\s*([0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\})")


def parse_rational(text: str) -> Fraction | None:
    r"""The value of a number: 1,000  1.8e1  -\frac{3}{4}  1 1/2  3.2\times 10^5; None for anything else."""
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


def _parse_unsigned(text: str) -> Fraction | None:
    if match := _MIXED.fullmatch(text):
        whole, top, bottom, tex_top, tex_bottom = match.groups()
        part = _ratio(top or tex_top, bottom or tex_bottom)
        return None if part is None else int(whole) + part
    if match := _FRACTION.fullmatch(text):
        return _ratio(*match.groups())
    if match := _TEX_FRACTION.fullmatch(text):
        value = _ratio(match[2], match[3])
        return -value if value is not None and match[1] == "-" else value
    if match := _POWER_OF_TEN.fullmatch(text):
        return _times_power("1", match[1] or match[2])
    if match := _SCIENTIFIC.fullmatch(text):
        return _times_power(match[1], match[2] or match[3] or "0")
    return None


def _times_power(digits: str, exponent: str) -> Fraction | None:
    power = int(exponent)
    return _decimal(digits) * Fraction(10) ** power if abs(power) <= MAX_DIGITS else None


def _ratio(top: str, bottom: str) -> Fraction | None:
    divisor = _decimal(bottom)
    return _decimal(top) / divisor if divisor else None


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
