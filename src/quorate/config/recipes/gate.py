"""The agreement gate: any other pipeline's aggregator, called only where a cheap one is unsure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field

from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Aggregator, StoppingRule

from .recipe import Options, Parts, Recipe

__all__ = ["RECIPES"]

NAME = "gate"
AGREEMENT = "agreement"


class GateOptions(Options):
    """What is called when, and what it is told."""

    expensive: str = "agglm"
    """The pipeline whose aggregator settles what stays open."""
    expensive_options: dict[str, Any] = Field(default={})
    """Its options."""
    cheap: str = "majority"
    """The pipeline whose aggregator answers where the candidates agree; it must count votes."""
    rule: str = "adaptive-consistency"
    """A stopping rule, which says when they agree and ends sampling then; or `agreement`, a share of the votes."""
    rule_options: dict[str, Any] = Field(default={})
    """Its options; those of `agreement` are `share` and `least`."""


def _gate(parts: Parts) -> Pipeline:
    from quorate.aggregators import Gate

    options, rule = parts.options, _rule(parts.options)
    expensive = _aggregator(parts, options.expensive, options.expensive_options, "expensive")
    cheap = _aggregator(parts, options.cheap, {}, "cheap")
    return parts.sample(stop=rule) | Gate(expensive, cheap=cheap, rule=rule)


def _aggregator(parts: Parts, name: str, given: dict[str, Any], option: str) -> Aggregator:
    """The aggregator of another recipe over the same models."""
    from . import RECIPES as KNOWN

    recipe = KNOWN.get(name)
    if recipe is None or name == NAME:
        error = UnknownName("pipeline", name, set(KNOWN) - {NAME})
        raise BadInput(f"{NAME}: option {option!r}: {error}")
    built = recipe.build(replace(parts, options=recipe.checked(given)))
    if not isinstance(built, Pipeline):
        raise BadInput(f"{NAME}: option {option!r}: {name} has no aggregator, it writes its answer by itself")
    return built.aggregator


def _rule(options: GateOptions) -> StoppingRule:
    from quorate.aggregators import Agreement

    from . import STOPPING

    if options.rule == AGREEMENT:
        try:
            return Agreement(**options.rule_options)
        except TypeError:
            raise BadInput(f"{NAME}: option 'rule_options': {AGREEMENT} has the options share and least") from None
    if options.rule not in STOPPING:
        error = UnknownName("rule", options.rule, {*STOPPING, AGREEMENT})
        raise BadInput(f"{NAME}: option 'rule': {error}")
    recipe = STOPPING[options.rule]
    return recipe.build(recipe.checked(options.rule_options))


RECIPES = (
    Recipe(
        NAME,
        "a vote while it is sure; where N samples leave it open, an expensive aggregator",
        "ours; arXiv 2305.11860, section 3, before arXiv 2509.06870 or any other",
        16,
        _gate,
        GateOptions,
    ),
)
