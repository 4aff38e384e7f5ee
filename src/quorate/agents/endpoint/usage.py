"""Who used which tokens of a request, so that its candidates sum to what the server counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

from quorate.orchestrator.identity import Price
from quorate.orchestrator.usage import Usage

__all__ = ["CHARACTERS", "LARGEST", "Counts", "Share", "UsageSplitter", "estimate_tokens", "is_count"]

CHARACTERS = 4
"""Of usual text in a token, where nobody counted."""
PLAIN = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
CACHED = (
    *("cached_tokens", "cache_read_input_tokens", "prompt_cache_hit_tokens", "cachedContentTokenCount"),
    *("cacheReadInputTokens", "num_cached_tokens"),
)
"""What servers call the tokens that they read from a cache: OpenAI, vLLM and OpenRouter; Anthropic; DeepSeek; Gemini;
Bedrock; Mistral."""
WRITTEN = ("cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens", "cacheWriteInputTokens")
TICKS = 1e10
"""xAI's in a dollar."""
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
    cached: int = 0
    """Of the prompt: read from the server's cache."""
    cache_write: int = 0
    """Of the prompt: written to it."""
    prompt_audio: int = 0
    """Of the prompt."""
    completion_audio: int = 0
    """Of the completion."""
    cost: float | None = None
    """Money, where the server tells it."""

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
            cached = counts.cached or _count_in(timings, "cache_n") or 0
            return counts._replace(of_one=True, cached=min(cached, counts.prompt))
        return counts

    @classmethod
    def of_prompt(cls, reply: Mapping[str, Any]) -> Counts:
        """The account of a reply to which nothing was generated; empty where there is none."""
        usage = reply.get("usage")
        counts = cls.of(reply)
        if counts is not None or not isinstance(usage, dict):
            return counts or cls(0, 0)
        return cls(_count_in(usage, "prompt_tokens", "input_tokens", "total_tokens") or 0, 0, cost=_read_cost(usage))

    def to_usage(self, price: Price | None, *, requests: int, estimated: bool = False) -> Usage:
        """As ledgers have it, with what it costs: by the server's own word, else by the price."""
        cost = self.cost
        if cost is None and price is not None:
            cost = price.of(
                self.prompt,
                self.completion,
                cached=self.cached,
                cache_write=self.cache_write,
                audio_prompt=self.prompt_audio,
                audio_completion=self.completion_audio,
            )
        return Usage(
            prompt_tokens=self.prompt,
            completion_tokens=self.completion,
            reasoning_tokens=self.reasoning,
            cached_tokens=self.cached,
            cache_write_tokens=self.cache_write,
            prompt_audio_tokens=self.prompt_audio,
            completion_audio_tokens=self.completion_audio,
            requests=requests,
            cost=cost,
            estimated=estimated,
        )

    def without_prompt(self) -> Counts:
        """Of another choice of the same request."""
        return self._replace(prompt=0, cached=0, cache_write=0, prompt_audio=0)

    @classmethod
    def _read(cls, usage: Mapping[str, Any]) -> Counts | None:
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if (
            type(prompt) is int
            and type(completion) is int
            and usage.get("total_tokens") == prompt + completion
            and 0 < prompt <= LARGEST
            and 0 <= completion <= LARGEST
            and (len(usage) == 3 or all(usage[name] is None for name in usage.keys() - PLAIN))
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
        counts = cls(prompt, completion, min(reasoning, completion), certain=left == 0, cost=_read_cost(usage))
        return counts._with_parts(usage)

    def _with_parts(self, usage: Mapping[str, Any]) -> Counts:
        """With what had a price of its own; the parts of a prompt are no more than it."""
        read, written = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
        holders = (read, usage.get("input_tokens_details"), usage)
        cached = min(_first_count(holders, *CACHED), self.prompt)
        cache_write = min(_first_count(holders, *WRITTEN), self.prompt - cached)
        return self._replace(
            cached=cached,
            cache_write=cache_write,
            prompt_audio=min(_first_count((read,), "audio_tokens"), self.prompt - cached - cache_write),
            completion_audio=min(_first_count((written,), "audio_tokens"), self.completion),
        )


def _first_count(holders: Iterable[Any], *names: str) -> int:
    """The first of these numbers above zero in any of the holders."""
    return next((count for holder in holders if (count := _count_in(holder, *names))), 0)


def _read_cost(usage: Mapping[str, Any]) -> float | None:
    """What the server says that it cost, in US dollars.

    OpenRouter's `cost` is what it takes; with a key of one's own (`is_byok`) the provider takes its part besides.
    Perplexity's is an object, xAI counts ticks.
    """
    cost, details = usage.get("cost"), usage.get("cost_details")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    if (ticks := _money(usage.get("cost_in_usd_ticks"))) is not None:
        cost = ticks / TICKS
    beside = details.get("upstream_inference_cost") if isinstance(details, dict) and usage.get("is_byok") is True else 0
    told = _money(cost)
    return None if told is None else told + (_money(beside) or 0.0)


def _money(value: Any) -> float | None:
    """An amount that can be one."""
    honest = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST
    return float(value) if honest else None


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
        return self._give(counts if first else counts.without_prompt(), first=first)

    def rest(self, choices: Sequence[Share]) -> list[Usage]:
        """All that is left, over the choices that are left."""
        counts, likely = self.total or self._count(choices), None
        if self._is_too_low(counts, choices):
            self.doubted, likely = True, [self._likely(choice) for choice in choices]
            given = self.total_given.completion_tokens
            counts = counts._replace(completion=given + sum(likely), certain=False)
        self.guessed = self.guessed or not counts.certain
        left = self._less_given(counts)
        if len(choices) == 1:
            return [self._give(left, first=True, estimated=self.guessed)]
        exact = likely or _exact_shares(left.completion, choices) or self._shares_of_cut(left.completion, choices)
        completions = exact or _portions(left.completion, [_size(c) for c in choices])
        reasonings = _portions(left.reasoning, [c.counts.reasoning if c.counts else len(c.reasoning) for c in choices])
        audios = _portions(left.completion_audio, completions)
        costs = _divide(left.cost, left.prompt, completions)
        estimated, shares = self.guessed or exact is None, zip(completions, reasonings, audios, costs, strict=True)
        parts = [
            left._replace(completion=tokens, reasoning=thoughts, completion_audio=audio, cost=cost)
            for tokens, thoughts, audio, cost in shares
        ]
        return [
            self._give(part.without_prompt() if i else part, first=i == 0, estimated=estimated)
            for i, part in enumerate(parts)
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

    def _less_given(self, counts: Counts) -> Counts:
        if not self._given:
            return counts
        given = self.total_given
        return counts._replace(
            prompt=max(0, counts.prompt - given.prompt_tokens),
            completion=max(0, counts.completion - given.completion_tokens),
            reasoning=max(0, counts.reasoning - given.reasoning_tokens),
            cached=max(0, counts.cached - given.cached_tokens),
            cache_write=max(0, counts.cache_write - given.cache_write_tokens),
            prompt_audio=max(0, counts.prompt_audio - given.prompt_audio_tokens),
            completion_audio=max(0, counts.completion_audio - given.completion_audio_tokens),
            cost=None if counts.cost is None else max(0.0, counts.cost - (given.cost or 0.0)),
        )

    def _count(self, choices: Sequence[Share]) -> Counts:
        """The request's total so far where the server has not told it: its counts by choice, else our own."""
        given = self.total_given
        known = [c.counts for c in choices if c.counts is not None]
        of_given = Counts(
            given.prompt_tokens,
            given.completion_tokens,
            cached=given.cached_tokens,
            cache_write=given.cache_write_tokens,
            prompt_audio=given.prompt_audio_tokens,
        )
        first = known[0] if known else of_given
        prompt = first.prompt
        if self.working and len(known) < len(choices):
            self.guessed = True
            prompt = prompt or estimate_tokens(len(self._prompt()))
        completion = sum(c.counts.completion if c.counts else _size(c) for c in (*choices, *self.in_vain))
        costs = [counts.cost for counts in known if counts.cost is not None]
        return first._replace(
            prompt=prompt,
            completion=completion + given.completion_tokens,
            reasoning=sum(counts.reasoning for counts in known) + given.reasoning_tokens,
            certain=all(counts.certain for counts in known),
            of_one=False,
            completion_audio=sum(counts.completion_audio for counts in known) + given.completion_audio_tokens,
            cost=sum(costs) + (given.cost or 0.0) if costs and len(costs) == len(choices) else None,
        )

    def _give(self, counts: Counts, *, first: bool, estimated: bool = False) -> Usage:
        usage = counts.to_usage(
            self._price,
            requests=self.untaken if first else 0,
            estimated=estimated and bool(counts.prompt or counts.completion),
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


def _divide(cost: float | None, prompt: int, completions: Sequence[int]) -> list[float | None]:
    """The cost of each choice, the first of which bears the prompt, by the number of tokens."""
    weights = [tokens + (0 if i else prompt) for i, tokens in enumerate(completions)]
    whole = sum(weights)
    return [None if cost is None else cost * w / whole if whole else cost / len(weights) for w in weights]


def _portions(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers in proportion to the weights that sum to the total (largest remainders)."""
    weights = weights if any(weights) else [1] * len(weights)
    whole = sum(weights)
    portions = [total * w // whole for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in by_remainder[: total - sum(portions)]:
        portions[i] += 1
    return portions
