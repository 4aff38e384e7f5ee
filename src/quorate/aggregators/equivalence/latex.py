"""One spelling for what TeX and Unicode can write in many ways."""

from __future__ import annotations

import re

__all__ = ["normal", "without_spaces"]

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


def normal(answer: str) -> str:
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


def without_spaces(text: str) -> str:
    r"""No spaces but the one that ends a command before a letter (`\pi r`)."""
    text = re.sub(r"(\\[A-Za-z]+)\s+(?=[A-Za-z])", "\\1\0", text)
    return re.sub(r"\s+", "", text).replace("\0", " ")
