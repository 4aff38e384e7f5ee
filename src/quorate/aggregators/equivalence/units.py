"""Units that tell two answers of the same number apart; all other words behind a number are decoration."""

from __future__ import annotations

import re

__all__ = ["CURRENCY", "SCALES", "unit_of"]

CURRENCY = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen", "₹": "rupee"}
SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}

_SPELLINGS = {
    "mm": "mm millimeter millimetre",
    "cm": "cm centimeter centimetre",
    "m": "m meter metre",
    "km": "km kilometer kilometre",
    "inch": "in inch inches",
    "foot": "ft foot feet",
    "yard": "yd yard",
    "mile": "mi mile",
    "mg": "mg milligram",
    "g": "g gram",
    "kg": "kg kilogram",
    "ounce": "oz ounce",
    "pound weight": "lb lbs",
    "ml": "ml milliliter millilitre",
    "l": "l liter litre",
    "gallon": "gal gallon",
    "second": "s sec second",
    "minute": "min minute",
    "hour": "h hr hour",
    "day": "day",
    "week": "week",
    "month": "month",
    "year": "yr year",
    "km/h": "km/h kph kmh",
    "mile/h": "mph",
    "m/s": "m/s",
    "dollar": "dollar usd bucks",
    "cent": "cent ¢",
    "euro": "euro eur",
    "pound": "pound gbp",
    "yen": "yen jpy",
    "degree": "degree deg ^\\circ",
    "radian": "rad radian",
    "%": "% percent pct",
}
_UNITS = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_WORD = re.compile(r"[A-Za-z]+(?:/[A-Za-z]+)?|¢|%|\^\\circ")
_POWER = re.compile(r"\^\{?(-?[123])\}?|\b(squared|cubed)\b")
_POWERS = {"squared": "2", "cubed": "3", "square": "2", "sq": "2", "cubic": "3"}


def unit_of(words: str) -> str:
    """The unit that some words behind a number begin with, `cm^2` for "square centimetres"; "" for others."""
    found = [word.lower() for word in _WORD.findall(words)]
    if not found:
        return ""
    power = _POWERS.get(found[0].rstrip("."), "")
    name = found[1] if power and len(found) > 1 else found[0]
    unit = _UNITS.get(name) or _UNITS.get(name.removesuffix("s"), "")
    exponent = _POWER.search(words)
    if exponent:
        power = exponent[1] or _POWERS[exponent[2]]
    return f"{unit}^{power}" if unit and power else unit
