"""Votes weighted by the confidence of the traces, and DeepConf online."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from quorate.aggregators.specs import BuildContext, Options, PipelineSpec
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Aggregator

if TYPE_CHECKING:
    from quorate.aggregators.confidence import Measure

__all__ = ["PIPELINES"]


class ConfidenceOptions(Options):
    """How confidence is measured and used."""

    measure: Literal["mean-logprob", "self-certainty", "token-confidence", "lowest-group", "bottom-groups", "tail"] = (
        "lowest-group"
    )
    """Of a trace, from its log-probabilities."""
    keep: float = Field(default=0.9, gt=0, le=1)
    """Share of the traces that vote, the surest."""
    window: int = Field(default=2048, ge=1)
    """Tokens of a group, for the last three measures."""


class SelfCertaintyOptions(Options):
    """How strongly rank counts."""

    power: float = Field(default=0.5, ge=0, le=10)
    """A vote of rank r among N weighs (N - r + 1) ** power; 0 is the plurality."""


class DeepConfOptions(Options):
    """When a trace is stopped, and when sampling."""

    warm_up: int = Field(default=16, ge=1)
    """Traces that run to the end and set the threshold."""
    keep: float = Field(default=0.9, gt=0, le=1)
    """Share of them that lies above the threshold; the paper's eta: 0.9 seldom hurts, 0.1 saves most."""
    window: int = Field(default=2048, ge=1)
    """Tokens of a group."""
    consensus: float = Field(default=0.95, gt=0.5, le=1)
    """Share of the weight on one answer at which sampling ends."""


def _measure(options: ConfidenceOptions) -> Measure:
    from quorate.aggregators import confidence

    grouped: dict[str, Callable[[int], Measure]] = {
        "lowest-group": confidence.LowestGroup,
        "bottom-groups": confidence.BottomGroups,
        "tail": confidence.Tail,
    }
    plain: dict[str, Callable[[], Measure]] = {
        "mean-logprob": confidence.MeanLogprob,
        "self-certainty": confidence.SelfCertainty,
        "token-confidence": confidence.TokenConfidence,
    }
    if options.measure in grouped:
        return grouped[options.measure](options.window)
    return plain[options.measure]()


def _confidence(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.confidence import ConfidenceVote

    measure = _measure(context.options)
    return context.sample(top_logprobs=measure.alternatives) | ConfidenceVote(measure, keep=context.options.keep)


def _self_certainty(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.confidence import ConfidenceVote, SelfCertainty
    from quorate.aggregators.votes import Borda

    measure = SelfCertainty()
    return context.sample(top_logprobs=measure.alternatives) | ConfidenceVote(
        measure, Borda(context.options.power), name="confidence-borda"
    )


def _deepconf(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.confidence import deepconf

    settings = context.options.model_dump()
    pipeline = deepconf(context.models, n=context.n, wave=context.wave, sampling=context.sampling, **settings)
    return pipeline if context.stop is None else pipeline.with_sampling(stop=context.stop)


PIPELINES = (
    PipelineSpec(
        "confidence",
        "a vote of the surest of N samples, weighted by the model's confidence (DeepConf offline)",
        "arXiv 2508.15260, section 3",
        16,
        _confidence,
        ConfidenceOptions,
    ),
    PipelineSpec(
        "self-certainty",
        "a Borda vote of N samples, ranked by how sure the model was",
        "arXiv 2502.18581, section 4",
        16,
        _self_certainty,
        SelfCertaintyOptions,
    ),
    PipelineSpec(
        "deepconf",
        "a vote of at most N samples, of which unsure ones are stopped while they stream (DeepConf online)",
        "arXiv 2508.15260, section 3.3",
        64,
        _deepconf,
        DeepConfOptions,
    ),
)
