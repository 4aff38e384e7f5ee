"""Votes: the candidates are counted or weighed, and no model is called again but a reward model."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from quorate.aggregators.meaning.options import Classes, MeaningOptions, build_grouping
from quorate.aggregators.specs import BuildContext, PipelineSpec
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Aggregator

from .judges import RewardOptions

__all__ = ["PIPELINES"]


class PriorOptions(MeaningOptions):
    """What each model's vote weighs."""

    weights: Mapping[str, float] = Field(default={})
    """By the agent's name in the configuration, or the model's."""
    default: float = Field(default=1.0, ge=0)
    """Of models that are not named."""


class LogOddsOptions(MeaningOptions):
    """How often each model is right."""

    accuracies: Mapping[str, float] = Field(default={})
    """By the agent's name in the configuration, or the model's; measured, such as by `quorate eval run`."""
    default: float = Field(default=0.6, ge=0, le=1)
    """Of models that are not named."""


class LabelFreeOptions(MeaningOptions):
    """What is known, and whether more is learned."""

    file: str | None = None
    """Where abilities are kept between runs; in memory only if not given."""
    learn: bool = True
    """Go on learning from every question."""


class BordaOptions(RewardOptions):
    """Who scores, and how strongly rank counts."""

    power: float = Field(default=0.5, ge=0)
    """0 counts votes, large ones trust the first alone."""


class BestsOptions(RewardOptions):
    """Who scores, and how many compete."""

    m: int | None = Field(default=None, ge=1)
    """Size of the bootstrapped subsets; the square root of the samples, rounded up, if not given."""


class MeaningVoteOptions(MeaningOptions):
    """Which answers in sentences are one."""

    classes: Classes = "judge"
    """As for `majority`."""


def _majority(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import MajorityVote, StructuredVote

    return StructuredVote(MajorityVote().with_grouping(build_grouping(context)))


def _by_model(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.votes import ByModel, RuleVote

    return RuleVote(ByModel(context.options.weights, default=context.options.default)).with_grouping(
        build_grouping(context)
    )


def _log_odds(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.votes import LogOdds, RuleVote

    return RuleVote(LogOdds(context.options.accuracies, default=context.options.default)).with_grouping(
        build_grouping(context)
    )


def _run_off(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.votes import RuleVote, RunOff

    return RuleVote(RunOff()).with_grouping(build_grouping(context))


def _label_free(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import LabelFreeVote

    return LabelFreeVote(context.options.file, learn=context.options.learn).with_grouping(build_grouping(context))


def _borda(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import Borda, ScoredVote

    options = context.options
    verifier = options.open_verifier("borda", context)
    return ScoredVote(verifier, Borda(options.power), concurrency=options.concurrency)


def _bests(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import MajorityOfTheBests, ScoredVote

    options = context.options
    verifier = options.open_verifier("majority-of-bests", context)
    return ScoredVote(verifier, MajorityOfTheBests(options.m), concurrency=options.concurrency)


PIPELINES = (
    PipelineSpec(
        "majority",
        "the most frequent answer of N samples (self-consistency)",
        "arXiv 2203.11171, section 2",
        16,
        _majority,
        MeaningOptions,
    ),
    PipelineSpec(
        "meaning",
        "the answer that most of N samples give by meaning; a model says which sentences are one",
        "semantic entropy's classes, Nature 630 (2024), in one call",
        8,
        _majority,
        MeaningVoteOptions,
    ),
    PipelineSpec(
        "by-model",
        "a vote in which models weigh what you say",
        "a prior on models",
        16,
        _by_model,
        PriorOptions,
    ),
    PipelineSpec(
        "log-odds",
        "the best decision for independent models of known accuracy",
        "Nitzan and Paroush 1982; one-coin Dawid-Skene",
        16,
        _log_odds,
        LogOddsOptions,
    ),
    PipelineSpec(
        "run-off",
        "a second round between the two most frequent answers, a vote for each model",
        "arXiv 2302.02300, section 3",
        16,
        _run_off,
        MeaningOptions,
    ),
    PipelineSpec(
        "label-free",
        "several models' votes, weighted by what their agreement teaches (one model: the majority)",
        "our own: quorate.aggregators.votes.abilities",
        8,
        _label_free,
        LabelFreeOptions,
        listed=False,
    ),
    PipelineSpec(
        "borda",
        "a vote weighted by the rank of a reward model's score",
        "arXiv 2502.18581, section 5",
        16,
        _borda,
        BordaOptions,
        listed=False,
    ),
    PipelineSpec(
        "majority-of-bests",
        "the answer that best-of-m by a reward model would give most often",
        "arXiv 2511.18630",
        16,
        _bests,
        BestsOptions,
        listed=False,
    ),
)
