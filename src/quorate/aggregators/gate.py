"""The agreement gate: another pipeline's aggregator, or its layers, only where a cheap vote is unsure.

Ours; the halves are known: Adaptive-Consistency's criterion (arXiv 2305.11860, section 3) says when a vote is settled,
and learned aggregators gain just where the plurality is small (arXiv 2509.06870, section 4). With the same rule as
`stop` of the sampling stage, easy questions cost a few samples and no further call. The graph is built by
`quorate.orchestrator.pipeline.gate`.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.pipeline import Pipeline, gate
from quorate.orchestrator.protocols import StoppingRule

from .specs import BuildContext, Options, PipelineSpec
from .stopping import Agreement

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
    shadow: bool = False
    """Always call the expensive one, and tell what the gate would have saved."""


def _build_gate(context: BuildContext) -> Pipeline:
    options, rule = context.options, _build_rule(context)
    expensive = _build_part(context, options.expensive, options.expensive_options, "expensive")
    cheap = _build_part(context, options.cheap, options.cheap_options, "cheap")
    stage = context.sample(stop=rule, top_logprobs=expensive.stage.sampling.top_logprobs)
    return gate(stage, cheap.aggregator, expensive=expensive, rule=rule, shadow=options.shadow)


def _build_part(context: BuildContext, name: str, given: dict[str, Any], option: str) -> Pipeline:
    """Another pipeline over the same models."""
    known = set(context.pipelines) - {NAME}
    if name not in known:
        error = UnknownName("pipeline", name, known)
        raise BadInput(f"{NAME}: option {option!r}: {error}")
    return context.of_another(context.pipelines[name], given)


def _build_rule(context: BuildContext) -> StoppingRule:
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
        _build_gate,
        options=GateOptions,
    ),
)
