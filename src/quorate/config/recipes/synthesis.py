"""Synthesis: models write a new answer from the candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from quorate.aggregators.specs import BuildContext, Options, PipelineSpec
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Aggregator

if TYPE_CHECKING:
    pass

__all__ = ["PIPELINES", "SynthesisOptions"]

FAMILY = "quorate-tiny-"
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


def _self_moa(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import SelfMoA

    return SelfMoA(context.writer, **_common(context))


def _agglm(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.synthesis import choose_agglm, find_shipped_aggregator

    model = context.aggregator_model
    if model is None:
        model = find_shipped_aggregator(context.models, context.providers.shipped_model) or context.writer
    return choose_agglm(model, context.options.form)(model, **_common(context))


def _self_moa_seq(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import self_moa_seq

    window, repeats = context.options.window, context.options.repeats
    return self_moa_seq(context.sample(), context.writer, window=window, repeats=repeats, **_common(context))


def _moa(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import mixture_of_agents

    return mixture_of_agents(context.sample(), context.writer, layers=context.options.layers, **_common(context))


def _aft(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import propose_and_aggregate

    return propose_and_aggregate(context.sample(), context.writer, rounds=context.options.rounds, **_common(context))


def _rsa(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import RandomMember, StructuredVote, recursive_self_aggregation

    options, vote = context.options, StructuredVote()
    return recursive_self_aggregation(
        context.sample(),
        context.writer,
        subset=options.subset,
        loops=options.loops,
        final=RandomMember(vote) if options.final == "random" else vote,
        max_context_tokens=options.max_context_tokens,
    )


def _debate(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import StructuredVote, debate

    options = context.options
    return debate(
        context.sample(),
        rounds=options.rounds,
        roles=options.roles,
        final=StructuredVote(),
        max_context_tokens=options.max_context_tokens,
    )


def _common(context: BuildContext) -> dict[str, Any]:
    from quorate.aggregators import StructuredVote

    return {"max_context_tokens": context.options.max_context_tokens, "fallback": StructuredVote()}


PIPELINES = (
    PipelineSpec(
        "self-moa",
        "N samples synthesized by a model, the first of them unless told otherwise, into a new answer",
        "arXiv 2502.00674, section 3",
        6,
        _self_moa,
        SynthesisOptions,
    ),
    PipelineSpec(
        "self-moa-seq",
        "N samples folded window by window into a running synthesis; the context is bounded, whatever N",
        "arXiv 2502.00674, section 5",
        16,
        _self_moa_seq,
        WindowOptions,
    ),
    PipelineSpec(
        "moa",
        "Mixture-of-Agents: layers of N answers, each reading the layer before, then one aggregator",
        "arXiv 2406.04692, section 2",
        6,
        _moa,
        MixtureOptions,
    ),
    PipelineSpec(
        "aft",
        "N proposals aggregated in several layers by one model (propose-and-aggregate)",
        "arXiv 2501.11877, section 4",
        5,
        _aft,
        ProposeOptions,
    ),
    PipelineSpec(
        "rsa",
        "recursive self-aggregation: N members renewed from random subsets, then a majority",
        "arXiv 2509.26626, section 3",
        16,
        _rsa,
        RecursiveOptions,
    ),
    PipelineSpec(
        "agglm",
        "N solutions reviewed, corrected and combined by a model, trained for it (AggLM) or not",
        "arXiv 2509.06870, section 3",
        8,
        _agglm,
        AggLMOptions,
    ),
    PipelineSpec(
        "debate",
        "N agents revise their answers in the light of each other's for some rounds, then vote",
        "arXiv 2305.14325, section 2",
        3,
        _debate,
        DebateOptions,
    ),
)
