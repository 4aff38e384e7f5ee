"""What a synthesizer reads of the candidates: in a seeded order, without thinking, cut to its context.

Nothing is dropped in silence: a text that was cut, or that says nothing outside its thinking, is told
as a `Degradation` with the code `candidate_cut`.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import failure_of
from quorate.orchestrator.types import Candidate, Degradation

from ..context import CHARACTERS_A_TOKEN, fitted, shares
from ..markup import visible

__all__ = ["Counts", "Item", "Material", "Room", "canonical", "item", "laid_out", "shuffled", "told"]


@runtime_checkable
class Counts(Protocol):
    """A model that knows its tokenizer and its context."""

    def context_tokens(self) -> int:
        """Tokens that prompt and answer may have together; may load the model."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a text; may load the model."""
        ...


@dataclass(frozen=True)
class Room:
    """Tokens that the texts may take together."""

    tokens: int
    count: Callable[[str], int] | None = None
    """The model's own count; three characters a token where it has none."""

    @classmethod
    def of(cls, model: Model, tokens: int, frame: Sequence[str] = ()) -> Room:
        """At most `tokens`, and where the model knows its context, what the rest of the prompt leaves of it.

        A quarter of that context stays free for the answer.
        """
        if not isinstance(model, Counts):
            return cls(tokens)
        try:
            free = model.context_tokens() * 3 // 4 - sum(map(model.count_tokens, frame))
        except Exception as error:
            # A model that cannot load will say so when it is asked, and its failure is told then.
            failure_of(error)
            return cls(tokens)
        return cls(max(1, min(tokens, free)), model.count_tokens)

    def kept(self, texts: Sequence[str]) -> list[int]:
        """Characters to keep of each text."""
        if self.count is None:
            return shares([len(text) for text in texts], self.tokens * CHARACTERS_A_TOKEN)
        sizes = [self.count(text) for text in texts]
        kept = shares(sizes, self.tokens)
        return [len(t) if k == size else self._longest(t, k) for t, k, size in zip(texts, kept, sizes, strict=True)]

    def _longest(self, text: str, tokens: int) -> int:
        """Most characters of beginning and end that take no more than these tokens."""
        count = self.count
        assert count is not None

        def taken(length: int) -> int:
            head = length // 3
            return count(text[:head]) + count(text[len(text) - length + head :])

        return max(0, bisect_right(range(len(text)), tokens, key=taken) - 1)


class Item(NamedTuple):
    """One text with the name that notes give it."""

    label: str
    text: str


@dataclass(frozen=True)
class Material:
    """The texts as they fit, and what had to be left out of them."""

    texts: tuple[str, ...]
    notes: tuple[Degradation, ...]


def canonical(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that are ok, in an order that depends on their content alone."""
    return sorted((c for c in candidates if c.ok), key=lambda c: (c.text, c.model, c.index))


def shuffled(candidates: Sequence[Candidate], run: RunContext) -> list[Candidate]:
    """Those that are ok, in an order drawn by the run's seed and stage, whatever order they came in."""
    found = canonical(candidates)
    run.rng("order").shuffle(found)
    return found


def told(candidate: Candidate) -> str:
    """What the candidate says after its thinking, its tool calls as JSON."""
    calls = [json.dumps(dict(call), ensure_ascii=False, sort_keys=True) for call in candidate.tool_calls]
    return "\n".join([visible(candidate.text).strip(), *calls]).strip()


def item(candidate: Candidate) -> Item:
    return Item(f"#{candidate.index}", told(candidate))


def laid_out(items: Sequence[Item], room: Room, where: str) -> Material:
    """The texts cut to the room; those that say nothing are left out."""
    said = [(label, text) for label, text in items if text]
    silent = {label: "it says nothing outside its thinking" for label, text in items if not text}
    kept = room.kept([text for _, text in said])
    cut = {
        label: f"the aggregator read {length} of {len(text)} characters"
        for (label, text), length in zip(said, kept, strict=True)
        if length < len(text)
    }
    return Material(
        texts=tuple(fitted(text, length) for (_, text), length in zip(said, kept, strict=True)),
        notes=tuple(
            Degradation(code="candidate_cut", where=f"{where} {label}", detail=detail)
            for label, detail in (silent | cut).items()
        ),
    )
