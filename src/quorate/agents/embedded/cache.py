"""Keys and values of a changing set of rows, all ending in the same column.

Rows are padded on the left: the last token of each is in the last column, so a step writes one
column for all of them. A row leaves by another moving into its place; rows join by copying all into
a new slab.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

__all__ = ["Part", "Slab", "argument", "assemble", "new_cache"]

ROOM = 64
"""Columns added when a slab is full; concatenating at every step would copy the whole cache each time."""


class Slab(DynamicLayer):  # type: ignore[misc]
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
            self.keys, self.values = _grown(self.keys, start, end), _grown(self.values, start, end)
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


def _grown(states: Any, used: int, needed: int) -> Any:
    grown = _empty_like(states, needed + ROOM)
    grown[:, :, :used] = states[:, :, :used]
    return grown


def argument(model: Any) -> str:
    """What the model's forward calls its cache: transformers 5.24 renamed it."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def new_cache() -> Any:
    """A cache that grows a slab for each layer of the model."""
    return Cache(layer_class_to_replicate=Slab)


@dataclass(frozen=True)
class Part:
    """What one cache gives to a new one: these of its rows, repeats allowed."""

    cache: Any
    rows: Sequence[int]


def assemble(parts: Sequence[Part], columns: int) -> Any:
    """The last `columns` columns of all parts' rows, below one another; shorter parts end in the same column."""
    layers = []
    for number in range(len(parts[0].cache.layers)):
        slabs = [(part.cache.layers[number], part.rows) for part in parts]
        layers.append(_assembled(slabs, columns))
    return Cache(layers=layers)


def _assembled(slabs: Sequence[tuple[Slab, Sequence[int]]], columns: int) -> Slab:
    made, rows = Slab(), sum(len(rows) for _, rows in slabs)
    first = slabs[0][0]
    made.lazy_initialization(first.keys, first.values)
    _, heads, _, key_width = first.keys.shape
    made.keys = first.keys.new_zeros(rows, heads, columns + ROOM, key_width)
    made.values = first.values.new_zeros(rows, heads, columns + ROOM, first.values.shape[-1])
    made.length, top = columns, 0
    for slab, chosen in slabs:
        width, bottom = min(columns, slab.length), top + len(chosen)
        index = torch.tensor(chosen, device=first.keys.device)
        for target, source in ((made.keys, slab.keys), (made.values, slab.values)):
            window = source[:, :, slab.length - width : slab.length]
            target[top:bottom, :, columns - width : columns] = window.index_select(0, index)
        top = bottom
    return made
