"""How much a model can read: its context, its own count of tokens, and texts cut to both."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from quorate.orchestrator.errors import PromptTooLong
from quorate.orchestrator.partial import failure_of
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.types import Question

__all__ = [
    "ContextLearning",
    "TokenBudget",
    "TokenCounting",
    "allocate",
    "context_of",
    "learn_limits",
    "leave_room",
    "truncate_middle",
    "until_it_fits",
]

CHARACTERS_A_TOKEN = 3
"""Careful for English (about 4), about right for mathematics and code, where no tokenizer is at hand."""
SMALL = 256
"""Tokens of texts that fit any context, so that no server is asked how long its own is."""
TRIES = 4
"""Prompts that are sent at most where a server finds them too long."""


@runtime_checkable
class TokenCounting(Protocol):
    """A model that has its tokenizer at hand."""

    def count_tokens(self, text: str) -> int:
        """Tokens of a text; may load the model."""
        ...


def _counter_of(model: Model) -> TokenCounting | None:
    """The model, or the only one behind it, if it can count."""
    while not isinstance(model, TokenCounting):
        if len(model.parts) != 1:
            return None
        [model] = model.parts
    return model


@runtime_checkable
class ContextLearning(Protocol):
    """A model whose server knows how long its context is."""

    async def learn_context(self) -> None:
        """Finds out, once; `Identity.context` has it then."""
        ...


def _leaves(model: Model) -> Iterator[Model]:
    """The single models behind a model."""
    if model.parts and not isinstance(model, ContextLearning):
        for part in model.parts:
            yield from _leaves(part)
    else:
        yield model


async def learn_limits(model: Model, texts: Sequence[str]) -> None:
    """What is needed to fit texts into a model's context, found out beside the event loop.

    A model that cannot load says so when it is asked.

    Args:
        model: that shall read them.
        texts: what it shall read; a few short ones fit any context.
    """
    if (counter := _counter_of(model)) is not None:
        try:
            await asyncio.to_thread(counter.count_tokens, "")
        except Exception as error:
            failure_of(error)
    if sum(map(_estimate, texts)) > SMALL:
        learners = [leaf for leaf in _leaves(model) if isinstance(leaf, ContextLearning)]
        await gather([leaf.learn_context() for leaf in learners])


def context_of(model: Model) -> int | None:
    """Tokens that prompt and answer may have together, by the shortest context of the models behind it."""
    return min((single.context for single in model.identity.singles if single.context), default=None)


def leave_room(asked: Question, model: Model) -> Question:
    """A question whose answer may be no longer than its prompt leaves of the model's context."""
    context, most = context_of(model), asked.sampling.max_tokens
    if context is None or most is None:
        return asked
    used = sum(TokenBudget.of(model, 1).size(message.text) for message in asked.messages)
    left = max(context // 4, context - used - used // 8)  # the estimate, and the marks of a chat template
    return asked if most <= left else asked.with_params(max_tokens=left)


T = TypeVar("T")


async def until_it_fits(
    model: Model, attempt: Callable[[float], Awaitable[T]], code_of: Callable[[T], str | None]
) -> T:
    """Asks again with less to read where a server says that a prompt was too long.

    What it says of its context is known by then; where it says nothing, or the texts have more tokens than was
    estimated, the next prompt holds half.

    Args:
        model: that is asked.
        attempt: asks it, with this share of what was thought to fit; gives what came of it.
        code_of: the code of the failure in that, if it is one.
    """
    share = 1.0
    for tried in range(1, TRIES + 1):
        known = context_of(model)
        found = await attempt(share)
        if code_of(found) != PromptTooLong.code or tried == TRIES:
            break
        share = share / 2 if context_of(model) == known else share
    return found


@dataclass(frozen=True)
class TokenBudget:
    """Tokens that several texts may take together."""

    tokens: int
    count: Callable[[str], int] | None = None
    """The model's own count; `CHARACTERS_A_TOKEN` where it has none."""
    share: float = 1.0
    """Of what fits by that count, where a server has said that it was too much."""

    @classmethod
    def of(
        cls, model: Model, tokens: int, frame: Sequence[str] = (), *, answer: int | None = None, share: float = 1.0
    ) -> TokenBudget:
        """At most `tokens`, and where the model's context is known, what the rest of the prompt leaves of it.

        A quarter of that context stays free for the answer, or as much as the answer may have, up to a half.

        Args:
            model: that shall read the texts.
            tokens: as many as are wanted.
            frame: the texts of the prompt around them.
            answer: tokens that the answer may have.
            share: see the class.
        """
        counter = _counter_of(model)
        count = None if counter is None else counter.count_tokens
        try:
            used = sum(map(count or _estimate, frame or ("",)))
        except Exception as error:
            # A model that cannot load will say so when it is asked, and its failure is told then.
            failure_of(error)
            return cls(tokens, share=share)
        context = context_of(model)
        if context is not None:
            free = max(context // 4, min(answer or 0, context // 2))
            tokens = max(1, min(tokens, context - free - used))
        return cls(tokens, count, share)

    def size(self, text: str) -> int:
        """Tokens of a text, counted or estimated."""
        return (self.count or _estimate)(text)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Characters to keep of each text."""
        if self.count is None:
            characters = [len(text) for text in texts]
            return allocate(characters, self._room(self.tokens * CHARACTERS_A_TOKEN, sum(characters)))
        sizes = [self.count(text) for text in texts]
        kept = allocate(sizes, self._room(self.tokens, sum(sizes)))
        return [len(t) if k == size else self._longest(t, k) for t, k, size in zip(texts, kept, sizes, strict=True)]

    def _room(self, most: int, used: int) -> int:
        return most if self.share == 1 else int(min(most, used) * self.share)

    def _longest(self, text: str, tokens: int) -> int:
        """Most characters of beginning and end that take no more than these tokens."""
        count = self.count
        assert count is not None

        def count_taken(length: int) -> int:
            head = length // 3
            return count(text[:head]) + count(text[len(text) - length + head :])

        return max(0, bisect_right(range(len(text)), tokens, key=count_taken) - 1)


def _estimate(text: str) -> int:
    return -(-len(text) // CHARACTERS_A_TOKEN)


def allocate(lengths: Sequence[int], limit: int) -> list[int]:
    """How much of each text to keep: as many as can be are whole, and equal shares go to the others.

    No text is cut to less than half of an equal share so that another one stays whole.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    least = max(0, limit) // (2 * len(lengths)) if lengths else 0
    whole, left = 0, max(0, limit)
    for place, index in enumerate(order):
        behind = sum(min(lengths[i], least) for i in order[place + 1 :])
        if lengths[index] + behind > left:
            break
        whole, left = place + 1, left - lengths[index]
    kept = [0] * len(lengths)
    for place, index in enumerate(order):
        kept[index] = lengths[index] if place < whole else min(lengths[index], left // (len(lengths) - place))
        left -= kept[index] if place >= whole else 0
    return kept


def truncate_middle(text: str, length: int) -> str:
    """The text with its middle cut out if it is longer; a mark tells how much is missing.

    Beginning and end hold the approach and the result; the end gets two thirds.
    """
    if len(text) <= length:
        return text
    head, tail = length // 3, length - length // 3
    mark = f"\n[... {len(text) - length} characters cut ...]\n"
    return text[:head] + mark + text[len(text) - tail :]
