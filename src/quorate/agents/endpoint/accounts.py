"""Who used which tokens of a request, so that its candidates sum to what the server counted."""

from __future__ import annotations

from collections.abc import Sequence

from quorate.orchestrator.types import Usage

from .reply import Choice, Counts
from .settings import Price

__all__ = ["Bill"]

CHARACTERS = 4
"""Of usual text in a token, where nobody counted."""


class Bill:
    """What one request cost, and which of its candidates bear how much of it.

    The prompt and the number of tries fall to the first candidate. Generated tokens are exact for
    one choice, or where the server told each one's; else they are shared out in proportion to what
    each wrote, and marked `estimated`.

    Args:
        prompt: the text sent, for servers that never count.
        price: money for tokens.
        tries: requests made in vain before this one.
    """

    def __init__(self, prompt: str, price: Price | None, tries: int) -> None:
        self._prompt = prompt
        self._price = price
        self.tries = tries
        self.working = False
        """The server may be generating, so that tokens it has not told of count too."""
        self.total: Counts | None = None
        """Of the whole request, once the server has told."""
        self.guessed = False
        """Some of it is our own count; a total merely shared out is not."""
        self._given = Usage()

    @property
    def given(self) -> Usage:
        """What the candidates that have ended bear."""
        return self._given

    @property
    def untaken(self) -> int:
        """Tries that no candidate has taken on yet."""
        return self.tries - self._given.requests

    def part(self, choice: Choice, *, first: bool) -> Usage:
        """The usage of a choice that ends before the others, by the server's count for it alone."""
        counts = choice.counts or Counts(0, 0)
        return self._give(counts.prompt if first else 0, counts.completion, counts.reasoning, first=first)

    def rest(self, choices: Sequence[Choice]) -> list[Usage]:
        """All that is left, over the choices that are left."""
        counts = self.total or self._counted(choices)
        prompt = max(0, counts.prompt - self._given.prompt_tokens)
        completion = max(0, counts.completion - self._given.completion_tokens)
        reasoning = max(0, counts.reasoning - self._given.reasoning_tokens)
        told = _told(completion, choices)
        shares = zip(
            told or _portions(completion, [_size(c) for c in choices]),
            _portions(reasoning, [c.counts.reasoning if c.counts else len(c.reasoning) for c in choices]),
            strict=True,
        )
        estimated = self.guessed or told is None
        return [
            self._give(0 if i else prompt, tokens, thoughts, first=i == 0, estimated=estimated)
            for i, (tokens, thoughts) in enumerate(shares)
        ]

    def _counted(self, choices: Sequence[Choice]) -> Counts:
        """The request's total so far where the server has not told it: its counts by choice, else our own."""
        prompt = next((c.counts.prompt for c in choices if c.counts is not None), self._given.prompt_tokens)
        if self.working and not all(c.counts for c in choices):
            self.guessed = True
            prompt = prompt or -(-len(self._prompt) // CHARACTERS)
        completion = sum(c.counts.completion if c.counts else _size(c) for c in choices)
        reasoning = sum(c.counts.reasoning if c.counts else 0 for c in choices)
        given = self._given
        return Counts(prompt, completion + given.completion_tokens, reasoning + given.reasoning_tokens)

    def _give(self, prompt: int, tokens: int, thoughts: int, *, first: bool, estimated: bool = False) -> Usage:
        usage = Usage(
            prompt_tokens=prompt,
            completion_tokens=tokens,
            reasoning_tokens=thoughts,
            requests=self.untaken if first else 0,
            cost=self._price.of(prompt, tokens) if self._price else None,
            estimated=estimated and bool(prompt or tokens),
        )
        self._given += usage
        return usage


def _told(total: int, choices: Sequence[Choice]) -> list[int] | None:
    """Tokens of each choice by the server's word."""
    if len(choices) == 1:
        return [total]
    by_usage = [c.counts.completion for c in choices if c.counts is not None]
    by_logprobs = [len(c.logprobs) for c in choices if c.logprobs is not None]
    fits = (told for told in (by_usage, by_logprobs) if len(told) == len(choices) and sum(told) == total)
    return next(fits, None)


def _size(choice: Choice) -> int:
    """Our own count: a token for each piece that came, or more where pieces are long."""
    if choice.logprobs is not None:
        return len(choice.logprobs)
    return max(choice.pieces, -(-choice.written // CHARACTERS))


def _portions(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers in proportion to the weights that sum to the total (largest remainders)."""
    weights = weights if any(weights) else [1] * len(weights)
    whole = sum(weights)
    portions = [total * w // whole for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in by_remainder[: total - sum(portions)]:
        portions[i] += 1
    return portions
