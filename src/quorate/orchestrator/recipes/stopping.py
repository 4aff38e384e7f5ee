"""Stopping rules, and the votes that stop by them."""

from __future__ import annotations

from pydantic import Field

from ..pipeline import Pipeline
from ..protocols import StoppingRule
from .recipe import Options, Parts, Recipe, StopRecipe

__all__ = ["RECIPES", "RULES"]


class AdaptiveConsistencyOptions(Options):
    """When a majority counts as safe."""

    threshold: float = Field(default=0.95, gt=0.5, lt=1)
    """Probability that the leading answer stays ahead of the second."""


def _adaptive_rule(options: AdaptiveConsistencyOptions) -> StoppingRule:
    from quorate.aggregators import AdaptiveConsistency

    return AdaptiveConsistency(options.threshold)


def _adaptive_vote(parts: Parts) -> Pipeline:
    from quorate.aggregators import MajorityVote

    return parts.sample(stop=_adaptive_rule(parts.options)) | MajorityVote()


ADAPTIVE = "arXiv 2305.11860, section 3 (Beta stopping criterion)"

RULES = (
    StopRecipe(
        "adaptive-consistency",
        "stop once the leading answer is safe against the second",
        ADAPTIVE,
        _adaptive_rule,
        AdaptiveConsistencyOptions,
    ),
)

RECIPES = (
    Recipe(
        "adaptive-consistency",
        "a majority vote that stops once 95 % sure, after at most N samples",
        ADAPTIVE,
        16,
        _adaptive_vote,
        AdaptiveConsistencyOptions,
    ),
)
