"""Stopping rules, and the votes that stop by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field

from quorate.aggregators.meaning.options import MeaningOptions, build_grouping
from quorate.aggregators.specs import BuildContext, Options, PipelineSpec, StoppingSpec
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import StoppingRule

__all__ = ["PIPELINES", "RULES"]


class AdaptiveConsistencyOptions(Options):
    """When a majority counts as safe."""

    threshold: float = Field(default=0.95, gt=0.5, lt=1)
    """Probability that the leading answer stays ahead of the second."""


class ESCOptions(Options):
    """When a window counts as agreement."""

    window: int = Field(default=5, ge=2)
    """Samples that must agree."""


class BestOfInfinityOptions(Options):
    """How strong the evidence must be."""

    bayes_factor: float = Field(default=10.0, gt=1, allow_inf_nan=False)
    """For the leading answer being the likeliest."""
    unknown: float = Field(default=0.3, gt=0, allow_inf_nan=False)
    """Votes that count for answers not seen yet."""


class LookAheadOptions(Options):
    """How much risk is accepted."""

    epsilon: float = Field(default=0.05, gt=0, lt=0.5)
    """Probability that the samples left would change the winner."""


class FixedOptions(Options):
    """How many votes."""

    votes: int = Field(default=8, ge=1)
    """At which to stop; samples that failed or abstained do not count."""


class TokenLimitOptions(Options):
    """How many tokens."""

    tokens: int = Field(default=100_000, ge=1)
    """That the samples may cost before no more are drawn."""


class ConsensusOptions(Options):
    """How much of the weight."""

    share: float = Field(default=0.95, gt=0.5, le=1)
    """On one answer."""
    after: int = Field(default=16, ge=1)
    """Samples that must have ended first."""


def _adaptive(options: AdaptiveConsistencyOptions) -> StoppingRule:
    from quorate.aggregators.stopping import AdaptiveConsistency

    return AdaptiveConsistency(options.threshold)


def _esc(options: ESCOptions) -> StoppingRule:
    from quorate.aggregators.stopping import ESC

    return ESC(options.window)


def _best_of_infinity(options: BestOfInfinityOptions) -> StoppingRule:
    from quorate.aggregators.stopping import BestOfInfinity

    return BestOfInfinity(options.bayes_factor, options.unknown)


def _look_ahead(options: LookAheadOptions) -> StoppingRule:
    from quorate.aggregators.stopping import LookAhead

    return LookAhead(options.epsilon)


def _fixed(options: FixedOptions) -> StoppingRule:
    from quorate.aggregators.stopping import FixedVotes

    return FixedVotes(options.votes)


def _token_limit(options: TokenLimitOptions) -> StoppingRule:
    from quorate.aggregators.stopping import TokenLimit

    return TokenLimit(options.tokens)


def _consensus(options: ConsensusOptions) -> StoppingRule:
    from quorate.aggregators.stopping import Consensus

    return Consensus(options.share, options.after)


class AdaptiveVoteOptions(AdaptiveConsistencyOptions, MeaningOptions):
    """When to stop, and which answers are one."""


class ESCVoteOptions(ESCOptions, MeaningOptions):
    """When to stop, and which answers are one."""


class BestOfInfinityVoteOptions(BestOfInfinityOptions, MeaningOptions):
    """When to stop, and which answers are one."""


class LookAheadVoteOptions(LookAheadOptions, MeaningOptions):
    """When to stop, and which answers are one."""


def _vote(rule: Callable[[Any], StoppingRule]) -> Callable[[BuildContext], Pipeline]:
    def build(context: BuildContext) -> Pipeline:
        from quorate.aggregators import MajorityVote, StructuredVote

        vote = StructuredVote(MajorityVote().with_grouping(build_grouping(context)))
        return context.sample(stop=rule(context.options)) | vote

    return build


_ADAPTIVE = StoppingSpec(
    "adaptive-consistency",
    "stop once the leading answer is safe against the second",
    "arXiv 2305.11860, section 3 (Beta stopping criterion)",
    _adaptive,
    AdaptiveConsistencyOptions,
)
_ESC = StoppingSpec(
    "esc", "stop once a window of samples is unanimous", "arXiv 2401.10480, section 3", _esc, ESCOptions
)
_INFINITY = StoppingSpec(
    "best-of-infinity",
    "stop once the leading answer is very likely the one of infinitely many samples",
    "arXiv 2509.21091, section 3 (Bayes factor of a Dirichlet posterior)",
    _best_of_infinity,
    BestOfInfinityOptions,
)
_LOOK_AHEAD = StoppingSpec(
    "look-ahead",
    "stop once the samples left would very likely not change the winner",
    "our own: Polya urn up to the limit of samples",
    _look_ahead,
    LookAheadOptions,
)

RULES = (
    _ADAPTIVE,
    _ESC,
    _INFINITY,
    _LOOK_AHEAD,
    StoppingSpec("fixed", "stop at a number of votes", "common practice", _fixed, FixedOptions),
    StoppingSpec("token-limit", "stop at a number of tokens", "common practice", _token_limit, TokenLimitOptions),
    StoppingSpec(
        "consensus",
        "stop once one answer has almost all of the weight",
        "arXiv 2508.15260, section 3.3",
        _consensus,
        ConsensusOptions,
    ),
)

_VOTES = (
    (_ADAPTIVE, AdaptiveVoteOptions, "a majority vote that stops once 95 % sure, after at most N samples"),
    (_ESC, ESCVoteOptions, "a majority vote that stops once five samples in a row agree, after at most N"),
    (
        _INFINITY,
        BestOfInfinityVoteOptions,
        "a majority vote that stops at a Bayes factor of 10, after at most N samples",
    ),
    (
        _LOOK_AHEAD,
        LookAheadVoteOptions,
        "a majority vote that stops once the rest up to N would hardly change its winner",
    ),
)

PIPELINES = tuple(
    PipelineSpec(rule.name, summary, rule.source, 16, _vote(rule.build), options) for rule, options, summary in _VOTES
)
