"""Synthesis: a model writes a new answer from the candidates."""

from __future__ import annotations

from ..pipeline import Pipeline
from .recipe import Parts, Recipe

__all__ = ["RECIPES"]


def _self_moa(parts: Parts) -> Pipeline:
    from quorate.aggregators import SelfMoA

    return parts.sample() | SelfMoA(aggregator=parts.aggregator)


RECIPES = (
    Recipe(
        "self-moa",
        "N samples synthesized by a model, the first of them unless told otherwise, into a new answer",
        "arXiv 2502.00674",
        6,
        _self_moa,
    ),
)
