"""Who used which tokens of a request, so that its candidates sum to what the server counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

from quorate.orchestrator.identity import Price
from quorate.orchestrator.partial import NOTHING
from quorate.orchestrator.types import Usage

__all__ = ["CHARACTERS", "LARGEST", "Counts", "Share", "UsageSplitter", "estimate_tokens", "is_count"]

CHARACTERS = 4
"""Of usual text in a token, where nobody counted."""
LARGEST = 1e15
"""No honest count or log-probability is further from zero."""


def is_count(value: Any) -> TypeGuard[int]:
    """Whether a value of a reply can be a number of tokens."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def estimate_tokens(characters: int) -> int:
    """Our own count of a text, rounded up."""
    return -(-characters // CHARACTERS)


class Counts(NamedTuple):
    """Tokens as the server counts them."""

    prompt: int
    completion: int
    reasoning: int = 0
    """Of the completion."""
    certain: bool = True
    """Whether its numbers agree with each other."""
    of_one: bool = False
    """It is of one choice, however many there are."""

    @classmethod
    def of(cls, reply: Mapping[str, Any]) -> Counts | None:
        """The account in a reply, a chunk or a choice, if it holds one that can be used.

        It is in `usage`, or in Groq's `x_groq`, in the words of OpenAI or of Anthropic.
        """
        usage = reply.get("usage")
        if usage is None and isinstance(groq := reply.get("x_groq"), dict):
            usage = groq.get("usage")
        counts = cls._read(usage) if isinstance(usage, dict) else None
        timings = reply.get("timings")  # llama.cpp's: of one of its slots, as the usage beside them
        if counts is not None and isinstance(timings, dict) and timings.get("predicted_n") == counts.completion:
            return counts._replace(of_one=True)
        return counts

    @classmethod
    def _read(cls, usage: Mapping[str, Any]) -> Counts | None:
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if (
            type(prompt) is int
            and type(completion) is int
            and usage.get("total_tokens") == prompt + completion
            and 0 < prompt <= LARGEST
            and 0 <= completion <= LARGEST
            and usage.get("completion_tokens_details") is None
            and "reasoning_tokens" not in usage
        ):
            return cls(prompt, completion)  # as nearly all chunks tell it
        return cls._add_up(usage)

    @classmethod
    def _add_up(cls, usage: Mapping[str, Any]) -> Counts | None:
        """Numbers that may be floats, be missing, have other names, or leave the thinking out."""
        prompt = _count_in(usage, "prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens", "promptTokens")
        completion = _count_in(
            usage, "completion_tokens", "output_tokens", "candidatesTokenCount", "outputTokens", "completionTokens"
        )
        total = _count_in(usage, "total_tokens", "totalTokenCount", "totalTokens")
        if "input_tokens" in usage and "prompt_tokens" not in usage and prompt is not None:  # Anthropic's leave it out
            prompt += sum(_count_in(usage, f"cache_{way}_input_tokens") or 0 for way in ("read", "creation"))
        if total and prompt is None and completion is not None:
            prompt = total - completion
        if total and completion is None and prompt is not None:
            completion = total - prompt
        if prompt is None or completion is None or min(prompt, completion) < 0 or not (prompt or completion):
            return None
        nested = (usage.get("completion_tokens_details"), usage.get("output_tokens_details"), usage)
        found = (_count_in(holder, "reasoning_tokens", "thoughtsTokenCount") for holder in nested)
        reasoning = next((count for count in found if count), 0)
        if reasoning and (total == prompt + completion + reasoning or reasoning > completion):  # xAI counts it beside
            completion += reasoning
        left = (total or prompt + completion) - prompt - completion
        if left > 0:  # Gemini's thinking is in the total alone
            completion, reasoning = completion + left, reasoning or left
        return cls(prompt, completion, min(reasoning, completion), certain=left == 0)


def _count_in(holder: Any, *names: str) -> int | None:
    """The first of these numbers that is above zero; else zero if one is told."""
    values = [_whole(holder.get(name)) for name in names] if isinstance(holder, dict) else []
    told = [value for value in values if value is not None]
    return next((value for value in told if value), 0) if told else None


def _whole(value: Any) -> int | None:
    """A number of tokens, also one written as a float or as text."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST:
        value = int(value)
    return value if is_count(value) else None


class Share(Protocol):
    """What is known of the part of one candidate in a request."""

    @property
    def counts(self) -> Counts | None:
        """Tokens of this one alone, where the server tells them."""
        ...

    @property
    def logprobs(self) -> Sequence[Any] | None:
        """One a token, where they were asked for."""
        ...

    @property
    def reasoning(self) -> str: ...

    @property
    def finish(self) -> str | None:
        """Why it ended."""
        ...

    @property
    def pieces(self) -> int:
        """Streamed parts that it came in."""
        ...

    @property
    def characters(self) -> int:
        """Characters in all."""
        ...


class UsageSplitter:
    """What one request cost, and which of its candidates bear how much of it.

    The prompt and the number of tries fall to the first candidate. Generated tokens are exact for
    one choice, or where the server told each one's; else they are shared out in proportion to what
    each wrote, and marked `estimated`.

    Args:
        prompt: gives the text sent, for servers that never count.
        price: money for tokens.
        tries: requests made in vain before this one.
        max_tokens: so many has a choice that was cut at its length.
    """

    def __init__(
        self, prompt: Callable[[], str], price: Price | None, tries: int, max_tokens: int | None = None
    ) -> None:
        self._prompt = prompt
        self._price = price
        self._max_tokens = max_tokens
        self.tries = tries
        self.working = False
        """The server may be generating, so that tokens it has not told of count too."""
        self.total: Counts | None = None
        """Of the whole request, once the server has told."""
        self.guessed = False
        """Some of it is our own count; a total merely shared out is not."""
        self.in_vain: Sequence[Share] = ()
        """Choices that no candidate is made of."""
        self.doubted = False
        """The server's total was less than what its choices must have."""
        self._given: list[Usage] = []

    @property
    def total_given(self) -> Usage:
        """What the candidates that have ended bear."""
        return self._given[0] if len(self._given) == 1 else Usage.total(self._given)

    @property
    def untaken(self) -> int:
        """Tries that no candidate has taken on yet."""
        return self.tries - sum(usage.requests for usage in self._given)

    def charge(self, usage: Usage) -> Usage | None:
        """What the ledger books for a candidate's usage, where that differs: a total that is merely shared is exact."""
        return None if usage.estimated == self.guessed else usage.model_copy(update={"estimated": self.guessed})

    def part(self, choice: Share, *, first: bool) -> Usage:
        """The usage of a choice that ends before the others, by the server's count for it alone."""
        counts = choice.counts or Counts(0, 0)
        self.guessed = self.guessed or not counts.certain
        return self._give(counts.prompt if first else 0, counts.completion, counts.reasoning, first=first)

    def rest(self, choices: Sequence[Share]) -> list[Usage]:
        """All that is left, over the choices that are left."""
        counts, likely = self.total or self._count(choices), None
        if self._is_too_low(counts, choices):
            self.doubted, likely = True, [self._likely(choice) for choice in choices]
            given = self.total_given.completion_tokens
            counts = counts._replace(completion=given + sum(likely), certain=False)
        self.guessed = self.guessed or not counts.certain
        prompt, completion, reasoning = self._less_given(counts)
        if len(choices) == 1:
            return [self._give(prompt, completion, reasoning, first=True, estimated=self.guessed)]
        exact = likely or _exact_shares(completion, choices) or self._shares_of_cut(completion, choices)
        shares = zip(
            exact or _portions(completion, [_size(c) for c in choices]),
            _portions(reasoning, [c.counts.reasoning if c.counts else len(c.reasoning) for c in choices]),
            strict=True,
        )
        estimated = self.guessed or exact is None
        return [
            self._give(0 if i else prompt, tokens, thoughts, first=i == 0, estimated=estimated)
            for i, (tokens, thoughts) in enumerate(shares)
        ]

    def _is_too_low(self, total: Counts, choices: Sequence[Share]) -> bool:
        """Whether several choices must have more: all that they may, where they were cut at their length."""
        if len(choices) < 2:
            return False
        given = self.total_given.completion_tokens
        return total.of_one or total.completion - given < sum(map(self._least, choices))

    def _is_cut(self, choice: Share) -> bool:
        return choice.finish == "length" and self._max_tokens is not None

    def _least(self, choice: Share) -> int:
        if choice.counts is not None or self._is_cut(choice):
            return self._likely(choice)
        told = len(choice.logprobs) - 1 if choice.logprobs else 0  # one may be that of a token that ends it
        return max(told, min(1, choice.characters))

    def _likely(self, choice: Share) -> int:
        """Tokens of one choice by what is known of it alone."""
        if choice.counts is not None:
            return choice.counts.completion
        return (self._max_tokens or 0) if self._is_cut(choice) else _size(choice)

    def _shares_of_cut(self, total: int, choices: Sequence[Share]) -> list[int] | None:
        """Tokens of each choice where all but one at most were cut at their length."""
        left = total - sum(self._likely(choice) for choice in choices if self._is_cut(choice))
        others = sum(not self._is_cut(choice) for choice in choices)
        fits = left == 0 if not others else left >= 0 and others == 1
        return [self._likely(choice) if self._is_cut(choice) else left for choice in choices] if fits else None

    def _less_given(self, counts: Counts) -> tuple[int, int, int]:
        given = self.total_given if self._given else NOTHING
        return (
            max(0, counts.prompt - given.prompt_tokens),
            max(0, counts.completion - given.completion_tokens),
            max(0, counts.reasoning - given.reasoning_tokens),
        )

    def _count(self, choices: Sequence[Share]) -> Counts:
        """The request's total so far where the server has not told it: its counts by choice, else our own."""
        given = self.total_given
        prompt = next((c.counts.prompt for c in choices if c.counts is not None), given.prompt_tokens)
        if self.working and not all(c.counts for c in choices):
            self.guessed = True
            prompt = prompt or estimate_tokens(len(self._prompt()))
        completion = sum(c.counts.completion if c.counts else _size(c) for c in (*choices, *self.in_vain))
        reasoning = sum(c.counts.reasoning if c.counts else 0 for c in choices)
        certain = all(c.counts.certain for c in choices if c.counts is not None)
        return Counts(prompt, completion + given.completion_tokens, reasoning + given.reasoning_tokens, certain)

    def _give(self, prompt: int, tokens: int, thoughts: int, *, first: bool, estimated: bool = False) -> Usage:
        usage = Usage(
            prompt_tokens=prompt,
            completion_tokens=tokens,
            reasoning_tokens=thoughts,
            requests=self.untaken if first else 0,
            cost=self._price.of(prompt, tokens) if self._price else None,
            estimated=estimated and bool(prompt or tokens),
        )
        self._given.append(usage)
        return usage


def _exact_shares(total: int, choices: Sequence[Share]) -> list[int] | None:
    """Tokens of each choice by the server's word, where its words agree with the total."""
    by_usage = [c.counts.completion for c in choices if c.counts is not None]
    by_logprobs = [len(c.logprobs) for c in choices if c.logprobs is not None]
    fits = (shares for shares in (by_usage, by_logprobs) if len(shares) == len(choices) and sum(shares) == total)
    return next(fits, None)


def _size(choice: Share) -> int:
    """Our own count: a token for each piece that came, or more where pieces are long."""
    if choice.logprobs is not None:
        return len(choice.logprobs)
    return max(choice.pieces, estimate_tokens(choice.characters))


def _portions(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers in proportion to the weights that sum to the total (largest remainders)."""
    weights = weights if any(weights) else [1] * len(weights)
    whole = sum(weights)
    portions = [total * w // whole for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in by_remainder[: total - sum(portions)]:
        portions[i] += 1
    return portions
