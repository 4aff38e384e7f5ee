"""Votes: the candidates are counted or weighed, and no model is called again but a reward model."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from quorate.orchestrator.pipeline import Pipeline

from .judges import RewardOptions
from .recipe import Options, Parts, Recipe

__all__ = ["RECIPES"]


class PriorOptions(Options):
    """What each model's vote weighs."""

    weights: Mapping[str, float] = Field(default={})
    """By the agent's name in the configuration, or the model's."""
    default: float = Field(default=1.0, ge=0)
    """Of models that are not named."""


class LogOddsOptions(Options):
    """How often each model is right."""

    accuracies: Mapping[str, float] = Field(default={})
    """By the agent's name in the configuration, or the model's; measured, such as by `quorate eval run`."""
    default: float = Field(default=0.6, ge=0, le=1)
    """Of models that are not named."""


class LabelFreeOptions(Options):
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


def _majority(parts: Parts) -> Pipeline:
    from quorate.aggregators import StructuredVote

    return parts.sample() | StructuredVote()


def _by_model(parts: Parts) -> Pipeline:
    from quorate.aggregators.votes import ByModel, RuleVote

    return parts.sample() | RuleVote(ByModel(parts.options.weights, default=parts.options.default))


def _log_odds(parts: Parts) -> Pipeline:
    from quorate.aggregators.votes import LogOdds, RuleVote

    return parts.sample() | RuleVote(LogOdds(parts.options.accuracies, default=parts.options.default))


def _run_off(parts: Parts) -> Pipeline:
    from quorate.aggregators.votes import RuleVote, RunOff

    return parts.sample() | RuleVote(RunOff())


def _label_free(parts: Parts) -> Pipeline:
    from quorate.aggregators import LabelFreeVote

    return parts.sample() | LabelFreeVote(parts.options.file, learn=parts.options.learn)


def _borda(parts: Parts) -> Pipeline:
    from quorate.aggregators import BordaVote

    options = parts.options
    return parts.sample() | BordaVote(options.built("borda"), power=options.power, concurrency=options.concurrency)


def _bests(parts: Parts) -> Pipeline:
    from quorate.aggregators import MajorityOfTheBestsVote

    options = parts.options
    verifier = options.built("majority-of-bests")
    return parts.sample() | MajorityOfTheBestsVote(verifier, m=options.m, concurrency=options.concurrency)


RECIPES = (
    Recipe(
        "majority",
        "the most frequent answer of N samples (self-consistency)",
        "arXiv 2203.11171, section 2",
        16,
        _majority,
    ),
    Recipe(
        "by-model",
        "a vote in which models weigh what you say",
        "a prior on models",
        16,
        _by_model,
        PriorOptions,
    ),
    Recipe(
        "log-odds",
        "the best decision for independent models of known accuracy",
        "Nitzan and Paroush 1982; one-coin Dawid-Skene",
        16,
        _log_odds,
        LogOddsOptions,
    ),
    Recipe(
        "run-off",
        "a second round between the two most frequent answers, a vote for each model",
        "arXiv 2302.02300, section 3",
        16,
        _run_off,
    ),
    Recipe(
        "label-free",
        "several models' votes, weighted by what their agreement teaches (one model: the majority)",
        "our own: quorate.aggregators.votes.abilities",
        8,
        _label_free,
        LabelFreeOptions,
        listed=False,
    ),
    Recipe(
        "borda",
        "a vote weighted by the rank of a reward model's score",
        "arXiv 2502.18581, section 5",
        16,
        _borda,
        BordaOptions,
        listed=False,
    ),
    Recipe(
        "majority-of-bests",
        "the answer that best-of-m by a reward model would give most often",
        "arXiv 2511.18630",
        16,
        _bests,
        BestsOptions,
        listed=False,
    ),
)
