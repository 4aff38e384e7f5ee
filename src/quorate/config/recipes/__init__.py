"""The built-in pipelines and stopping rules by name, as the command line, YAML and the wire know them.

Each family has a module with its `RECIPES`; a new pipeline is a new entry there. Edge of the room: a
recipe imports the aggregators that it needs when it is built.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import confidence, gate, judges, selector, stopping, structured, synthesis, token_level, votes
from .recipe import Composed, Options, Parts, Recipe, StopRecipe, TokenRecipe

__all__ = [
    "RECIPES",
    "STOPPING",
    "TOGETHER",
    "Composed",
    "Options",
    "Parts",
    "Recipe",
    "StopRecipe",
    "TokenRecipe",
]

RECIPES: Mapping[str, Recipe] = {
    r.name: r
    for family in (votes, stopping, confidence, synthesis, judges, gate, structured, selector)
    for r in family.RECIPES
}
"""Pipelines over any model."""

TOGETHER: Mapping[str, TokenRecipe] = {r.name: r for r in token_level.RECIPES}
"""Ensembles that write token by token, over several models."""

STOPPING: Mapping[str, StopRecipe] = {r.name: r for r in stopping.RULES}
"""Stopping rules for any pipeline."""
