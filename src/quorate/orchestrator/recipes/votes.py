"""Votes: the candidates are counted, and no model is called again."""

from __future__ import annotations

from ..pipeline import Pipeline
from .recipe import Parts, Recipe

__all__ = ["RECIPES"]


def _majority(parts: Parts) -> Pipeline:
    from quorate.aggregators import StructuredVote

    return parts.sample() | StructuredVote()


RECIPES = (
    Recipe(
        "majority",
        "the most frequent answer of N samples (self-consistency)",
        "arXiv 2203.11171, section 2",
        16,
        _majority,
    ),
)
