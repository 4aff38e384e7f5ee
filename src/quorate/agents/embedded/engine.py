"""Continuous batching of one model's rows: prompts in, one token a row and step out.

A turn of its user is `join` (new prompts, if any), `draw` (a token for every row), marking the rows
that ended, and `advance` (the next logits of the others). Rows may join and leave between any two
steps. No threads, no asyncio, no text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch

from .cache import Part, argument, assemble, new_cache
from .choosing import Rule, Rules

__all__ = ["Drawn", "Engine", "Prompt", "Row"]

PREFILL = 4096
"""Tokens of one prefill, padding included; longer lists of prompts go in several."""


@dataclass(eq=False)
class Row:
    """One sample being drawn, with a random stream of its own."""

    rule: Rule
    seed: int | None = None
    """None draws from the system's entropy."""
    length: int = 0
    """Tokens in the cache."""
    done: bool = False
    """Set by the user: draw no more."""
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)


@dataclass(frozen=True)
class Prompt:
    """Token ids and the samples that continue them; they are read once for all."""

    tokens: Sequence[int]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One row's next token, with its log-probability before temperature and filters where asked."""

    row: Row
    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class Engine:
    """Rows of one model that are drawn together.

    Args:
        model: a transformers causal language model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache_argument = argument(model)
        self._rows: list[Row] = []
        self._cache: Any = None
        self._logits: Any = None
        self._tokens: Any = None

    @property
    def running(self) -> int:
        """Rows that have not ended."""
        return sum(not row.done for row in self._rows)

    def join(self, prompts: Sequence[Prompt]) -> None:
        """Reads new prompts and puts their rows beside those that run; on an error nothing has changed."""
        parts, logits, rows = self._kept()
        for group in _groups(prompts):
            cache, last = self._prefill([prompt.tokens for prompt in group])
            owners = [number for number, prompt in enumerate(group) for _ in prompt.rows]
            parts.append(Part(cache, owners))
            logits.append(last[owners])
            for prompt in group:
                rows.extend((row, len(prompt.tokens)) for row in prompt.rows)
        cache = assemble(parts, max(length for _, length in rows))
        for row, length in rows:
            row.length = length
        self._settle([row for row, _ in rows], cache, torch.cat(logits))

    def draw(self) -> list[Drawn]:
        """The next token of every running row."""
        uniforms = [0.0 if row.rule.temperature == 0 else row.random.random() for row in self._rows]
        self._tokens = self._rules.choose(self._logits, uniforms)
        tokens = self._tokens.tolist()
        if self._rules.top_logprobs is None:
            return [Drawn(row, token) for row, token in zip(self._rows, tokens, strict=True) if not row.done]
        return list(self._with_logprobs(tokens, self._rules.top_logprobs))

    def advance(self) -> None:
        """The logits after the tokens just drawn, for the rows that are not done."""
        if self.running < len(self._rows):
            self._compact()
        if self._rows:
            lengths = torch.tensor([row.length for row in self._rows], device=self._model.device)
            for row in self._rows:
                row.length += 1
            self._logits = self._forward(self._tokens.unsqueeze(1), lengths + 1, lengths.unsqueeze(1), self._cache)

    def _kept(self) -> tuple[list[Part], list[Any], list[tuple[Row, int]]]:
        """What goes on of the rows so far: caches, logits, and rows with their lengths."""
        alive = [number for number, row in enumerate(self._rows) if not row.done]
        if not alive:
            return [], [], []
        return [Part(self._cache, alive)], [self._logits[alive]], [(self._rows[n], self._rows[n].length) for n in alive]

    def _compact(self) -> None:
        """Drops the rows that are done: the last ones that go on move into their places."""
        count = self.running
        holes = [number for number, row in enumerate(self._rows[:count]) if row.done]
        movers = [number for number in range(count, len(self._rows)) if not self._rows[number].done]
        for mover, hole in zip(movers, holes, strict=True):
            self._rows[hole] = self._rows[mover]
        self._tokens[holes] = self._tokens[movers]
        self._tokens = self._tokens[:count]
        rows = self._rows[:count]
        for slab in self._cache.layers:
            slab.drop(dict(zip(movers, holes, strict=True)), count, max((row.length for row in rows), default=0))
        self._settle(rows, self._cache if rows else None, None)

    def _settle(self, rows: list[Row], cache: Any, logits: Any) -> None:
        self._rows, self._cache, self._logits = rows, cache, logits
        self._rules = Rules([row.rule for row in rows], self._model.device)

    def _prefill(self, prompts: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """A cache of these prompts and the logits after each, [prompts, vocabulary]."""
        width = max(map(len, prompts))
        device = self._model.device
        tokens = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        positions = torch.arange(width, device=device) - (width - lengths).unsqueeze(1)
        cache = new_cache()
        return cache, self._forward(tokens, lengths, positions.clamp_(min=0), cache)

    def _forward(self, tokens: Any, lengths: Any, positions: Any, cache: Any) -> Any:
        """Last logits, float32 [rows, vocabulary], of rows that have `lengths` tokens with these."""
        width = cache.get_seq_length() + tokens.shape[1]
        mask = torch.arange(width, device=tokens.device) >= (width - lengths).unsqueeze(1)
        out = self._model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_argument: cache},
        )
        return out.logits[:, -1].float()

    def _with_logprobs(self, tokens: Sequence[int], width: int) -> Iterator[Drawn]:
        logprobs = torch.log_softmax(self._logits, -1)
        chosen = logprobs.gather(1, self._tokens.unsqueeze(1)).squeeze(1).tolist()
        values, tops = (part.tolist() for part in logprobs.topk(min(width, logprobs.shape[-1])))
        for number, row in enumerate(self._rows):
            if not row.done:
                asked = row.rule.top_logprobs
                top = tuple(zip(tops[number][:asked], values[number][:asked], strict=True)) if asked else ()
                yield Drawn(row, tokens[number], None if asked is None else chosen[number], top)


def _groups(prompts: Sequence[Prompt]) -> Iterator[list[Prompt]]:
    """Prompts of like length together, each group within `PREFILL` tokens."""
    group: list[Prompt] = []
    for prompt in sorted(prompts, key=lambda prompt: len(prompt.tokens)):
        if group and (len(group) + 1) * len(prompt.tokens) > PREFILL:
            yield group
            group = []
        group.append(prompt)
    if group:
        yield group
