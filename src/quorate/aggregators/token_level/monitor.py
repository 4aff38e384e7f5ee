"""Monitors: what may not be written, told to models token by token.

Monitor-guided decoding (arXiv 2306.10763): code looks on while a model writes, says nothing most of the time, and where
it knows what may come next, rules out the tokens that it may not. Here the engines ask it, so any way of writing
together has it: forbidden tokens have no probability, in drafts and in what verifiers expect, and samples are
distributed as the models' own among those that are allowed. `json_monitor` is one that holds an answer to a schema.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.tokens import DenseDistribution, Distribution, Draft, Draw, TopDistribution

from .token_bytes import END, TokenBytes

EVERYTHING = 1 << 20
NEVER = -1e9
"""Log-probability of a forbidden token: a number, so that sums over all tokens stay numbers."""


class Monitor(Protocol):
    """Says what may come next; one that remembers something is made anew for each answer."""

    def allow(self, text: bytes, tokens: TokenBytes) -> Any | None:
        """Which tokens of a model may come next.

        Args:
            text: the answer so far.
            tokens: the model's.

        Returns:
            A bool array of shape [vocabulary]; None where any may.

        Raises:
            QuorateError: it cannot tell.
        """
        ...


class TextMonitor(ABC):
    """A monitor that looks at texts alone."""

    @abstractmethod
    def watch(self, text: bytes) -> Callable[[bytes], bool] | None:
        """Whether a key may follow this text (`END` is the end of the answer); None where anything may."""

    def allow(self, text: bytes, tokens: TokenBytes) -> Any | None:
        """See `Monitor`."""
        may = self.watch(text)
        return None if may is None else np.array([key is not None and may(key) for key in tokens.keys])


class Calculator(TextMonitor):
    """Results of sums, differences, products and exact quotients of whole numbers may only be right.

    Behind `12 * 7 = ` only digits that lead to 84 may follow, and behind 84 no digit.
    """

    _equation = re.compile(rb"(?<![\d.,/^])(\d{1,15}) ?([-+*/]) ?(\d{1,15}) ?= ?(\d*)$")

    def __repr__(self) -> str:
        return "Calculator()"

    def watch(self, text: bytes) -> Callable[[bytes], bool] | None:
        found = self._equation.search(text[-80:])
        result = None if found is None else _result(int(found[1]), found[2], int(found[3]))
        if found is None or result is None or not result.startswith(found[4]):
            return None
        if text[: -len(found[0])].rstrip().endswith((b"+", b"-", b"*", b"/", b"(", b"x")):
            return None  # a part of a longer calculation
        left, begun = result[len(found[4]) :], bool(found[4])

        def may_follow(key: bytes) -> bool:
            said = key if begun else key.lstrip(b" ")
            digits = said[: len(said) - len(said.lstrip(b"0123456789"))]
            if digits:
                return left.startswith(digits) if digits == said else left == digits
            return not left if begun else key != END and said[:1] not in (b"-", b"+")

        return may_follow


def _result(a: int, operation: bytes, b: int) -> bytes | None:
    """In digits; None for what is no whole number from 0 on."""
    if operation == b"/":
        return b"%d" % (a // b) if b and a % b == 0 else None
    value = {b"+": a + b, b"-": a - b, b"*": a * b}[operation]
    return b"%d" % value if value >= 0 else None


class Watch:
    """All monitors of one answer.

    Args:
        monitors: what all of them allow may be written.
    """

    def __init__(self, monitors: Sequence[Monitor]) -> None:
        self._monitors = tuple(monitors)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._monitors)

    def restrict_draft(self, text: bytes, tokens: TokenBytes, draft: Draft, draw: Draw | None) -> Draft:
        """The draft up to the first token that is forbidden, in whose place the best allowed one stands, or one drawn.

        Args:
            text: the answer before it.
            tokens: of the model that drafted.
            draft: it.
            draw: how it was sampled.

        Raises:
            QuorateError: nothing may come next.
        """
        if not self._monitors:
            return draft
        kept: list[int] = []
        distributions: list[Distribution] = []
        for place, (token, distribution) in enumerate(zip(draft.tokens, draft.distributions, strict=True)):
            allowed = self.restrict(text, tokens, distribution)
            distributions.append(allowed)
            chosen = token
            if allowed is not distribution:
                chosen = allowed.best if draw is None else _draw(allowed, draw.uniforms[place], draw.temperature)
            kept.append(chosen)
            if chosen != token:
                break
            text += tokens.key_of(token) or b""
        return Draft(kept, distributions, draft.usage)

    def restrict(self, text: bytes, tokens: TokenBytes, distribution: Distribution) -> Distribution:
        """What a model expects after a text, without what is forbidden.

        Where a server tells its best few and all of them are forbidden, those that are allowed count the same.

        Raises:
            QuorateError: no token of the model may come next.
        """
        masks = [mask for monitor in self._monitors if (mask := monitor.allow(text, tokens)) is not None]
        if not masks:
            return distribution
        allowed = np.logical_and.reduce(masks)
        if not allowed.any():
            shown = text[-40:].decode(errors="replace")
            raise NoAnswer(f"no token of its vocabulary may follow {shown!r} by the monitors")
        row = distribution.row()
        if row is not None:
            # Where a server tells a part of the row the rest is minus infinity, and all that is allowed may be there.
            masked = np.where(allowed, np.maximum(row.astype(np.float64), NEVER / 2), NEVER)
            return _AllowedDistribution((masked - _logsum(masked)).astype(np.float32))
        known = [(token, value) for token, value in distribution.top(EVERYTHING) if allowed[token]]
        return TopDistribution(_renormalised(known or [(int(token), 0.0) for token in np.flatnonzero(allowed)]))


class _AllowedDistribution(DenseDistribution):
    """One in which forbidden tokens are none of the likeliest, however few are left."""

    def top(self, k: int) -> Sequence[tuple[int, float]]:
        return [(token, value) for token, value in super().top(k) if value > NEVER / 4]


def _renormalised(entries: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    total = _logsum(np.array([value for _, value in entries]))
    return [(token, value - total) for token, value in entries]


def _logsum(values: Any) -> float:
    highest = float(values.max())
    return highest + float(np.log(np.exp(values - highest).sum()))


def _draw(distribution: Distribution, uniform: float, temperature: float) -> int:
    """The token at this share of the cumulative distribution, in the order of ids."""
    entries = sorted(distribution.top(EVERYTHING))
    shares = np.exp(np.array([value for _, value in entries]) / temperature).cumsum()
    place = int(np.searchsorted(shares, uniform * shares[-1], side="right"))
    return entries[min(place, len(entries) - 1)][0]
