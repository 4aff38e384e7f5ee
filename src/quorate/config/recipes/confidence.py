"""Votes weighted by the confidence of the traces, and DeepConf online."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.sampling import SamplingStage
from quorate.orchestrator.types import SamplingParams

from .recipe import Options, Parts, Recipe

if TYPE_CHECKING:
    from quorate.aggregators.confidence import Measure

__all__ = ["RECIPES"]


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


def _asking(parts: Parts, measure: Measure) -> SamplingStage:
    """The sampling stage, with the log-probabilities that the measure needs."""
    stage = parts.sample()
    return replace(stage, sampling=stage.sampling.over(SamplingParams(top_logprobs=measure.alternatives)))


def _confidence(parts: Parts) -> Pipeline:
    from quorate.aggregators.confidence import ConfidenceVote

    measure = _measure(parts.options)
    return _asking(parts, measure) | ConfidenceVote(measure, keep=parts.options.keep)


def _self_certainty(parts: Parts) -> Pipeline:
    from quorate.aggregators.confidence import ConfidenceBorda, SelfCertainty

    measure = SelfCertainty()
    return _asking(parts, measure) | ConfidenceBorda(measure, power=parts.options.power)


def _deepconf(parts: Parts) -> Pipeline:
    from quorate.aggregators.confidence import deepconf

    pipeline = deepconf(parts.models, n=parts.n, wave=parts.wave, sampling=parts.sampling, **parts.options.model_dump())
    if parts.stop is None:
        return pipeline
    return Pipeline(replace(pipeline.sampler, stop=parts.stop), pipeline.aggregator)


RECIPES = (
    Recipe(
        "confidence",
        "a vote of the surest of N samples, weighted by the model's confidence (DeepConf offline)",
        "arXiv 2508.15260, section 3",
        16,
        _confidence,
        ConfidenceOptions,
    ),
    Recipe(
        "self-certainty",
        "a Borda vote of N samples, ranked by how sure the model was",
        "arXiv 2502.18581, section 4",
        16,
        _self_certainty,
        SelfCertaintyOptions,
    ),
    Recipe(
        "deepconf",
        "a vote of at most N samples, of which unsure ones are stopped while they stream (DeepConf online)",
        "arXiv 2508.15260, section 3.3",
        64,
        _deepconf,
        DeepConfOptions,
    ),
)
