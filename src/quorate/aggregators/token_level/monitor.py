"""Monitors: what may not be written, told to a model token by token.

Monitor-guided decoding (arXiv 2306.10763): code looks on while a model writes, says nothing most of the time, and where
it knows what may come next, rules out the tokens that it may not. Here a monitor stands before a `TokenModel`, so any
way of writing together has it: forbidden tokens have no probability, in drafts and in what a verifier is asked, and
samples are distributed as the model's own among those that are allowed.

A monitor sees the text back to the last token without text (a special one, such as the mark before an answer). Where
it forbids everything that the model knows, nothing is forbidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

import numpy as np

from quorate.orchestrator.identity import Identity
from quorate.orchestrator.tokens import (
    DenseDistribution,
    Distribution,
    Draft,
    DraftAsk,
    ScoreAsk,
    Scores,
    TokenModel,
    TopDistribution,
    Vocabulary,
)
from quorate.orchestrator.types import Question

from .token_bytes import END, TokenBytes

REACH = 400
"""Bytes of the text that a monitor is shown at most."""
EVERYTHING = 1 << 20
NEVER = -1e9
"""Log-probability of a forbidden token: a number, so that sums over all tokens stay numbers."""


class Monitor(Protocol):
    """Says what may come next."""

    def watch(self, text: bytes) -> Callable[[bytes], bool] | None:
        """Whether a key may follow this text (`END` is the end of the answer); None where anything may."""
        ...


class Calculator:
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


class Monitored:
    """A model under monitors; see `TokenModel`.

    Args:
        model: it.
        monitors: what all of them allow may be written.
    """

    def __init__(self, model: TokenModel, monitors: Sequence[Monitor]) -> None:
        self._model, self._monitors, self.name = model, tuple(monitors), model.name
        self.identity = Identity(kind="tokens", model=model.name)

    @property
    def context(self) -> int:
        return self._model.context

    @property
    def vocabulary(self) -> Vocabulary:
        return self._model.vocabulary

    @property
    def in_process(self) -> bool:
        return self._model.in_process

    async def open(self) -> None:
        await self._model.open()
        self._bytes = TokenBytes(self._model.vocabulary)

    def prompt(self, question: Question) -> list[int]:
        return self._model.prompt(question)

    def release(self, rows: Sequence[Hashable]) -> None:
        self._model.release(rows)

    async def aclose(self) -> None:
        await self._model.aclose()

    async def draft(self, asks: Sequence[DraftAsk]) -> list[Draft]:
        """As the model drafts, up to the first token that is forbidden, in whose place its best allowed one stands."""
        return [self._watch_draft(ask, draft) for ask, draft in zip(asks, await self._model.draft(asks), strict=True)]

    async def score(self, asks: Sequence[ScoreAsk]) -> list[Scores]:
        """What the model expects, without what is forbidden."""
        found = []
        for ask, scores in zip(asks, await self._model.score(asks), strict=True):
            watched = [
                self._restrict(distribution, ask.tokens[:place])
                for place, distribution in zip(ask.places, scores.distributions, strict=True)
            ]
            found.append(Scores(watched, scores.usage))
        return found

    def _watch_draft(self, ask: DraftAsk, draft: Draft) -> Draft:
        tokens: list[int] = []
        distributions: list[Distribution] = []
        for place, (token, distribution) in enumerate(zip(draft.tokens, draft.distributions, strict=True)):
            allowed = self._restrict(distribution, [*ask.tokens, *tokens])
            distributions.append(allowed)
            if allowed is not distribution:
                draw = ask.draw
                chosen = allowed.best if draw is None else _draw(allowed, draw.uniforms[place], draw.temperature)
                tokens.append(chosen)
                if chosen != token:
                    break
            else:
                tokens.append(token)
        return Draft(tokens, distributions, draft.usage)

    def _restrict(self, distribution: Distribution, tokens: Sequence[int]) -> Distribution:
        text = self._text_of(tokens)
        watching = [may for monitor in self._monitors if (may := monitor.watch(text)) is not None]
        if not watching:
            return distribution
        row = distribution.row()
        if row is None:
            known = distribution.top(EVERYTHING)
            left = [(token, value) for token, value in known if self._allows(token, watching)]
            return TopDistribution(_renormalised(left)) if left else distribution
        kept = np.array([self._allows(token, watching) for token in range(len(row))])
        if not kept.any():
            return distribution
        masked = np.where(kept, row.astype(np.float64), NEVER)
        return DenseDistribution((masked - _logsum(masked)).astype(np.float32))

    def _allows(self, token: int, watching: Sequence[Callable[[bytes], bool]]) -> bool:
        key = self._bytes.key_of(token)
        return key is not None and all(may(key) for may in watching)

    def _text_of(self, tokens: Sequence[int]) -> bytes:
        """What is written back to the last token without text."""
        pieces: list[bytes] = []
        size = 0
        for token in reversed(tokens):
            piece = self._model.vocabulary.bytes_of(token)
            if piece is None or size > REACH:
                break
            pieces.append(piece)
            size += len(piece)
        return b"".join(reversed(pieces))


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
