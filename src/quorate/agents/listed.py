"""Distributions as other programs tell them: in lists of tokens, the best few or all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from quorate.orchestrator.tokens import Distribution, TopDistribution

__all__ = ["ALL", "MOST", "SMALL", "Table", "listed"]

ALL = -1
"""Asks for every token, in vLLM's words."""

MOST = 20
"""Tokens to ask of a distribution: as many as vLLM allows where nothing else is configured."""
SMALL = 4096
"""Vocabularies up to this size are asked for whole, where that is allowed."""


class Table:
    """See `orchestrator.tokens.Distribution`.

    Args:
        row: log-probabilities of all ids, float32 of shape [vocabulary].
    """

    exact = True

    def __init__(self, row: Any) -> None:
        self._row = row
        self.best = int(row.argmax())

    def logprob(self, token: int) -> float:
        """See `Distribution`."""
        return float(self._row[token])

    def top(self, k: int) -> Sequence[tuple[int, float]]:
        """See `Distribution`."""
        order = (-self._row).argsort(kind="stable")[:k]
        return list(zip(order.tolist(), self._row[order].tolist(), strict=True))

    def row(self) -> Any:
        """See `Distribution`."""
        return self._row


def listed(entries: Mapping[int, float], k: int, size: int) -> Distribution:
    """The distribution that a list of tokens tells of.

    Args:
        entries: log-probabilities by id; the chosen token may be among them although it is not one of the best.
        k: how many of the best were asked for, or `ALL`.
        size: of the vocabulary; ids from there on are padding and left out.

    Raises:
        ValueError: no token is left.
    """
    known = {token: value for token, value in entries.items() if token < size}
    if not known:
        raise ValueError("no token of the vocabulary among the likeliest")
    if k != ALL:
        padding = len(entries) - len(known)
        return TopDistribution(list(known.items()), max(1, min(k, len(entries)) - padding))
    import numpy as np

    row = np.full(size, -math.inf, dtype=np.float32)
    row[list(known)] = list(known.values())
    return Table(row)
