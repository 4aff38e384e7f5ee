"""Answers with structure: tool calls, JSON documents, and free text that no vote can count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from quorate.aggregators.specs import BuildContext, Options, PipelineSpec
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Aggregator

if TYPE_CHECKING:
    from quorate.aggregators import Pairwise

__all__ = ["PIPELINES"]


class FieldOptions(Options):
    """How documents are taken apart."""

    arrays: Literal["whole", "elementwise"] = "whole"
    """Whether an array is one value, or its length and each of its places are voted on."""


class CallOptions(Options):
    """When tool calls are one vote."""

    ignore_arguments: tuple[str, ...] = ()
    """Arguments that do not count, in every tool (`reason`) or in one (`search.reason`)."""


class CentroidOptions(Options):
    """When texts are alike."""

    similarity: Literal["chrf", "token-f1", "rouge-l"] = "chrf"
    """Character n-grams, tokens in common, or the longest common subsequence."""


def _json_vote(_: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import JsonVote

    return JsonVote()


def _json_fields(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import JsonFieldVote

    return JsonFieldVote(arrays=context.options.arrays)


def _tool_vote(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import ToolCallVote

    return ToolCallVote(ignore_arguments=context.options.ignore_arguments)


def _centroid(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators import Centroid, ChrF, RougeL, TokenF1

    kinds: dict[str, type[Pairwise]] = {"chrf": ChrF, "token-f1": TokenF1, "rouge-l": RougeL}
    return Centroid(kinds[context.options.similarity]())


SELF_CONSISTENCY = "arXiv 2203.11171, section 2"

PIPELINES = (
    PipelineSpec(
        "tool-vote",
        "the tool calls that most of N samples make, arguments compared by value",
        f"{SELF_CONSISTENCY}, over canonical calls",
        8,
        _tool_vote,
        CallOptions,
    ),
    PipelineSpec(
        "json-vote",
        "the JSON document that most of N samples give, those that miss the schema abstaining",
        f"{SELF_CONSISTENCY}, over canonical JSON",
        8,
        _json_vote,
    ),
    PipelineSpec(
        "json-fields",
        "the JSON document whose every field most of N samples give",
        f"{SELF_CONSISTENCY}, over every leaf",
        8,
        _json_fields,
        FieldOptions,
    ),
    PipelineSpec(
        "centroid",
        "of N free texts the one most like the others (minimum Bayes risk)",
        "arXiv 2108.04718, section 3",
        8,
        _centroid,
        CentroidOptions,
    ),
)
