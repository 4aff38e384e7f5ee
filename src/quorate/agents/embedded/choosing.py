"""One token for each row out of its logits: temperature, top-k, top-p, and a uniform of the row's own.

Inverse-CDF sampling: the token is where the row's cumulative distribution passes its uniform, so a
row's tokens depend on its own logits and its own random stream alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Rule", "Rules"]


@dataclass(frozen=True)
class Rule:
    """How one row chooses; temperature 0 takes the likeliest token."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0 and -1 keep all."""
    top_logprobs: int | None = None


class Rules:
    """The rules of all rows as columns of shape [rows, 1]."""

    def __init__(self, rules: Sequence[Rule], device: Any = None) -> None:
        def column(values: list[float]) -> Any:
            return torch.tensor(values, dtype=torch.float32, device=device).unsqueeze(1)

        self.greedy = torch.tensor([rule.temperature == 0 for rule in rules], device=device)
        self.temperature = column([rule.temperature or 1.0 for rule in rules])
        self.top_p = column([rule.top_p for rule in rules])
        self.top_k = column([rule.top_k if rule.top_k > 0 else torch.inf for rule in rules])
        self.filtered = any(rule.top_p < 1 or rule.top_k > 0 for rule in rules)
        self.all_greedy = all(rule.temperature == 0 for rule in rules)
        asked = [rule.top_logprobs for rule in rules if rule.top_logprobs is not None]
        self.top_logprobs = max(asked) if asked else None

    def choose(self, logits: Any, uniforms: Sequence[float]) -> Any:
        """Tokens of shape [rows] from float32 logits of shape [rows, vocabulary] and uniforms in [0, 1)."""
        likeliest = logits.argmax(-1)
        if self.all_greedy:
            return likeliest
        scaled = logits / self.temperature
        order = None
        if self.filtered:
            scaled, order = self._filtered(scaled)
        cumulative = torch.softmax(scaled, -1, dtype=torch.float64).cumsum(-1)
        point = torch.tensor(uniforms, dtype=torch.float64, device=logits.device).unsqueeze(1) * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, point, right=True).clamp_(max=logits.shape[-1] - 1)
        if order is not None:
            chosen = order.gather(1, chosen)
        return torch.where(self.greedy, likeliest, chosen.squeeze(1))

    def _filtered(self, scaled: Any) -> tuple[Any, Any]:
        """Logits by falling size with the ones cut away at -inf, and the tokens they belong to.

        Top-k first, then the smallest set of what is left that holds top-p of its mass, as vLLM and
        transformers do it; the likeliest token always stays.
        """
        ordered, order = scaled.sort(dim=-1, descending=True, stable=True)
        rank = torch.arange(ordered.shape[-1], device=ordered.device)
        ordered = ordered.masked_fill(rank >= self.top_k, -torch.inf)
        mass = torch.softmax(ordered, -1)
        before = mass.cumsum(-1) - mass
        beyond = (before >= self.top_p) & (rank > 0)
        return ordered.masked_fill(beyond & (self.top_p < 1), -torch.inf), order
