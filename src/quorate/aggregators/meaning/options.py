"""The options of votes that compare answers in sentences."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from quorate.aggregators.specs import BuildContext, EmbedderConfig, Options
from quorate.orchestrator.errors import BadInput

from .embedded import EmbeddedGrouping
from .grouping import Grouping, LexicalGrouping
from .judged import JudgedGrouping

Classes = Literal["lexical", "judge", "entailment", "embeddings"]


class MeaningOptions(Options):
    """Which answers in sentences are one; answers that are values are compared by value."""

    classes: Classes = "lexical"
    """`lexical`: by shared words, approximate; `judge`: one call to the aggregator's model, which must pass a
    self-test; `entailment`: that model is asked of pairs, in both directions; `embeddings`: mixed with shared words,
    approximate."""
    embedder: EmbedderConfig | None = Field(default=None)
    """For `embeddings`."""


def build_grouping(context: BuildContext) -> Grouping:
    """Who makes the classes.

    Raises:
        BadInput: an embedder is missing or cannot be had.
    """
    options = context.options
    if options.classes in ("judge", "entailment"):
        return JudgedGrouping(context.writer, "grouping" if options.classes == "judge" else "entailment")
    if options.classes == "embeddings":
        if options.embedder is None:
            raise BadInput(
                "classes: embeddings needs the option embedder: {base_url: ..., model: ...} or {folder: ...}"
            )
        return EmbeddedGrouping(context.providers.embedder(options.embedder))
    return LexicalGrouping()
