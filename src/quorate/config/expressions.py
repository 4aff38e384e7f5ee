"""Conditions of edges as `quorate.yaml` writes them: `agreement >= 0.8 and not visits > 3`.

    condition  = any ("or" any)*            any    = part ("and" part)*
    part       = ["not"] ( "(" condition ")" | word comparison value )
    comparison = ">=" | "<=" | ">" | "<" | "==" | "!="

| word | what it is |
|---|---|
| `agreement` | share of the good candidates that voted for the leading answer, from 0 to 1 |
| `votes` | for the leading answer |
| `candidates` | good ones |
| `visits` | how often the node has run |
| `tokens_left` | of the budget; without one, more than any number |
| `chosen` | what the node has chosen, compared by `==` and `!=` with a name or a text in quotes |

Nothing is evaluated but this, so a configuration cannot run code.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.state import State
from quorate.orchestrator.types import Answer, Cluster, Sampled

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
_TOKEN = re.compile(r"""\s*(?:(>=|<=|==|!=|>|<|\(|\))|("[^"]*"|'[^']*')|([^\s()<>=!"']+)|(\S))""")


def _votes(state: State) -> tuple[int, int]:
    """Votes for the leading answer, none where the classes are approximate, and good candidates."""
    tally: tuple[Cluster, ...] = ()
    good = 0
    for result in state.results:
        if isinstance(result, Sampled | Answer):
            tally = tally or result.tally or ()
            good += sum(candidate.ok for candidate in result.candidates)
    return (tally[0].votes if tally and all(cluster.certain for cluster in tally) else 0), good


def _agreement(state: State) -> float:
    votes, good = _votes(state)
    return votes / good if good else 0.0


def _visits(state: State) -> int:
    return max((state.visited(state.visits[place].node) for place in state.inputs), default=0)


WORDS: dict[str, Callable[[State], Any]] = {
    "agreement": _agreement,
    "votes": lambda state: _votes(state)[0],
    "candidates": lambda state: _votes(state)[1],
    "visits": _visits,
    "tokens_left": lambda state: math.inf if state.tokens_left is None else state.tokens_left,
    "chosen": lambda state: "" if state.choice is None else state.choice.chosen,
}
"""What a condition can ask of the state."""

_Part = Callable[[State], bool]


@dataclass(frozen=True)
class Expression:
    """A parsed condition."""

    text: str
    part: _Part
    words: tuple[str, ...]
    """Those that it asks for."""
    chosen: tuple[str, ...] = ()
    """The names that a choice is compared with."""

    def holds(self, state: State) -> str | None:
        """See `graph.Condition`; the reason has the values."""
        if not self.part(state):
            return None
        values = ((word, WORDS[word](state)) for word in self.words)
        told = (f"{word} {value:.3g}" if isinstance(value, float) else f"{word} {value}" for word, value in values)
        return f"{self.text} ({', '.join(told)})"

    def __str__(self) -> str:
        return self.text


def parse_condition(text: str) -> Expression:
    """A condition from its text.

    Raises:
        BadInput: it does not follow the grammar; says where.
    """
    parser = _Parser(text)
    part = parser.parse_any()
    if parser.next is not None:
        raise parser.error("the end, 'and' or 'or'")
    return Expression(text, part, tuple(dict.fromkeys(parser.words)), tuple(parser.names))


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split())
        self.words: list[str] = []
        self.names: list[str] = []
        self._tokens = [next(filter(None, found)) for found in _TOKEN.findall(self.text)]
        self._place = 0

    @property
    def next(self) -> str | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def take(self) -> str | None:
        token = self.next
        self._place += 1
        return token

    def parse_any(self) -> _Part:
        parts = [self.parse_all()]
        while self.next == "or":
            self.take()
            parts.append(self.parse_all())
        return parts[0] if len(parts) == 1 else lambda state: any(part(state) for part in parts)

    def parse_all(self) -> _Part:
        parts = [self.parse_part()]
        while self.next == "and":
            self.take()
            parts.append(self.parse_part())
        return parts[0] if len(parts) == 1 else lambda state: all(part(state) for part in parts)

    def parse_part(self) -> _Part:
        if self.next == "not":
            self.take()
            inner = self.parse_part()
            return lambda state: not inner(state)
        if self.next == "(":
            self.take()
            inner = self.parse_any()
            if self.next != ")":
                raise self.error("')'")
            self.take()
            return inner
        return self.parse_comparison()

    def parse_comparison(self) -> _Part:
        if self.next not in WORDS:
            raise self.error(f"one of {', '.join(WORDS)}")
        word = self.take() or ""
        if self.next not in (COMPARISONS if word != "chosen" else ("==", "!=")):
            raise self.error("'==' or '!='" if word == "chosen" else f"one of {', '.join(COMPARISONS)}")
        compare = COMPARISONS[self.take() or ""]
        value = self.parse_name() if word == "chosen" else self.parse_number()
        if word == "agreement" and not 0 <= float(value) <= 1:
            raise BadInput(f"the condition {self.text!r} asks for agreement beyond 0 to 1: write 0.75 for 75 %")
        self.words.append(word)
        look = WORDS[word]
        return lambda state: compare(look(state), value)

    def parse_name(self) -> str:
        if self.next is None or self.next in COMPARISONS or self.next in ("(", ")"):
            raise self.error("a name")
        self.names.append((self.take() or "").strip("\"'"))
        return self.names[-1]

    def parse_number(self) -> float:
        if re.fullmatch(r"-?\d+(\.\d+)?", self.next or "") is None:
            raise self.error("a number")
        return float(self.take() or "")

    def error(self, wanted: str) -> BadInput:
        found = "it ends" if self.next is None else f"there is {self.next!r}"
        return BadInput(f"the condition {self.text!r} cannot be read: where {found}, {wanted} should be")
