"""Entries of the registry: panels whose answers are compared, ranked or taken as advice."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from quorate.aggregators.judges.model import JUDGE_SAMPLING, JUDGE_TOKENS
from quorate.aggregators.specs import BuildContext, Options, PipelineSpec
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Aggregator


class PanelOptions(Options):
    """What every panel can be told."""

    max_context_tokens: int = Field(default=24_000, ge=1)
    """Room for the answers in one prompt; longer ones lose their middle, and the answer says so."""


class ActOptions(PanelOptions):
    """What advisers see."""

    show_results: bool = False
    """Advisers are told what was called and what it returned, as text."""


class FusionOptions(ActOptions):
    """When answers are analysed, and how long those of the panel are."""

    agreement: float | None = Field(default=1.0, gt=0, le=1)
    """Share of the answers in one class at which no analysis is needed; null always analyses."""
    panel_tokens: int | None = Field(default=None, ge=1)
    """Of each answer of the panel at most."""
    shadow: bool = False
    """Analyse in any case, and tell what agreement would have saved."""


class CouncilOptions(PanelOptions):
    """How members review."""

    rule: Literal["borda", "copeland"] = "borda"
    """Mean rank, or victories over the others one by one."""
    wave: int = Field(default=2, ge=1)
    """Reviewers who are asked at once; between waves reviewing may stop."""
    max_tokens: int = Field(default=JUDGE_TOKENS, ge=1)
    """Of one review, its thinking included; the caller's limit is for answers."""
    shadow: bool = False
    """Ask all reviewers, and tell what stopping would have saved."""


def _fusion(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.panels.fusion import fusion
    from quorate.aggregators.stopping import Agreement

    options = context.options
    return fusion(
        context.sample(),
        context.writer,
        rule=None if options.agreement is None else Agreement(options.agreement, min_votes=2),
        always=options.agreement is None,
        shadow=options.shadow,
        panel_tokens=options.panel_tokens,
        show_results=options.show_results,
        max_context_tokens=options.max_context_tokens,
    )


def _council(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.panels.council import council

    options = context.options
    return council(
        context.sample(),
        rule=options.rule,
        wave=options.wave,
        sampling=JUDGE_SAMPLING.model_copy(update={"max_tokens": options.max_tokens}),
        shadow=options.shadow,
        max_context_tokens=options.max_context_tokens,
    )


def _act(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.panels.acting import acting

    options = context.options
    return acting(
        context.sample(),
        context.writer,
        show_results=options.show_results,
        max_context_tokens=options.max_context_tokens,
    )


PIPELINES = (
    PipelineSpec(
        "fusion",
        "N answers of a panel, an analysis of where they agree and differ, and an answer written from both",
        "OpenRouter Fusion, documentation of 2026; arXiv 2502.00674, section 3",
        3,
        _fusion,
        options=FusionOptions,
    ),
    PipelineSpec(
        "council",
        "N members rank each other's answers without names, their own left out; the losers are reported",
        "karpathy/llm-council (2025); Borda and Copeland counts",
        3,
        _council,
        options=CouncilOptions,
    ),
    PipelineSpec(
        "act",
        "N advisers without tools, and one model that alone calls them, for an agent's loop",
        "our own; without tools arXiv 2502.00674, section 3",
        3,
        _act,
        options=ActOptions,
    ),
)
