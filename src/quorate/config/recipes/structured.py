"""Answers with structure: tool calls, JSON documents, and free text that no vote can count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from quorate.orchestrator.pipeline import Pipeline

from .recipe import Options, Parts, Recipe

if TYPE_CHECKING:
    from quorate.aggregators import Pairwise

__all__ = ["RECIPES"]


class FieldOptions(Options):
    """How documents are taken apart."""

    arrays: Literal["whole", "elementwise"] = "whole"
    """Whether an array is one value, or its length and each of its places are voted on."""


class CentroidOptions(Options):
    """When texts are alike."""

    similarity: Literal["chrf", "token-f1", "rouge-l"] = "chrf"
    """Character n-grams, tokens in common, or the longest common subsequence."""


def _json_vote(parts: Parts) -> Pipeline:
    from quorate.aggregators import JsonVote

    return parts.sample() | JsonVote()


def _json_fields(parts: Parts) -> Pipeline:
    from quorate.aggregators import JsonFieldVote

    return parts.sample() | JsonFieldVote(arrays=parts.options.arrays)


def _tool_vote(parts: Parts) -> Pipeline:
    from quorate.aggregators import ToolCallVote

    return parts.sample() | ToolCallVote()


def _centroid(parts: Parts) -> Pipeline:
    from quorate.aggregators import Centroid, ChrF, RougeL, TokenF1

    kinds: dict[str, type[Pairwise]] = {"chrf": ChrF, "token-f1": TokenF1, "rouge-l": RougeL}
    return parts.sample() | Centroid(kinds[parts.options.similarity]())


SELF_CONSISTENCY = "arXiv 2203.11171, section 2"

RECIPES = (
    Recipe(
        "tool-vote",
        "the tool calls that most of N samples make, arguments compared by value",
        f"{SELF_CONSISTENCY}, over canonical calls",
        8,
        _tool_vote,
    ),
    Recipe(
        "json-vote",
        "the JSON document that most of N samples give, those that miss the schema abstaining",
        f"{SELF_CONSISTENCY}, over canonical JSON",
        8,
        _json_vote,
    ),
    Recipe(
        "json-fields",
        "the JSON document whose every field most of N samples give",
        f"{SELF_CONSISTENCY}, over every leaf",
        8,
        _json_fields,
        FieldOptions,
    ),
    Recipe(
        "centroid",
        "of N free texts the one most like the others (minimum Bayes risk)",
        "arXiv 2108.04718, section 3",
        8,
        _centroid,
        CentroidOptions,
    ),
)
