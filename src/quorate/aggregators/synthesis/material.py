"""What a model reads of the candidates: in a seeded order, without thinking, cut to its context.

Nothing is dropped in silence: a text that was cut, or that says nothing outside its thinking, is told
as a `Degradation` with the code `candidate_cut`.
"""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.partial import failure_of
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Candidate, Degradation

from ..markup import visible

__all__ = [
    "LabelledText",
    "Material",
    "TokenBudget",
    "TokenCounting",
    "allocate",
    "label_candidate",
    "load_tokenizer",
    "order_canonically",
    "pack",
    "shuffle_candidates",
    "truncate_middle",
    "visible_answer",
]

CHARACTERS_A_TOKEN = 3
"""Careful for English (about 4), about right for mathematics and code, where no tokenizer is at hand."""


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


async def load_tokenizer(model: Model) -> None:
    """Loads what counts a model's tokens beside the event loop; a model that cannot load says so when it is asked."""
    if (counter := _counter_of(model)) is not None:
        try:
            await asyncio.to_thread(counter.count_tokens, "")
        except Exception as error:
            failure_of(error)


@dataclass(frozen=True)
class TokenBudget:
    """Tokens that several texts may take together."""

    tokens: int
    count: Callable[[str], int] | None = None
    """The model's own count; `CHARACTERS_A_TOKEN` where it has none."""

    @classmethod
    def of(cls, model: Model, tokens: int, frame: Sequence[str] = ()) -> TokenBudget:
        """At most `tokens`, and where the model's context is known, what the rest of the prompt leaves of it.

        A quarter of that context stays free for the answer.

        Args:
            model: that shall read the texts.
            tokens: as many as are wanted.
            frame: the texts of the prompt around them.
        """
        counter = _counter_of(model)
        count = None if counter is None else counter.count_tokens
        try:
            used = sum(map(count or _estimate, frame or ("",)))
        except Exception as error:
            # A model that cannot load will say so when it is asked, and its failure is told then.
            failure_of(error)
            return cls(tokens)
        context = model.identity.context
        return cls(tokens if context is None else max(1, min(tokens, context * 3 // 4 - used)), count)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Characters to keep of each text."""
        if self.count is None:
            return allocate([len(text) for text in texts], self.tokens * CHARACTERS_A_TOKEN)
        sizes = [self.count(text) for text in texts]
        kept = allocate(sizes, self.tokens)
        return [len(t) if k == size else self._longest(t, k) for t, k, size in zip(texts, kept, sizes, strict=True)]

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
    """How much of each text to keep: all of the short ones, and equal shares for those that are too long."""
    kept, left = [0] * len(lengths), limit
    for place, index in enumerate(sorted(range(len(lengths)), key=lambda i: lengths[i])):
        kept[index] = min(lengths[index], max(0, left) // (len(lengths) - place))
        left -= kept[index]
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


class LabelledText(NamedTuple):
    """One text with the name that notes give it."""

    label: str
    text: str


@dataclass(frozen=True)
class Material:
    """The texts as they fit, and what had to be left out of them."""

    texts: tuple[str, ...]
    notes: tuple[Degradation, ...]


def order_canonically(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that are ok, in an order that depends on their content alone."""
    return sorted((c for c in candidates if c.ok), key=lambda c: (c.text, c.model, c.index))


def shuffle_candidates(candidates: Iterable[Candidate], run: RunContext) -> list[Candidate]:
    """Those that are ok, in an order drawn by the run's seed and node, whatever order they came in."""
    found = order_canonically(candidates)
    run.rng("order").shuffle(found)
    return found


def visible_answer(candidate: Candidate) -> str:
    """What the candidate says after its thinking, its tool calls as JSON."""
    calls = [json.dumps(dict(call), ensure_ascii=False, sort_keys=True) for call in candidate.tool_calls]
    return "\n".join([visible(candidate.text).strip(), *calls]).strip()


def label_candidate(candidate: Candidate) -> LabelledText:
    """A candidate as it is read, under its index."""
    return LabelledText(f"#{candidate.index}", visible_answer(candidate))


def pack(items: Sequence[LabelledText], budget: TokenBudget, where: str) -> Material:
    """The texts cut to the budget; those that say nothing are left out.

    Args:
        items: in the order in which they are read.
        budget: for all of them together.
        where: who reads them, for the notes.
    """
    said = [(label, text) for label, text in items if text]
    silent = {label: "it says nothing outside its thinking" for label, text in items if not text}
    kept = budget.lengths([text for _, text in said])
    cut = {
        label: f"the aggregator read {length} of {len(text)} characters"
        for (label, text), length in zip(said, kept, strict=True)
        if length < len(text)
    }
    return Material(
        texts=tuple(truncate_middle(text, length) for (_, text), length in zip(said, kept, strict=True)),
        notes=tuple(
            Degradation(code="candidate_cut", where=f"{where} {label}", detail=detail)
            for label, detail in (silent | cut).items()
        ),
    )
