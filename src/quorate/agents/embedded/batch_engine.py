"""Continuous batching of one model's rows: prompts in, one token a row and step out.

A turn of its user is `join` (new prompts, if any), `draw` (a token for every row), marking the rows
that ended, and `advance` (the next logits of the others). Rows may join and leave between any two
steps. No threads, no asyncio, no text.

Rows are padded on the left of the cache: the last token of each is in the last column, so a step writes
one column for all of them. A row leaves by another moving into its place; rows join by copying all into
a new slab. Tokens are drawn by inverse-CDF sampling: the token is where the row's cumulative distribution
passes its uniform, so a row's tokens depend on its own logits and its own random stream alone.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

import torch
from transformers.cache_utils import Cache, DynamicLayer

PREFILL = 4096
"""Tokens of one prefill, padding included; longer lists of prompts go in several."""

GROWTH = 64
"""Columns added when a slab is full; concatenating at every step would copy the whole cache each time."""

LIKELIEST = 256
"""Tokens that are looked at first where top-k or top-p leave some out."""

COLDEST = 1e-6
"""Lower temperatures are this one, which takes the likeliest token: divided by less, float32 logits overflow."""

LOST = -1
"""The token of a row whose logits are not numbers."""


@dataclass(frozen=True)
class SamplingRule:
    """How one row chooses; temperature 0 takes the likeliest token."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0 and -1 keep all."""
    min_p: float = 0.0
    """Tokens less likely than this part of the likeliest one are left out."""
    repetition_penalty: float = 1.0
    """Logits of tokens that were read or drawn are divided by it, negative ones multiplied (CTRL, arXiv 1909.05858)."""
    top_logprobs: int | None = None

    @property
    def leaves_out(self) -> bool:
        """Whether some tokens are never drawn."""
        return self.top_p < 1 or self.top_k > 0 or self.min_p > 0


class TokenSampler:
    """Chooses the next token of every row by the row's own rule, whatever those of the others."""

    def __init__(self, rules: Sequence[SamplingRule], device: Any = None) -> None:
        drawn = [number for number, rule in enumerate(rules) if rule.temperature != 0]
        limited = {number for number in drawn if rules[number].leaves_out}
        groups = [[n for n in drawn if n not in limited], [n for n in drawn if n in limited]]
        self._groups = [_DrawnRows(group, [rules[n] for n in group], device) for group in groups if group]
        asked = [rule.top_logprobs for rule in rules if rule.top_logprobs is not None]
        self.top_logprobs = max(asked) if asked else None

    def choose(self, logits: Any, uniforms: Sequence[float]) -> Any:
        """Tokens of shape [rows], or `LOST`, from float32 logits [rows, vocabulary] and uniforms in [0, 1)."""
        tokens = logits.argmax(-1)
        numbers = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1).isfinite()
        for group in self._groups:
            tokens[group.rows] = group.choose(logits[group.rows], [uniforms[row] for row in group.rows])
        return tokens.where(numbers, LOST)


class _DrawnRows:
    """Rows of a batch that are drawn from all tokens, or from those that their rules leave; the rules are columns."""

    def __init__(self, rows: list[int], rules: Sequence[SamplingRule], device: Any) -> None:
        def column(values: list[float]) -> Any:
            return torch.tensor(values, dtype=torch.float32, device=device).unsqueeze(1)

        self.rows = rows
        self._temperature = column([max(rule.temperature, COLDEST) for rule in rules])
        self._top_p = column([rule.top_p for rule in rules])
        self._top_k = column([rule.top_k if rule.top_k > 0 else torch.inf for rule in rules])
        self._first = max([LIKELIEST, *(rule.top_k + 1 for rule in rules)])
        self._least = column([math.log(rule.min_p) if rule.min_p > 0 else -math.inf for rule in rules])
        self._limited = any(rule.leaves_out for rule in rules)

    def choose(self, logits: Any, uniforms: Sequence[float]) -> Any:
        """See `TokenSampler`."""
        scaled, order = logits / self._temperature, None
        if self._limited:
            scaled, order = self._limit(scaled)
        cumulative = torch.softmax(scaled, -1, dtype=torch.float64).cumsum(-1)
        point = torch.tensor(uniforms, dtype=torch.float64, device=logits.device).unsqueeze(1) * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, point, right=True).clamp_(max=scaled.shape[-1] - 1)
        return (chosen if order is None else order.gather(1, chosen)).squeeze(1)

    def _limit(self, scaled: Any) -> tuple[Any, Any]:
        """Logits by falling size with the ones cut away at -inf, and the tokens they belong to.

        Top-k first, then the smallest set of what is left that holds top-p of its mass, as vLLM and
        transformers do it; the likeliest token always stays. Mostly few tokens are left, and to sort a whole
        vocabulary takes longer than a step of a small model, so the likeliest are looked at first. What is cut of a
        row does not depend on whether another row needs more of them.
        """
        ordered, order, cut = self._cut(scaled, self._first)
        # Of tokens as likely as the last one here, others may belong before it.
        more = (~cut & (ordered == ordered[:, -1:])).any(-1, keepdim=True)
        if ordered.shape[-1] < scaled.shape[-1] and bool(more.any()):
            ordered, order, cut_of_all = self._cut(scaled, scaled.shape[-1])
            rest = ordered.shape[-1] - cut.shape[-1]
            cut = torch.where(more, cut_of_all, torch.nn.functional.pad(cut, (0, rest), value=True))
        return ordered.masked_fill(cut, -torch.inf), order

    def _cut(self, scaled: Any, count: int) -> tuple[Any, Any, Any]:
        """So many of the largest logits by falling size, their tokens, and which of them are left out."""
        ordered, order = _sort_largest(scaled, count)
        rank = torch.arange(ordered.shape[-1], device=ordered.device)
        cut = rank >= self._top_k
        some = ordered.masked_fill(cut, -torch.inf)
        all_mass = torch.where(self._top_k <= len(rank), some.logsumexp(-1, True), scaled.logsumexp(-1, True))
        mass = (some - all_mass).exp()
        before = mass.cumsum(-1) - mass
        beyond = (before >= self._top_p) & (self._top_p < 1) | (ordered < ordered[:, :1] + self._least)
        return ordered, order, cut | beyond & (rank > 0)


def _sort_largest(logits: Any, count: int) -> tuple[Any, Any]:
    """So many of each row by falling size, equal ones by their tokens; and the tokens."""
    if count >= logits.shape[-1]:
        return logits.sort(dim=-1, descending=True, stable=True)  # type: ignore[no-any-return]
    tokens = logits.topk(count, dim=-1, sorted=False).indices.sort(dim=-1).values
    ordered, place = logits.gather(-1, tokens).sort(dim=-1, descending=True, stable=True)
    return ordered, tokens.gather(-1, place)


@dataclass(eq=False)
class BatchRow:
    """One sample being drawn, with a random stream of its own."""

    rule: SamplingRule
    seed: int | None = None
    """None draws from the system's entropy."""
    length: int = 0
    """Tokens in the cache."""
    done: bool = False
    """Set by the user: draw no more."""
    seen: set[int] = field(default_factory=set, init=False)
    """Tokens read and drawn, where the rule penalizes them."""
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)


@dataclass(frozen=True)
class BatchPrompt:
    """Token ids and the samples that continue them; they are read once for all."""

    tokens: Sequence[int]
    rows: Sequence[BatchRow]
    padding: ClassVar[int] = 0

    @property
    def running(self) -> int:
        """Its rows."""
        return len(self.rows)

    @property
    def longest(self) -> int:
        """Its tokens."""
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class DrawnToken:
    """One row's next token, with its log-probability before temperature and filters where asked."""

    row: BatchRow
    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class BatchEngine:
    """Rows of one model that are drawn together.

    Args:
        model: a transformers causal language model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache_argument = find_cache_argument(model)
        self._rows: list[BatchRow] = []
        self._cache: Any = None
        self._logits: Any = None
        self._tokens: Any = None

    @property
    def running(self) -> int:
        """Rows that have not ended."""
        return sum(not row.done for row in self._rows)

    @property
    def longest(self) -> int:
        """Tokens of the longest row, to which all are padded."""
        return max((row.length for row in self._rows if not row.done), default=0)

    @property
    def padding(self) -> int:
        """Tokens of padding in the cache."""
        return sum(self.longest - row.length for row in self._rows if not row.done)

    def join(self, prompts: Sequence[BatchPrompt], others: Sequence[BatchEngine] = ()) -> None:
        """Reads new prompts and puts their rows, and those of other batches of this model, beside those that run; on an
        error nothing has changed."""
        parts, logits, rows = self._keep_running()
        for other in others:
            more = other._keep_running()
            parts, logits, rows = parts + more[0], logits + more[1], rows + more[2]
        for group in _group_prompts(prompts):
            cache, last = self._prefill([prompt.tokens for prompt in group])
            owners = [number for number, prompt in enumerate(group) for _ in prompt.rows]
            parts.append(CacheRows(cache, owners))
            logits.append(last[owners])
            for prompt in group:
                rows.extend((row, len(prompt.tokens)) for row in prompt.rows)
                for row in prompt.rows:
                    row.seen = set(prompt.tokens) if row.rule.repetition_penalty != 1 else set()
        cache = assemble_cache(parts, max(length for _, length in rows))
        for row, length in rows:
            row.length = length
        self._settle([row for row, _ in rows], cache, torch.cat(logits))

    def draw(self) -> list[DrawnToken]:
        """The next token of every running row; one whose token is `LOST` has to be marked done."""
        uniforms = [0.0 if row.rule.temperature == 0 else row.random.random() for row in self._rows]
        self._tokens = self._sampler.choose(self._penalize(self._logits), uniforms)
        tokens = self._tokens.tolist()
        for row, token in zip(self._rows, tokens, strict=True):
            if row.rule.repetition_penalty != 1:
                row.seen.add(token)
        if self._sampler.top_logprobs is None:
            return [DrawnToken(row, token) for row, token in zip(self._rows, tokens, strict=True) if not row.done]
        return list(self._with_logprobs(tokens, self._sampler.top_logprobs))

    def advance(self) -> None:
        """The logits after the tokens just drawn, for the rows that are not done."""
        if self.running < len(self._rows):
            self._compact()
        if self._rows:
            lengths = torch.tensor([row.length for row in self._rows], device=self._model.device)
            for row in self._rows:
                row.length += 1
            self._logits = self._forward(self._tokens.unsqueeze(1), lengths + 1, lengths.unsqueeze(1), self._cache)

    def _keep_running(self) -> tuple[list[CacheRows], list[Any], list[tuple[BatchRow, int]]]:
        """What goes on of the rows so far: caches, logits, and rows with their lengths."""
        alive = [number for number, row in enumerate(self._rows) if not row.done]
        if not alive:
            return [], [], []
        return (
            [CacheRows(self._cache, alive)],
            [self._logits[alive]],
            [(self._rows[n], self._rows[n].length) for n in alive],
        )

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

    def _settle(self, rows: list[BatchRow], cache: Any, logits: Any) -> None:
        self._rows, self._cache, self._logits = rows, cache, logits
        self._sampler = TokenSampler([row.rule for row in rows], self._model.device)

    def _prefill(self, prompts: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """A cache of these prompts and the logits after each, [prompts, vocabulary]."""
        width = max(map(len, prompts))
        device = self._model.device
        tokens = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        positions = torch.arange(width, device=device) - (width - lengths).unsqueeze(1)
        cache = make_cache()
        return cache, self._forward(tokens, lengths, positions.clamp_(min=0), cache)

    def _forward(self, tokens: Any, lengths: Any, positions: Any, cache: Any) -> Any:
        """Last logits, float32 [rows, vocabulary], of rows that have `lengths` tokens with these."""
        width = cache.get_seq_length() + tokens.shape[1]
        mask = torch.arange(width, device=tokens.device) >= (width - lengths).unsqueeze(1)
        # A number instead of an index gives the output layer a view with gaps; of 60 rows in bfloat16 torch 2.13 then
        # copies the layer's weights for each row, 3 GB for SmolLM2.
        last = torch.tensor([tokens.shape[1] - 1], device=tokens.device)
        out = self._model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=last,
            **{self._cache_argument: cache},
        )
        return out.logits[:, -1].float()

    def _penalize(self, logits: Any) -> Any:
        """The logits by the rows' repetition penalties."""
        repeating = [number for number, row in enumerate(self._rows) if row.seen]
        if repeating:
            logits = logits.clone()
        for number in repeating:
            seen = torch.tensor(sorted(self._rows[number].seen), device=logits.device)
            scores, penalty = logits[number, seen], self._rows[number].rule.repetition_penalty
            logits[number, seen] = torch.where(scores < 0, scores * penalty, scores / penalty)
        return logits

    def _with_logprobs(self, tokens: Sequence[int], width: int) -> Iterator[DrawnToken]:
        logprobs = torch.log_softmax(self._logits, -1)
        chosen = logprobs.gather(1, self._tokens.clamp(min=0).unsqueeze(1)).squeeze(1).tolist()
        values, tops = (part.tolist() for part in logprobs.topk(min(width, logprobs.shape[-1])))
        for number, row in enumerate(self._rows):
            if not row.done:
                asked = row.rule.top_logprobs
                top = tuple(zip(tops[number][:asked], values[number][:asked], strict=True)) if asked else ()
                yield DrawnToken(row, tokens[number], None if asked is None else chosen[number], top)


def _group_prompts(prompts: Sequence[BatchPrompt]) -> Iterator[list[BatchPrompt]]:
    """Prompts of like length together, each group within `PREFILL` tokens."""
    group: list[BatchPrompt] = []
    for prompt in sorted(prompts, key=lambda prompt: len(prompt.tokens)):
        if group and (len(group) + 1) * len(prompt.tokens) > PREFILL:
            yield group
            group = []
        group.append(prompt)
    if group:
        yield group


class CacheSlab(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values, [rows, heads, room, width], filled up to `length` columns.

    Keeps every column for sliding-window layers too; their mask hides what is out of the window.
    """

    length = 0

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Appends columns; returns all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = _empty_like(key_states, 0), _empty_like(value_states, 0)
        start, end = self.length, self.length + key_states.shape[-2]
        if end > self.keys.shape[-2]:
            self.keys, self.values = _grow(self.keys, start, end), _grow(self.values, start, end)
        self.keys[:, :, start:end], self.values[:, :, start:end] = key_states, value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """Columns in use."""
        return self.length

    def drop(self, moves: Mapping[int, int], rows: int, columns: int) -> None:
        """Moves rows (from: to), then keeps the first `rows` of them and their last `columns`."""
        if moves:
            sources, targets = list(moves.keys()), list(moves.values())
            self.keys[targets], self.values[targets] = self.keys[sources], self.values[sources]
        skipped = self.length - columns
        self.keys, self.values = self.keys[:rows, :, skipped:], self.values[:rows, :, skipped:]
        self.length = columns


def _empty_like(states: Any, columns: int) -> Any:
    rows, heads, _, width = states.shape
    return states.new_zeros(rows, heads, columns, width)


def _grow(states: Any, used: int, needed: int) -> Any:
    grown = _empty_like(states, needed + GROWTH)
    grown[:, :, :used] = states[:, :, :used]
    return grown


def find_cache_argument(model: Any) -> str:
    """What the model's forward calls its cache: transformers 5.24 renamed it."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def make_cache() -> Any:
    """A cache that grows a slab for each layer of the model."""
    return Cache(layer_class_to_replicate=CacheSlab)


@dataclass(frozen=True)
class CacheRows:
    """What one cache gives to a new one: these of its rows, repeats allowed."""

    cache: Any
    rows: Sequence[int]


def assemble_cache(parts: Sequence[CacheRows], columns: int) -> Any:
    """The last `columns` columns of all parts' rows, below one another; shorter parts end in the same column."""
    layers = []
    for number in range(len(parts[0].cache.layers)):
        slabs = [(part.cache.layers[number], part.rows) for part in parts]
        layers.append(_assemble_slab(slabs, columns))
    return Cache(layers=layers)


def _assemble_slab(slabs: Sequence[tuple[CacheSlab, Sequence[int]]], columns: int) -> CacheSlab:
    made, rows = CacheSlab(), sum(len(rows) for _, rows in slabs)
    first = slabs[0][0]
    made.lazy_initialization(first.keys, first.values)
    _, heads, _, key_width = first.keys.shape
    made.keys = first.keys.new_zeros(rows, heads, columns + GROWTH, key_width)
    made.values = first.values.new_zeros(rows, heads, columns + GROWTH, first.values.shape[-1])
    made.length, top = columns, 0
    for slab, chosen in slabs:
        width, bottom = min(columns, slab.length), top + len(chosen)
        index = torch.tensor(chosen, device=first.keys.device)
        for target, source in ((made.keys, slab.keys), (made.values, slab.values)):
            window = source[:, :, slab.length - width : slab.length]
            target[top:bottom, :, columns - width : columns] = window.index_select(0, index)
        top = bottom
    return made
