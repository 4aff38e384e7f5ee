"""A causal language model over rows that grow and are cut: tokens in, logits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from quorate.agents.embedded.cache import argument
from quorate.orchestrator.errors import BadInput

from .columns import new_columns

__all__ = ["Feed", "Forward"]


@dataclass(frozen=True, slots=True)
class Feed:
    """New tokens of one row."""

    slot: int
    start: int
    """Position of the first; what the row held from there on is forgotten."""
    tokens: Sequence[int]


class Forward:
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
        self._kinds = _layer_kinds(config, name)
        self._window: int | None = getattr(config, "sliding_window", None)
        self._dtype = next(model.parameters()).dtype
        self._argument = argument(model)
        self._layers = config.num_hidden_layers
        self.clear()

    def clear(self) -> None:
        """Forgets every row."""
        self._cache, self._place = new_columns(self._layers)
        self._rows = 0

    def __call__(self, feeds: Sequence[Feed], keep: int) -> Any:
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
            logits_to_keep=keep,
            **{self._argument: self._cache},
        )
        return output.logits

    def _mask(self, positions: Any, width: int) -> Any:
        """What is added to the attention of each new token over all columns; one for each kind of layer."""
        columns = torch.arange(width, device=self._device)
        ahead = columns > positions[:, None, :, None]
        masks = {"full_attention": self._added(ahead)}
        if self._window is not None:
            masks["sliding_attention"] = self._added(ahead | (columns <= positions[:, None, :, None] - self._window))
        return masks[self._kinds[0]] if len(self._kinds) == 1 else masks

    def _added(self, hidden: Any) -> Any:
        blank = torch.zeros(hidden.shape, dtype=self._dtype, device=self._device)
        return blank.masked_fill_(hidden, torch.finfo(self._dtype).min)


def _layer_kinds(config: Any, name: str) -> list[str]:
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
