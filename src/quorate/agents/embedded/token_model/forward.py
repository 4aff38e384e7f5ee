"""A causal language model over rows that grow and are cut: tokens in, logits out.

In the cache a token's column is its position, so that cutting a row is forgetting a number. A row may be
cut to any length without the others: what lies behind its end is overwritten by its next tokens, and
hidden by the mask until then. transformers' own caches cut all rows at once.

The next token's distribution as the model computed it, left where it is until somebody asks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from quorate.agents.embedded.batch_engine import find_cache_argument
from quorate.orchestrator.errors import BadInput

GROWTH = 1.5
"""Room is made this much larger than needed, so that growing copies each token few times."""


@dataclass(slots=True)
class WritePlace:
    """Where the tokens of the coming forward go; shared by all layers."""

    slots: Any = field(default_factory=lambda: slice(0, 1))
    """Rows of the cache: a slice, or a tensor of indices."""
    positions: Any = field(default_factory=lambda: slice(0, 0))
    """ColumnLayer: a slice that all rows share, or a tensor [rows, tokens]."""
    rows: int = 1
    """Rows that there must be room for."""
    width: int = 0
    """Columns that the model reads."""


class ColumnLayer(DynamicLayer):  # type: ignore[misc]
    """One layer: [rows, heads, columns, width], with room for more of both."""

    def __init__(self, place: WritePlace) -> None:
        super().__init__()
        self._place = place

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Writes the new tokens; returns all columns of the rows asked for."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states.new_zeros(0), value_states.new_zeros(0)
        place = self._place
        self.keys = self._store(self.keys, key_states)
        self.values = self._store(self.values, value_states)
        return self.keys[place.slots, :, : place.width], self.values[place.slots, :, : place.width]

    def get_seq_length(self) -> int:
        """Columns that the model reads before the coming tokens; masks and positions are given, so nobody asks more."""
        return 0

    def _store(self, kept: Any, states: Any) -> Any:
        place = self._place
        if kept.dim() < 4 or kept.shape[0] < place.rows or kept.shape[2] < place.width:
            kept = _grow(kept, states, place)
        if isinstance(place.positions, slice):
            kept[place.slots, :, place.positions] = states
        else:
            rows = range(kept.shape[0])[place.slots] if isinstance(place.slots, slice) else place.slots
            index = place.positions.new_tensor(list(rows)) if isinstance(rows, range) else rows
            kept[index[:, None], :, place.positions] = states.transpose(1, 2)
        return kept


def _grow(kept: Any, states: Any, place: WritePlace) -> Any:
    rows, columns = (0, 0) if kept.dim() < 4 else (kept.shape[0], kept.shape[2])
    wide = columns if columns >= place.width else int(place.width * GROWTH) + 32
    grown = states.new_zeros(max(rows, place.rows), states.shape[1], wide, states.shape[3])
    if rows:
        grown[:rows, :, :columns] = kept
    return grown


def make_column_cache(layers: int) -> tuple[Any, WritePlace]:
    """A cache for so many layers, and the place that directs it."""
    place = WritePlace()
    return Cache(layers=[ColumnLayer(place) for _ in range(layers)]), place


@dataclass(frozen=True, slots=True)
class TokenFeed:
    """New tokens of one row."""

    slot: int
    start: int
    """Position of the first; what the row held from there on is forgotten."""
    tokens: Sequence[int]


class CachedForward:
    """The model with its cache.

    Args:
        model: a transformers causal language model in eval mode.
        name: for errors.

    Raises:
        BadInput: its cache cannot be cut, because it keeps a state and not columns.
    """

    def __init__(self, model: Any, name: str) -> None:
        self._model, self._device = model, model.device
        config = model.config.get_text_config()
        self._kinds = _find_layer_kinds(config, name)
        self._window: int | None = getattr(config, "sliding_window", None)
        self._dtype = next(model.parameters()).dtype
        self._argument = find_cache_argument(model)
        self._layers = config.num_hidden_layers
        self.clear()

    def clear(self) -> None:
        """Forgets every row."""
        self._cache, self._place = make_column_cache(self._layers)
        self._rows = 0

    def __call__(self, feeds: Sequence[TokenFeed], keep: int) -> Any:
        """Logits of shape [feeds, keep, vocabulary]: `keep` positions from the end of the longest feed.

        Position `keep - width + t` of a row belongs to its token t; behind its end it means nothing.
        """
        width = max(len(feed.tokens) for feed in feeds)
        tokens = torch.tensor([[*feed.tokens, *[0] * (width - len(feed.tokens))] for feed in feeds])
        positions = torch.tensor([feed.start for feed in feeds])[:, None] + torch.arange(width)
        tokens, positions = tokens.to(self._device), positions.to(self._device)
        place = self._place
        self._rows = place.rows = max(self._rows, *(feed.slot + 1 for feed in feeds))
        place.width = max(feed.start for feed in feeds) + width
        slots = [feed.slot for feed in feeds]
        together = slots == list(range(slots[0], slots[0] + len(slots)))
        place.slots = slice(slots[0], slots[-1] + 1) if together else torch.tensor(slots, device=self._device)
        start = feeds[0].start
        place.positions = slice(start, start + width) if len(feeds) == 1 and together else positions
        output = self._model(
            input_ids=tokens,
            attention_mask=self._mask(positions, place.width),
            position_ids=positions,
            use_cache=True,
            # An index, since of a number comes a view with gaps, for which torch copies the output layer once a row.
            logits_to_keep=torch.arange(max(0, width - keep), width, device=self._device),
            **{self._argument: self._cache},
        )
        return output.logits

    def _mask(self, positions: Any, width: int) -> Any:
        """What is added to the attention of each new token over all columns; one for each kind of layer."""
        columns = torch.arange(width, device=self._device)
        ahead = columns > positions[:, None, :, None]
        masks = {"full_attention": self._additive(ahead)}
        if self._window is not None:
            masks["sliding_attention"] = self._additive(ahead | (columns <= positions[:, None, :, None] - self._window))
        return masks[self._kinds[0]] if len(self._kinds) == 1 else masks

    def _additive(self, hidden: Any) -> Any:
        blank = torch.zeros(hidden.shape, dtype=self._dtype, device=self._device)
        return blank.masked_fill_(hidden, torch.finfo(self._dtype).min)


def _find_layer_kinds(config: Any, name: str) -> list[str]:
    """Kinds of attention in the model.

    Raises:
        BadInput: some layers are of another kind.
    """
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        window = getattr(config, "sliding_window", None)
        kinds = ["full_attention" if window is None else "sliding_attention"]
    strange = sorted(set(kinds) - {"full_attention", "sliding_attention"})
    if strange:
        raise BadInput(
            f"{name} has layers of the kind {', '.join(strange)}, whose state cannot be rolled back: "
            "token-level ensembling needs a model that attends over a key-value cache"
        )
    return sorted(set(kinds))


class LogitsDistribution:
    """See `orchestrator.tokens.Distribution`.

    Args:
        logits: float32 of shape [vocabulary], padding cut off.
        best: the likeliest token.
        total: logarithm of the sum of their exponentials.
    """

    __slots__ = ("_logits", "best", "highest", "total")

    exact = True

    def __init__(self, logits: Any, best: int, highest: float, total: float) -> None:
        self._logits = logits
        self.best, self.highest, self.total = best, highest, total

    def is_unsure(self, token: int, until: float) -> bool:
        """Whether the token is less likely than this."""
        return until > 0 and math.exp(self.logprob(token)) < until

    def logprob(self, token: int) -> float:
        return (self.highest if token == self.best else float(self._logits[token])) - self.total

    def top(self, k: int) -> Sequence[tuple[int, float]]:
        values, ids = self._logits.topk(min(k, self._logits.shape[0]))
        return [(token, value - self.total) for token, value in zip(ids.tolist(), values.tolist(), strict=True)]

    def row(self) -> Any:
        return (self._logits - self.total).cpu().numpy()


def make_distributions(logits: Any) -> list[LogitsDistribution]:
    """Distributions from logits of shape [positions, vocabulary]."""
    highest, best = logits.max(-1)
    totals = logits.logsumexp(-1)
    numbers = zip(best.tolist(), highest.tolist(), totals.tolist(), strict=True)
    return [LogitsDistribution(row, *three) for row, three in zip(logits.unbind(0), numbers, strict=True)]


def sample_token(distribution: LogitsDistribution, temperature: float, uniform: float) -> int:
    """The token where the cumulative distribution at this temperature passes the uniform."""
    logits = distribution._logits
    cumulative = torch.softmax(logits.double() / temperature, -1).cumsum(-1)
    place = int(torch.searchsorted(cumulative, uniform * cumulative[-1], right=True))
    return min(place, int(logits.shape[0]) - 1)
