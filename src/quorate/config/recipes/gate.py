"""The agreement gate: any other pipeline's aggregator, called only where a cheap one is unsure."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from quorate.aggregators.specs import BuildContext, Options, PipelineSpec
from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.pipeline import Pipeline, gate
from quorate.orchestrator.protocols import Aggregator, StoppingRule

__all__ = ["PIPELINES"]

NAME = "gate"
AGREEMENT = "agreement"


class GateOptions(Options):
    """What is called when, and what it is told."""

    expensive: str = "agglm"
    """The pipeline whose aggregator settles what stays open."""
    expensive_options: dict[str, Any] = Field(default={})
    """Its options."""
    cheap: str = "majority"
    """The pipeline whose aggregator answers where the candidates agree; it must count votes."""
    cheap_options: dict[str, Any] = Field(default={})
    """Its options, such as who says which answers in sentences are one."""
    rule: str = "adaptive-consistency"
    """A stopping rule, which says when they agree and ends sampling then; or `agreement`, a share of the votes."""
    rule_options: dict[str, Any] = Field(default={})
    """Its options; those of `agreement` are `share` and `min_votes`."""


def _gate(context: BuildContext) -> Aggregator | Pipeline:
    options, rule = context.options, _rule(context)
    expensive = _aggregator(context, options.expensive, options.expensive_options, "expensive")
    cheap = _aggregator(context, options.cheap, options.cheap_options, "cheap")
    return gate(context.sample(stop=rule), cheap.aggregator, expensive=expensive, rule=rule)


def _aggregator(context: BuildContext, name: str, given: dict[str, Any], option: str) -> Pipeline:
    """Another pipeline over the same models."""
    known = set(context.pipelines) - {NAME}
    if name not in known:
        error = UnknownName("pipeline", name, known)
        raise BadInput(f"{NAME}: option {option!r}: {error}")
    return context.of_another(context.pipelines[name], given)


def _rule(context: BuildContext) -> StoppingRule:
    from quorate.aggregators import Agreement

    options = context.options
    if options.rule == AGREEMENT:
        try:
            return Agreement(**options.rule_options)
        except TypeError:
            raise BadInput(f"{NAME}: option 'rule_options': {AGREEMENT} has the options share and min_votes") from None
    if options.rule not in context.rules:
        error = UnknownName("rule", options.rule, {*context.rules, AGREEMENT})
        raise BadInput(f"{NAME}: option 'rule': {error}")
    return context.rules[options.rule].build_rule(options.rule_options)


PIPELINES = (
    PipelineSpec(
        NAME,
        "a vote while it is sure; where N samples leave it open, an expensive aggregator",
        "ours; arXiv 2305.11860, section 3, before arXiv 2509.06870 or any other",
        16,
        _gate,
        GateOptions,
    ),
)
