"""Keys and values in which a token's column is its position, so that cutting a row is forgetting a number.

A row may be cut to any length without the others: what lies behind its end is overwritten by its next
tokens, and hidden by the mask until then. transformers' own caches cut all rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from transformers.cache_utils import Cache, DynamicLayer

__all__ = ["Columns", "Place", "new_columns"]

GROWTH = 1.5
"""Room is made this much larger than needed, so that growing copies each token few times."""


@dataclass(slots=True)
class Place:
    """Where the tokens of the coming forward go; shared by all layers."""

    slots: Any = field(default_factory=lambda: slice(0, 1))
    """Rows of the cache: a slice, or a tensor of indices."""
    positions: Any = field(default_factory=lambda: slice(0, 0))
    """Columns: a slice that all rows share, or a tensor [rows, tokens]."""
    rows: int = 1
    """Rows that there must be room for."""
    width: int = 0
    """Columns that the model reads."""


class Columns(DynamicLayer):  # type: ignore[misc]
    """One layer: [rows, heads, columns, width], with room for more of both."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Writes the new tokens; returns all columns of the rows asked for."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states.new_zeros(0), value_states.new_zeros(0)
        place = self._place
        self.keys = self._stored(self.keys, key_states)
        self.values = self._stored(self.values, value_states)
        return self.keys[place.slots, :, : place.width], self.values[place.slots, :, : place.width]

    def get_seq_length(self) -> int:
        """Columns that the model reads before the coming tokens; masks and positions are given, so nobody asks more."""
        return 0

    def _stored(self, kept: Any, states: Any) -> Any:
        place = self._place
        if kept.dim() < 4 or kept.shape[0] < place.rows or kept.shape[2] < place.width:
            kept = _grown(kept, states, place)
        if isinstance(place.positions, slice):
            kept[place.slots, :, place.positions] = states
        else:
            rows = range(kept.shape[0])[place.slots] if isinstance(place.slots, slice) else place.slots
            index = place.positions.new_tensor(list(rows)) if isinstance(rows, range) else rows
            kept[index[:, None], :, place.positions] = states.transpose(1, 2)
        return kept


def _grown(kept: Any, states: Any, place: Place) -> Any:
    rows, columns = (0, 0) if kept.dim() < 4 else (kept.shape[0], kept.shape[2])
    wide = columns if columns >= place.width else int(place.width * GROWTH) + 32
    grown = states.new_zeros(max(rows, place.rows), states.shape[1], wide, states.shape[3])
    if rows:
        grown[:rows, :, :columns] = kept
    return grown


def new_columns(layers: int) -> tuple[Any, Place]:
    """A cache for so many layers, and the place that directs it."""
    place = Place()
    return Cache(layers=[Columns(place) for _ in range(layers)]), place
