"""Synthesis: models write a new answer from the candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.model import Agent
from quorate.orchestrator.pipeline import Pipeline

from .recipe import Options, Parts, Recipe

if TYPE_CHECKING:
    from quorate.orchestrator.protocols import Model

__all__ = ["RECIPES", "SynthesisOptions"]

AGGREGATOR = "quorate-tiny-agg"
"""The learned aggregator that ships, trained on candidates of `quorate-tiny-base`."""

MOST = 64
"""Bound on layers, rounds and loops, each of which costs N calls."""


class SynthesisOptions(Options):
    """What every synthesizer can be told."""

    max_context_tokens: int = Field(default=24_000, ge=1)
    """Room for the candidates in one prompt; longer ones lose their middle, and the answer says so."""


class AggLMOptions(SynthesisOptions):
    """How candidates are shown to a trained aggregator."""

    form: Literal["attempts", "steps"] | None = None
    """One after the other, or merged step by step; as the aggregator was trained, `attempts` where it does not say."""


class WindowOptions(SynthesisOptions):
    """How a long list of candidates is read."""

    window: int = Field(default=6, ge=2)
    """Responses in one prompt."""
    repeats: int | None = Field(default=None, ge=1)
    """How many of them are copies of the running synthesis; half of the window if not given."""


class MixtureOptions(SynthesisOptions):
    """How deep a mixture is."""

    layers: int = Field(default=3, ge=2, le=MOST)
    """Layers with the sampling stage and the aggregator; each layer between them has N answers."""


class ProposeOptions(SynthesisOptions):
    """How often proposals are aggregated."""

    rounds: int = Field(default=2, ge=1, le=MOST)
    """Layers of aggregation; each but the last gives N answers."""


class RecursiveOptions(SynthesisOptions):
    """How a population is renewed."""

    subset: int | None = Field(default=None, ge=1)
    """Members that one aggregation reads, at most N; 4, or N where that is less, if not given."""
    loops: int = Field(default=10, ge=0, le=MOST)
    """How often the whole population is renewed, N calls each time."""
    final: Literal["majority", "random"] = "majority"
    """How the last population becomes one answer."""


class DebateOptions(SynthesisOptions):
    """How candidates are debated."""

    rounds: int = Field(default=2, ge=0, le=MOST)
    """Rounds of revision, N calls each."""
    roles: tuple[str, ...] = ()
    """System messages dealt to the agents in turn."""


def _self_moa(parts: Parts) -> Pipeline:
    from quorate.aggregators import SelfMoA

    return parts.sample() | SelfMoA(parts.aggregator, **_common(parts))


def _agglm(parts: Parts) -> Pipeline:
    from quorate.aggregators import AggLM, SteppedAggLM

    model = parts.helper or _shipped(parts.models) or parts.models[0]
    form = parts.options.form or getattr(model, "aggregation_form", None)
    made = SteppedAggLM if form == "steps" else AggLM
    return parts.sample() | made(model, **_common(parts))


def _shipped(proposers: Sequence[Model]) -> Model | None:
    """The shipped aggregator, for proposers of the family that it was trained on; other models' work is beyond it."""
    from quorate.agents.embedded import Embedded, embedded_models

    def of_the_family(model: object) -> bool:
        if isinstance(model, Agent) and model.members:  # an ensemble's answers are of its members' kind
            return all(map(of_the_family, model.members))
        # A bank that stands before an agent tells what that one is.
        kind = getattr(model, "kind", type(model).__name__.lower())
        return kind == "embedded" and getattr(model, "model", None) in shipped

    shipped = embedded_models()
    return Embedded(AGGREGATOR) if AGGREGATOR in shipped and all(map(of_the_family, proposers)) else None


def _self_moa_seq(parts: Parts) -> Pipeline:
    from quorate.aggregators import SelfMoASeq

    window, repeats = parts.options.window, parts.options.repeats
    return parts.sample() | SelfMoASeq(parts.aggregator, window=window, repeats=repeats, **_common(parts))


def _moa(parts: Parts) -> Pipeline:
    from quorate.aggregators import Layer, MixtureOfAgents

    layers = [Layer(parts.models, parts.n)] * (parts.options.layers - 2)
    return parts.sample() | MixtureOfAgents(parts.aggregator, layers=layers, **_common(parts))


def _aft(parts: Parts) -> Pipeline:
    from quorate.aggregators import ProposeAndAggregate

    rounds = parts.options.rounds
    return parts.sample() | ProposeAndAggregate(parts.aggregator, rounds=rounds, n=parts.n, **_common(parts))


def _rsa(parts: Parts) -> Pipeline:
    from quorate.aggregators import RandomMember, RecursiveSelfAggregation

    options = parts.options
    subset = min(4, parts.n) if options.subset is None else options.subset
    if subset > parts.n:
        raise BadInput(
            f"rsa: option 'subset': {subset} of n={parts.n} candidates; give at most {parts.n}, or a larger n"
        )
    final = RandomMember() if options.final == "random" else None
    return parts.sample() | RecursiveSelfAggregation(
        parts.aggregator, subset=subset, loops=options.loops, final=final, **_common(parts)
    )


def _debate(parts: Parts) -> Pipeline:
    from quorate.aggregators import Debate

    options = parts.options
    return parts.sample() | Debate(parts.models, rounds=options.rounds, roles=options.roles, **_common(parts))


def _common(parts: Parts) -> dict[str, Any]:
    from quorate.aggregators import StructuredVote

    return {"max_context_tokens": parts.options.max_context_tokens, "fallback": StructuredVote()}


RECIPES = (
    Recipe(
        "self-moa",
        "N samples synthesized by a model, the first of them unless told otherwise, into a new answer",
        "arXiv 2502.00674, section 3",
        6,
        _self_moa,
        SynthesisOptions,
    ),
    Recipe(
        "self-moa-seq",
        "N samples folded window by window into a running synthesis; the context is bounded, whatever N",
        "arXiv 2502.00674, section 5",
        16,
        _self_moa_seq,
        WindowOptions,
    ),
    Recipe(
        "moa",
        "Mixture-of-Agents: layers of N answers, each reading the layer before, then one aggregator",
        "arXiv 2406.04692, section 2",
        6,
        _moa,
        MixtureOptions,
    ),
    Recipe(
        "aft",
        "N proposals aggregated in several layers by one model (propose-and-aggregate)",
        "arXiv 2501.11877, section 4",
        5,
        _aft,
        ProposeOptions,
    ),
    Recipe(
        "rsa",
        "recursive self-aggregation: N members renewed from random subsets, then a majority",
        "arXiv 2509.26626, section 3",
        16,
        _rsa,
        RecursiveOptions,
    ),
    Recipe(
        "agglm",
        "N solutions reviewed, corrected and combined by a model, trained for it (AggLM) or not",
        "arXiv 2509.06870, section 3",
        8,
        _agglm,
        AggLMOptions,
    ),
    Recipe(
        "debate",
        "N agents revise their answers in the light of each other's for some rounds, then vote",
        "arXiv 2305.14325, section 2",
        3,
        _debate,
        DebateOptions,
    ),
)
