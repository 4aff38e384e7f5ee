"""One spelling for what can be written in many ways: TeX, Unicode, and units of measurement.

Units tell two answers of the same number apart; all other words behind a number are decoration.
"""

from __future__ import annotations

import re

__all__ = ["CURRENCY", "SCALES", "normalize_tex", "strip_spaces", "unit_of"]

_UNICODE = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "⁄": "/", "÷": "/",
        "π": r"\pi ", "∞": r"\infty ", "°": r"^\circ ", "²": "^2", "³": "^3", "√": r"\sqrt ",
        "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "≤": r"\le ", "≥": r"\ge ", "≈": r"\approx ",
        "±": r"\pm ", "∈": r"\in ", "∪": r"\cup ", "\u00a0": " ", "\u202f": " ", "\u2009": " ",
        "“": '"', "”": '"', "’": "'", "‘": "'", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
        **{digit: f"_{value}" for value, digit in enumerate("₀₁₂₃₄₅₆₇₈₉")},
    }
)  # fmt: skip
_RULES = [
    (re.compile(r"\\left(?![a-z])|\\right(?![a-z])|\\!|\\(?:displaystyle|big|Big|bigg|Bigg)(?![a-z])"), ""),
    (re.compile(r"(?<!\\)\\[,;: ]|~|\\q?quad(?![a-z])|\\(?:small)?space(?![a-z])"), " "),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\([%$#&_])"), r"\1"),
    (re.compile(r"\\[dtc]frac(?![a-z])"), r"\\frac"),
    (re.compile(r"\\(?:leq|leqslant)(?![a-z])"), r"\\le"),
    (re.compile(r"\\(?:geq|geqslant)(?![a-z])"), r"\\ge"),
    (re.compile(r"\^?\s*\{?\s*\\(?:circ|degree)(?![a-z])\s*\}?"), r"^\\circ "),
    (re.compile(r"\\(?:mathbb|mathcal)\s*\{([A-Z])\}"), r"\1"),
    (re.compile(r"([_^])\s*\{\s*([A-Za-z0-9])\s*\}"), r"\1\2"),
    (re.compile(r"\\frac\s*([0-9])\s*([0-9])"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*([0-9])\s*\{"), r"\\frac{\1}{"),
    (re.compile(r"(\\frac\s*\{[^{}]*\})\s*([0-9])"), r"\1{\2}"),
    (re.compile(r"\\sqrt\s*([0-9A-Za-z])"), r"\\sqrt{\1}"),
    (re.compile(r"\\begin\s*\{[pbvBV]?matrix\}|\\begin\s*\{array\}(?:\{[^{}]*\})?"), r"\\begin{pmatrix}"),
    (re.compile(r"\\end\s*\{(?:[pbvBV]?matrix|array)\}"), r"\\end{pmatrix}"),
    (re.compile(r"[ \t\n\r]+"), " "),
]
_THOUSANDS = re.compile(r"(?<=[0-9]),(?:\\!|\\,|\{\})\s*(?=[0-9]{3}(?![0-9]))")
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z])")
_COMMAND_SPACE = re.compile(r"(?<=[A-Za-z])\s+(?=[A-Za-z])")


def normalize_tex(answer: str) -> str:
    r"""The answer with one spelling a command: `\dfrac12` is `\frac{1}{2}`, `\left(`, `\!` and the like are gone."""
    text = answer.translate(_UNICODE)
    if r"\\begin" in text:
        text = text.replace("\\\\", "\\")
    elif r"\begin" not in text:
        text = _DOUBLED.sub(r"\\", text)
    text = _THOUSANDS.sub("", text)
    for pattern, spelling in _RULES:
        text = pattern.sub(spelling, text)
    return text.strip()


def strip_spaces(text: str) -> str:
    r"""No spaces but the one that ends a command before a letter (`\pi r`)."""
    text = re.sub(r"(\\[A-Za-z]+)\s+(?=[A-Za-z])", "\\1\0", text)
    return re.sub(r"\s+", "", text).replace("\0", " ")


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
