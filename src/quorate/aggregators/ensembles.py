"""Token-level ensembles by name: models that write one answer together, so no N and no stopping rule.

`token_level` needs numpy, which the core install does not have, so it is imported when an ensemble is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Model

from .specs import BuildContext, EnsembleSpec, Options


class TraceOptions(Options):
    """What is kept."""

    trace: bool = False
    """Keep every token's story."""
    monitors: tuple[Literal["calculator"], ...] = ()
    """What looks on and rules tokens out: `calculator`, results of sums that are wrong."""


class TeamOptions(TraceOptions):
    """Who writes together."""

    weights: Mapping[str, float] = Field(default={})
    """By model; 1 where not given, and 0 leaves a verifier out."""


class TogetherOptions(TeamOptions):
    """How models decide together."""

    k: int = Field(default=10, ge=1)
    """Likeliest tokens of each model that UniTE takes; GaC takes all, or these of a server that tells no more."""
    sharpen: Literal["prefix", "geometric", "none"] = "prefix"
    """Where no token has half of the mass: longer tokens count for their beginnings, or the mean is geometric."""
    threshold: float = Field(default=0.1, ge=0, le=1)
    """Mass that a token needs for that (lambda)."""
    weighting: Literal["fixed", "entropy"] = "fixed"
    """`entropy`: at each token a model also counts by how sure it is of it (DaWin)."""


class SafeOptions(TogetherOptions):
    """How models decide together, and when."""

    base: Literal["unite", "gac", "crossmax"] = "unite"
    """The base ensemble; `crossmax` is the middle vote, which no single one of three or more models can force."""
    lookahead: int | None = Field(default=None, ge=1)
    """Tokens of a draft; adapts to what was accepted if not given."""


class GlimpseOptions(TraceOptions):
    """When the large model writes a step."""

    threshold: float = Field(default=1.0, ge=0)
    """Entropy of a step's first token, in nats as the small model expects it, above which the large one writes it."""
    steps: tuple[str, ...] = ("\n\n",)
    """What ends a step; any of them."""
    final: str | None = None
    """Behind this the large model writes all, such as `</think>`."""


def _safe(context: BuildContext) -> Model:
    from .token_level import Adaptive, CrossMax, Fixed, GaC, Safe, UniTE

    options = context.options
    lookahead = Adaptive() if options.lookahead is None else Fixed(options.lookahead)
    base = {"unite": UniTE, "gac": GaC, "crossmax": CrossMax}[options.base]
    return _together(context, Safe(lookahead), base(options.k))


def _unite(context: BuildContext) -> Model:
    from .token_level import EveryToken, UniTE

    return _together(context, EveryToken(), UniTE(context.options.k))


def _gac(context: BuildContext) -> Model:
    from .token_level import EveryToken, GaC

    return _together(context, EveryToken(), GaC(context.options.k))


def _mix(context: BuildContext) -> Model:
    from .token_level import Mix

    return _build(context, Mix())


def _glimpse(context: BuildContext) -> Model:
    from .token_level import AboveEntropy, Glimpse

    options = context.options
    if len(context.models) != 2:
        raise BadInput(f"glimpse takes two models, glimpse/SMALL+LARGE, and {len(context.models)} are given")
    return _build(context, Glimpse(AboveEntropy(options.threshold), options.steps, options.final))


def _together(context: BuildContext, conditions: Any, base: Any) -> Model:
    from .token_level import EnsembleRule, EntropyWeights, Geometric, PrefixMass

    options = context.options
    ways: dict[str, Any] = {"prefix": PrefixMass(options.threshold), "geometric": Geometric()}
    weighting = EntropyWeights() if options.weighting == "entropy" else None
    return _build(context, EnsembleRule(conditions, base, ways.get(options.sharpen), weighting))


def _build(context: BuildContext, rule: Any) -> Model:
    from .token_level import SAFE, Calculator

    options = context.options
    return SAFE(
        context.models,
        rule=rule,
        weights=options.weights if isinstance(options, TeamOptions) else {},
        name=context.name,
        sampling=context.sampling,
        traced=options.trace,
        monitors=[Calculator() for _ in options.monitors],
    )


ENSEMBLES = (
    EnsembleSpec(
        "safe",
        "models write together: the first drafts, all decide where they disagree at common boundaries",
        "arXiv 2510.15346, section 3",
        _safe,
        options=SafeOptions,
    ),
    EnsembleSpec(
        "unite",
        "models write together, deciding on every token over the union of their likeliest ones",
        "arXiv 2410.03777, section 4",
        _unite,
        options=TogetherOptions,
    ),
    EnsembleSpec(
        "gac",
        "models write together, deciding on every token over the union of their vocabularies",
        "arXiv 2406.12585, section 3",
        _gac,
        options=TogetherOptions,
    ),
    EnsembleSpec(
        "mix",
        "models speak in turn: whose token comes next is drawn by the weights, and only that model is asked",
        "arXiv 2605.00419",
        _mix,
        options=TeamOptions,
    ),
    EnsembleSpec(
        "glimpse",
        "a small model opens each step, and where it is unsure of how, the large one writes the step",
        "arXiv 2601.05110",
        _glimpse,
        options=GlimpseOptions,
        most=2,
    ),
)
