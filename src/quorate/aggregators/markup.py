"""How models dress up an answer - thinking tags, TeX, Markdown - and how to undress it.

Everything here takes time linear in the text, whatever the text: it comes from a model, and may be
hostile.
"""

from __future__ import annotations

import re

__all__ = ["closing_brace", "tidy", "visible"]

_THINK_OPEN = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_THINK_CLOSE = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|tt|normal)?|math(?:rm|bf|it|sf|tt)|mbox|boxed|fbox|displaystyle|bf|rm|bold)\s*+(?=\{)"
)
_LETTER = re.compile(r"[(\[]?([A-Za-z])[)\].:]?")
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_PEELS = 8
"""Layers of wrapping that anybody could mean; each costs one pass."""


def visible(text: str) -> str:
    """What a model says after its thinking; nothing where the thinking never ends."""
    if "<" not in text:
        return text
    start = 0
    for close in _THINK_CLOSE.finditer(text):
        start = close.end()
    unclosed = _THINK_OPEN.search(text, start)
    return text[start : unclosed.start() if unclosed else None]


def closing_brace(text: str, start: int) -> int | None:
    """Where the `{` at `start` is closed; escaped braces do not count."""
    depth = 0
    for token in _BRACE.finditer(text, start):
        if token[0] == "{":
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if depth == 0:
                return token.start()
    return None


def tidy(answer: str) -> str:
    r"""The answer without emphasis, maths delimiters, a closing full stop, `\text{}`, and brackets of a letter."""
    for _ in range(_PEELS):
        before = answer
        answer = answer.strip().strip("*`")
        stripped = answer.rstrip(".,;:")
        if not stripped.endswith(("\\", r"\right")):
            answer = stripped
        answer = _peel(answer.strip())
        if answer == before:
            break
    letter = _LETTER.fullmatch(answer)
    return letter[1] if letter else answer


def _peel(answer: str) -> str:
    """One layer of delimiters or wrapping commands less."""
    if not answer.startswith(("$", "\\", "{")):
        return answer
    for opening, closing in _DELIMITERS:
        inner = answer[len(opening) : -len(closing)]
        if len(answer) >= len(opening) + len(closing) and answer == opening + inner + closing:
            return answer if "$" in inner and opening[0] == "$" else inner
    wrapper = _WRAPPER.match(answer)
    start = wrapper.end() if wrapper else 0
    if answer[start : start + 1] == "{" and answer.endswith("}") and closing_brace(answer, start) == len(answer) - 1:
        return answer[start + 1 : -1]
    return answer
