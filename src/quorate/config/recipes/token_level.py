"""Models that write one answer together, token by token: no samples, so no N and no stopping rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from .recipe import Options, Parts, TokenRecipe

if TYPE_CHECKING:
    from quorate.aggregators.token_level import SAFE
    from quorate.aggregators.token_level.conditions import Conditions
    from quorate.aggregators.token_level.engine import Decides
    from quorate.aggregators.token_level.mixture import Merge, Sharpen

__all__ = ["RECIPES"]


class TeamOptions(Options):
    """Who writes together."""

    weights: Mapping[str, float] = Field(default={})
    """By model; 1 where not given, and 0 leaves a verifier out."""
    trace: bool = False
    """Keep every token's story."""


class TogetherOptions(TeamOptions):
    """How models decide together."""

    k: int = Field(default=10, ge=1)
    """Likeliest tokens of each model that UniTE takes; GaC takes all, or these of a server that tells no more."""
    sharpen: Literal["prefix", "geometric", "none"] = "prefix"
    """Where no token has half of the mass: longer tokens count for their beginnings, or the mean is geometric."""
    threshold: float = Field(default=0.1, ge=0, le=1)
    """Mass that a token needs for that (lambda)."""


class SafeOptions(TogetherOptions):
    """How models decide together, and when."""

    base: Literal["unite", "gac"] = "unite"
    """The base ensemble."""
    lookahead: int | None = Field(default=None, ge=1)
    """Tokens of a draft; adapts to what was accepted if not given."""


def _safe(parts: Parts) -> SAFE:
    from quorate.aggregators.token_level import Adaptive, Fixed, GaC, Safe, UniTE

    options = parts.options
    lookahead = Adaptive() if options.lookahead is None else Fixed(options.lookahead)
    return _together(parts, Safe(lookahead), UniTE(options.k) if options.base == "unite" else GaC(options.k))


def _unite(parts: Parts) -> SAFE:
    from quorate.aggregators.token_level import EveryToken, UniTE

    return _together(parts, EveryToken(), UniTE(parts.options.k))


def _gac(parts: Parts) -> SAFE:
    from quorate.aggregators.token_level import EveryToken, GaC

    return _together(parts, EveryToken(), GaC(parts.options.k))


def _mix(parts: Parts) -> SAFE:
    from quorate.aggregators.token_level import Mix

    return _by(parts, Mix())


def _together(parts: Parts, conditions: Conditions, merge: Merge) -> SAFE:
    from quorate.aggregators.token_level import Rule

    return _by(parts, Rule(conditions, merge, _sharpen(parts.options)))


def _by(parts: Parts, rule: Decides) -> SAFE:
    from quorate.aggregators.token_level import SAFE

    options = parts.options
    return SAFE(parts.models, rule=rule, weights=options.weights, sampling=parts.sampling, traced=options.trace)


def _sharpen(options: TogetherOptions) -> Sharpen | None:
    from quorate.aggregators.token_level import Geometric, PrefixMass

    match options.sharpen:
        case "prefix":
            return PrefixMass(options.threshold)
        case "geometric":
            return Geometric()
    return None


RECIPES = (
    TokenRecipe(
        "safe",
        "models write together: the first drafts, all decide where they disagree at common boundaries",
        "arXiv 2510.15346, section 3",
        _safe,
        SafeOptions,
    ),
    TokenRecipe(
        "unite",
        "models write together, deciding on every token over the union of their likeliest ones",
        "arXiv 2410.03777, section 4",
        _unite,
        TogetherOptions,
    ),
    TokenRecipe(
        "gac",
        "models write together, deciding on every token over the union of their vocabularies",
        "arXiv 2406.12585, section 3",
        _gac,
        TogetherOptions,
    ),
    TokenRecipe(
        "mix",
        "models speak in turn: whose token comes next is drawn by the weights, and only that model is asked",
        "arXiv 2605.00419",
        _mix,
        TeamOptions,
    ),
)
