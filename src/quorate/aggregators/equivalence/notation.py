r"""One spelling for what can be written in many ways: TeX, Unicode, and mathematics typed without TeX."""

from __future__ import annotations

import re

from .rationals import with_plain_digits

__all__ = ["normalize_tex", "strip_spaces"]

_UNICODE = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "⁄": "/", "÷": "/", "﹣": "-",
        "π": r"\pi ", "∞": r"\infty ", "°": r"^\circ ", "²": "^2", "³": "^3", "⁻": "^-", "¹": "1", "√": r"\sqrt ",
        "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "≤": r"\le ", "≥": r"\ge ", "≈": r"\approx ", "≠": r"\ne ",
        "±": r"\pm ", "∈": r"\in ", "∪": r"\cup ", "∩": r"\cap ", "\u00a0": " ",
        "\u202f": " ", "\u2009": " ", "\u2007": " ",
        "“": '"', "”": '"', "’": "'", "‘": "'", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}", "ℂ": r"\mathbb{C}",
        "ℤ": r"\mathbb{Z}", "ℚ": r"\mathbb{Q}", "ℕ": r"\mathbb{N}", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ",
        "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}",
        "⅕": r"\frac{1}{5}", "⅖": r"\frac{2}{5}", "⅗": r"\frac{3}{5}", "⅘": r"\frac{4}{5}", "⅙": r"\frac{1}{6}",
        "⅚": r"\frac{5}{6}", "⅛": r"\frac{1}{8}", "⅜": r"\frac{3}{8}", "⅝": r"\frac{5}{8}", "⅞": r"\frac{7}{8}",
        **{digit: f"_{value}" for value, digit in enumerate("₀₁₂₃₄₅₆₇₈₉")},
    }
)  # fmt: skip
_GREEK = "alpha|beta|gamma|delta|epsilon|theta|lambda|mu|phi|psi|omega|rho|sigma|tau|pi"
_FUNCTION_NAMES = "sin|cos|tan|sec|csc|cot|arcsin|arccos|arctan|sinh|cosh|tanh|log|ln"
_PLAIN = [
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"(?<=[0-9A-Za-z)}\]])\s*\*\s*(?=[0-9A-Za-z(\\])"), r" \\cdot "),
    (re.compile(r"(?<![\\A-Za-z])(?:sqrt|\\sqrt\s+(?=\())\s*(?=\(|[0-9])"), r"\\sqrt"),
    (re.compile(rf"(?<![\\A-Za-z])({_FUNCTION_NAMES})(?=\s*[(^0-9]|\s[a-z0-9](?![a-z]))"), r"\\\1"),
    (re.compile(rf"(?<![\\A-Za-z])({_GREEK})(?![A-Za-z])"), r"\\\1 "),
    (re.compile(r"(?<![\\A-Za-z])(?:infinity|infty|inf)(?![A-Za-z])", re.IGNORECASE), r"\\infty "),
]
"""For what is typed as in a programme: `sqrt(2)/2`, `2*pi`, `x**2`."""
_RULES = [
    (re.compile(r"\\left(?![a-z])|\\right(?![a-z])|\\[!/]|\\(?:displaystyle|textstyle|limits)(?![a-z])"), ""),
    (re.compile(r"\\(?:big|Big|bigg|Bigg)[lrm]?(?![a-z])"), ""),
    (re.compile(r"\\color\s*\{[^{}]*\}|\\(?:v|h)?phantom\s*\{[^{}]*\}"), " "),
    (re.compile(r"\\textcolor\s*\{[^{}]*\}\s*(?=\{)"), r"\\boxed"),
    (re.compile(r"\{\s*\\(?:bf|rm|it|sf|tt|em|bfseries|boldmath)(?![a-z])\s*"), "{"),
    (re.compile(r"\\(?:bf|rm|it|sf|tt|em|bfseries|boldmath)(?![a-z])\s*"), ""),
    (
        re.compile(r"\\(?:boldsymbol|bm|pmb|mathbf|mathit|mathsf|underline|underbar|emph|mathnormal)\s*(?=\{)"),
        r"\\boxed",
    ),
    (re.compile(r"\\boxed\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"(?<!\\)\\[,;: ]|~|\\q?quad(?![a-z])|\\(?:small)?space(?![a-z])|\\[>]"), " "),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\([%$#&_])"), r"\1"),
    (re.compile(r"\\[dtc]frac(?![a-z])"), r"\\frac"),
    (re.compile(r"\{\s*(-?[0-9A-Za-z]+)\s*\\over\s*(-?[0-9A-Za-z]+)\s*\}"), r"\\frac{\1}{\2}"),
    (re.compile(r"\{\s*([0-9A-Za-z]+)\s*\\choose\s*([0-9A-Za-z]+)\s*\}"), r"\\binom{\1}{\2}"),
    (re.compile(r"^\s*([^{}\\]+?)\s*\\choose\s*([^{}\\]+?)\s*$"), r"\\binom{\1}{\2}"),
    (re.compile(r"^\s*([^{}\\]+?)\s*\\over\s*([^{}\\]+?)\s*$"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\[dt]binom(?![a-z])"), r"\\binom"),
    (re.compile(r"\\(?:leq|leqslant)(?![a-z])|<="), r"\\le "),
    (re.compile(r"\\(?:geq|geqslant)(?![a-z])|>="), r"\\ge "),
    (re.compile(r"\\lt(?![a-z])"), "<"),
    (re.compile(r"\\gt(?![a-z])"), ">"),
    (re.compile(r"\\neq(?![a-z])|\\not\s*=|!="), r"\\ne "),
    (re.compile(r"\\varnothing(?![a-z])"), r"\\emptyset"),
    (re.compile(r"\\(?:lbrace)(?![a-z])"), r"\\{"),
    (re.compile(r"\\(?:rbrace)(?![a-z])"), r"\\}"),
    (re.compile(r"\\langle(?![a-z])\s*"), "("),
    (re.compile(r"\s*\\rangle(?![a-z])"), ")"),
    (re.compile(r"\\lvert(?![a-z])|\\rvert(?![a-z])|\\[lr]?vert(?![a-z])|\\mid(?![a-z])"), "|"),
    (re.compile(r"\^?\s*\{?\s*\\(?:circ|degree)(?![a-z])\s*\}?"), r"^\\circ "),
    (re.compile(r"\\mathcal\s*\{([A-Z])\}"), r"\1"),
    (re.compile(r"\\mathbb\s*([A-Z])"), r"\\mathbb{\1}"),
    (re.compile(r"([_^])\s*\{\s*([A-Za-z0-9])\s*\}"), r"\1\2"),
    (re.compile(r"\\frac\s*([0-9])\s*([0-9])"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*([0-9])\s*\{"), r"\\frac{\1}{"),
    (re.compile(r"(\\frac\s*\{[^{}]*\})\s*([0-9])"), r"\1{\2}"),
    (re.compile(r"\\sqrt\s*([0-9A-Za-z])"), r"\\sqrt{\1}"),
    (re.compile(r"\\begin\s*\{(?:small|[pbB])?matrix\}|\\begin\s*\{array\}(?:\{[^{}]*\})?"), r"\\begin{pmatrix}"),
    (re.compile(r"\\end\s*\{(?:(?:small|[pbB])?matrix|array)\}"), r"\\end{pmatrix}"),
    (re.compile(r"\|\s*\\begin\{pmatrix\}"), r"\\begin{vmatrix}"),
    (re.compile(r"\\end\{pmatrix\}\s*\|"), r"\\end{vmatrix}"),
    (re.compile(r"[(\[]\s*(?=\\begin\{pmatrix\})|(?<=\\end\{pmatrix\})\s*[)\]]"), ""),
    (re.compile(r"\\(?:operatorname\s*\{)?\s*(?:p|b)?mod(?![a-z])\s*\}?\s*\{?\s*([0-9]+)\s*\}?"), r" mod \1"),
    (re.compile(r"(?<=[0-9])\s*\(\s*mod\s*([0-9]+)\s*\)"), r" mod \1"),
    (re.compile(r"(\^\{?[0-9]+\}?)\s+(?=[0-9]+\s*\^)"), r"\1\\cdot "),
    (re.compile(r"[ \t\n\r]+"), " "),
]
_THOUSANDS = re.compile(r"(?<=[0-9]),(?:\\!|\\,|\{\})\s*(?=[0-9]{3}(?![0-9]))")
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z])")
_MORE_THAN_WORDS = re.compile(r"[0-9+*/^=\\()]")
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}\s+[A-Za-z]{2,}(?![A-Za-z])")


def normalize_tex(answer: str) -> str:
    r"""The answer with one spelling a command: `\dfrac12` is `\frac{1}{2}`, `\left(`, `\!` and the like are gone.

    What is typed without TeX (`sqrt(2)`, `2*pi`) is written in it, and numbers of other places as `parse_rational`
    reads them.
    """
    text = with_plain_digits(answer).translate(_UNICODE)
    if r"\\begin" in text:
        text = text.replace("\\\\", "\\")
    elif r"\begin" not in text:
        text = _DOUBLED.sub(r"\\", text)
    text = _THOUSANDS.sub("", text)
    for pattern, spelling in _RULES:
        text = pattern.sub(spelling, text)
    return _from_plain(text.strip())


def strip_spaces(text: str) -> str:
    r"""No spaces but the one that ends a command before a letter (`\pi r`), and those between two numbers."""
    text = re.sub(r"(\\[A-Za-z]+)\s+(?=[A-Za-z])|(?<=[0-9])\s+(?=[0-9])", lambda match: (match[1] or "") + "\0", text)
    return re.sub(r"\s+", "", text).replace("\0", " ")


def _from_plain(text: str) -> str:
    if _PROSE.search(text):
        return text
    if _MORE_THAN_WORDS.search(text) or re.fullmatch(rf"(?:{_GREEK}|infinity)", text):
        for pattern, spelling in _PLAIN:
            text = pattern.sub(spelling, text)
        text = _with_arguments(text, "\\sqrt(", "\\sqrt{{{}}}")
        text = _with_arguments(text, "exp(", "e^{{{}}}")
        text = re.sub(r"\^\(([^()]*)\)", r"^{\1}", text)
    return text


def _with_arguments(text: str, opening: str, form: str) -> str:
    """The text with calls written as a form; a bracket that never closes stays."""
    start = 0
    while (start := text.find(opening, start)) >= 0:
        depth, end = 1, start + len(opening)
        while end < len(text) and depth:
            depth += (text[end] == "(") - (text[end] == ")")
            end += 1
        if depth:
            return text
        text = text[:start] + form.format(text[start + len(opening) : end - 1]) + text[end:]
        start += 1
    return text
