"""How many samples fit into the memory that is free."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import psutil
import torch

from .batch_engine import find_cache_argument, make_cache

__all__ = ["BatchPlaces"]

MOST = 256
"""BatchPlaces of a batch; more rows gain nothing here."""

PART = 4
"""The cache may take this part of the memory that is free."""

ANSWER = 1024
"""Tokens that an answer is expected to have at most: a limit above counts as this."""

LOGIT = 48
"""Bytes that choosing a token takes for each row and token of the vocabulary: sorted, cumulated in float64."""

GROUP = Path("/sys/fs/cgroup")
"""Where a container sees its own limits."""


class BatchPlaces:
    """The places of a batch, and how many of them a sample takes: one, more where its text is long for the memory.

    A joining row makes the batch's cache be copied, so each token counts twice.

    Args:
        model: a transformers causal language model.
        most: places, with one for every sample; if None, `MOST` that share a quarter of the memory free now.
    """

    def __init__(self, model: Any, most: int | None = None) -> None:
        self.count = most or MOST
        self._bytes = max(1, read_free_memory(model.device)) / PART / MOST
        """Of one place."""
        self._row, self._token = (0, 0) if most else _measure(model)

    def of(self, prompt: int, limit: int) -> int:
        """BatchPlaces of a sample with a prompt and an answer of so many tokens."""
        needed = self._row + self._token * (prompt + min(limit, ANSWER))
        return min(self.count, max(1, math.ceil(needed / self._bytes)))


def _measure(model: Any) -> tuple[int, int]:
    """Bytes that a row takes by itself, and with each of its tokens."""
    cache = make_cache()
    with torch.inference_mode():
        one = torch.tensor([[0]], device=model.device)
        out = model(input_ids=one, use_cache=True, **{find_cache_argument(model): cache})
    columns = [part[:, :, :1] for slab in cache.layers for part in (slab.keys, slab.values)]
    return LOGIT * out.logits.shape[-1], 2 * sum(column.nbytes for column in columns)


def read_free_memory(device: Any) -> int:
    """Bytes that this process may still take: of the GPU's memory, or of the machine's and its control group's."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min([int(psutil.virtual_memory().available), *_read_group()])


def _read_group() -> list[int]:
    """What a container's limit leaves, file cache not counted; nothing where there is no limit."""
    try:
        stat = dict(line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
        limit, used = ((GROUP / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        return [int(limit) - int(used) + int(stat["inactive_file"])]
    except (OSError, ValueError, KeyError):
        return []
