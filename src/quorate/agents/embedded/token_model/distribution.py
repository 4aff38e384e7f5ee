"""The next token's distribution as the model computed it, left where it is until somebody asks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["LogitsDistribution", "make_distributions", "sample_token"]


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
        """See `Distribution`."""
        return (self.highest if token == self.best else float(self._logits[token])) - self.total

    def top(self, k: int) -> Sequence[tuple[int, float]]:
        """See `Distribution`."""
        values, ids = self._logits.topk(min(k, self._logits.shape[0]))
        return [(token, value - self.total) for token, value in zip(ids.tolist(), values.tolist(), strict=True)]

    def row(self) -> Any:
        """See `Distribution`."""
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
