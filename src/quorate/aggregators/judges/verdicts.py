r"""What a judge's reply decides: one of several, the better of two, or an order of all.

A verdict is a line that names it, `Chosen: 2` or `Ranking: 2 > 1 > 3`, and nothing else counts: a number in passing
may be anything, one that stands alone or in `\boxed{}` may be the judge's own answer to the question, and a letter
that of a choice. Two at once, halves, "neither" and a line that goes on in doubt are no verdict. Of several lines the
last counts if something was said between it and the others. A judge whose reply holds no verdict is asked once more,
which costs little; a verdict that is read wrongly costs the answer, and nobody sees it.

The reply may be anything; reading it takes time linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

__all__ = [
    "VerdictForm",
    "choice_of",
    "order_of",
    "parse_choice",
    "parse_preference",
    "parse_ranking",
    "parse_score",
    "preference",
    "score_form",
]

V = TypeVar("V")

MOST = 100_000
"""Characters at the end of a reply that are read."""
_LONGEST_LINE = 500
"""Characters of a line that are read: a verdict is short."""

_ITEM = r"(?:(?:response|solution|attempt|candidate|option|number|the|is|n|(?-i:a))\b[\s*_#:=]{0,4}+){0,4}+"
_OPEN = r"[\s*_:=>\[({\"'`$#]{0,9}+"
_CHOSEN = re.compile(
    r"(?:^\W{0,9}+(?:(?:so|my|the|i|have|final|verdict|therefore)\W{1,3}+){0,4}+chosen\b|\bchosen(?=[\s*_]*+:))", re.I
)
_RANKING = re.compile(r"^\W{0,9}+(?:(?:so|my|the|final)\W{1,3}+){0,3}+ranking\b", re.I)
_SCORE = re.compile(r"^\W{0,9}+(?:(?:so|my|the|final|i|give|a)\W{1,3}+){0,3}+score\b", re.I)
_SCORED = re.compile(
    r"[\s*_:=\[({]{0,9}+(?:is\b)?[\s*_:=]{0,9}+(?P<number>\d{1,2}(?:\.\d{1,3})?)(?![\d.,]*\d)"
    r"(?:\s*(?:/|out of)\s*(?:10|ten)\b)?(?P<rest>.*)",
    re.I,
)
_NAMED = re.compile(
    rf"{_OPEN}{_ITEM}(?:(?P<number>\d{{1,6}}|tie)|(?<=[ *_])(?-i:(?P<letter>[A-Z])))\b(?P<rest>.*)", re.I | re.S
)
_ORDER = re.compile(rf"{_OPEN}{_ITEM}\d{{1,6}}(?:[\s*_]*+[>≻,;][\s*_]*+{_ITEM}\d{{1,6}}\b)*+(?P<rest>.*)", re.I | re.S)
_CALLED = re.compile(r"\b(?:response|solution|attempt|candidate)[\s*_#]{1,4}(?-i:[A-Z])\b", re.I)
_ENDED = re.compile(
    r"[\s*_\"'`$\])}]*+(?:$|[.,;:!(\u2013\u2014-](?!\W*+(?:\d|(?:or|and|no|not|nor|wait|actually|but|maybe|perhaps|"
    r"possibly|rather|instead|sorry|vs|versus|to|through|tie|tied|both|neither|equal|unless|if|though)\b))"
    r"|because\b|since\b|due to\b)",
    re.I,
)
"""How a line goes on behind its verdict without taking anything back."""
_SIGNS = " \t0123456789>,*_`"
"""What a line consists of that is a ranking without saying so."""


@dataclass(frozen=True)
class VerdictForm(Generic[V]):
    """What a judge is to say in the end."""

    label: str
    """The word that its line begins with."""
    example: str
    """Such a line, for a judge that has to be told again."""
    parse: Callable[[str], V | None]
    """The verdict in a reply."""

    def parse_again(self, reply: str) -> V | None:
        """The verdict in a reply that was to hold nothing else, where the word before it may be missing."""
        found = self.parse(reply)
        return self.parse(f"{self.label}: {reply.strip()}") if found is None and self.label not in reply else found


def choice_of(n: int) -> VerdictForm[int]:
    """One of n."""
    return VerdictForm("Chosen", f"Chosen: N, where N is one number from 1 to {n}", partial(parse_choice, n=n))


def preference() -> VerdictForm[float]:
    """The better of two."""
    return VerdictForm("Chosen", "Chosen: 1, or Chosen: 2, or Chosen: tie", parse_preference)


def order_of(n: int) -> VerdictForm[list[int]]:
    """All of n, the best first."""
    example = "Ranking: " + " > ".join(map(str, range(1, n + 1)))
    return VerdictForm("Ranking", f"{example}, with the numbers in your order", partial(parse_ranking, n=n))


def score_form() -> VerdictForm[float]:
    """A number from 0 to 10."""
    return VerdictForm(
        "Score", "Score: N, where N is one number from 0 (surely wrong) to 10 (surely right)", parse_score
    )


def parse_score(reply: str) -> float | None:
    """The score from 0 to 10 that a reply ends with; None if it names none, or another number."""
    found = _final([_score(line[mark.end() :]) if (mark := _SCORE.match(line)) else "" for line in _lines(reply)])
    score = float(found) if found else None
    return score if score is not None and score <= 10 else None


def parse_choice(reply: str, n: int) -> int | None:
    """Position, from 0, of the one of n that a reply names; None if it names none of them, or several."""
    word = _verdict(reply)
    return int(word) - 1 if word is not None and word != "tie" and 1 <= int(word) <= n else None


def parse_preference(reply: str) -> float | None:
    """Points of the first of two by a reply: 1, 0, or 0.5 for a tie; None if it does not say."""
    return {"1": 1.0, "2": 0.0, "tie": 0.5}.get(_verdict(reply) or "")


def parse_ranking(reply: str, n: int) -> list[int] | None:
    """Positions, from 0, of n answers, the best first; None without a ranking that names each of them once."""
    lines = _lines(reply)
    ranked = [_order(line[mark.end() :]) if (mark := _RANKING.match(line)) else "" for line in lines]
    if not any(found != "" for found in ranked):
        ranked = [_order(line) if ">" in line and not line.strip(_SIGNS) else "" for line in lines]
    found = _final(ranked)
    numbers = [int(number) - 1 for number in re.findall(r"\d+", found or "")]
    return numbers if sorted(numbers) == list(range(n)) else None


def _lines(reply: str) -> list[str]:
    lines = (line.strip(" \t\r#>*_`-") for line in reply[-MOST:].splitlines())
    return [line[:_LONGEST_LINE] for line in lines if line]


def _verdict(reply: str) -> str | None:
    """The number or `tie` that a reply names."""
    lines = _lines(reply)
    marks = [_CHOSEN.search(line) for line in lines]
    if any(marks):
        return _final([_name(line[mark.end() :]) if mark else "" for line, mark in zip(lines, marks, strict=True)])
    # Without its word, only a reply that is nothing but the name of a candidate.
    said = reply.strip().removeprefix("\\boxed{").removeprefix("\\text{") if len(reply) < 100 else ""
    return _name(said) if re.search(r"\b(?:response|solution|candidate)\W{1,3}\w{1,6}\W*$", said, re.I) else None


def _final(found: list[str | None]) -> str | None:
    """The last of the lines that name something; "" names nothing, None cannot be read."""
    places = [place for place, name in enumerate(found) if name != ""]
    if not places:
        return None
    last = places[-1]
    beside = last > 0 and found[last - 1] not in ("", None, found[last])
    return None if beside else found[last]


def _name(text: str) -> str | None:
    """The number or `tie` at the beginning of a text that says no more than it."""
    match = _NAMED.match(text)
    if match is None or not _ENDED.match(match["rest"]):
        return None
    if match["number"]:
        return match["number"].lower()
    # A letter alone may be that of a choice of the question; with the word before it, it is a candidate's.
    return str(ord(match["letter"]) - ord("A") + 1) if _CALLED.search(text[: match.end("letter")]) else None


def _score(text: str) -> str | None:
    """The number at the beginning of a text that says no more than it."""
    match = _SCORED.match(text)
    return match["number"] if match is not None and _ENDED.match(match["rest"]) else None


def _order(text: str) -> str | None:
    """The numbers at the beginning of a text that holds no more than them."""
    match = _ORDER.match(text)
    return text[: match.start("rest")] if match is not None and _ENDED.match(match["rest"]) else None
