"""A trained selector: the answer that is most probably right, by what was learned from labelled candidates."""

from __future__ import annotations

from dataclasses import replace

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.types import SamplingParams

from .judges import RewardOptions
from .recipe import Parts, Recipe

__all__ = ["RECIPES"]

NAME = "selector"


class SelectorOptions(RewardOptions):
    """Which selector, and whether it may abstain."""

    file: str | None = None
    """As `quorate train selector --out` wrote it; a pipeline by its bare name has none, and says so."""
    abstain: bool = False
    """State no answer where the selector's threshold says so; it must be trained with --risk."""


def _selector(parts: Parts) -> Pipeline:
    from quorate.aggregators.learned.selector import SelectorVote

    options = parts.options
    if options.file is None:
        raise BadInput(
            f"{NAME} needs a trained selector (quorate train selector --bank DIR --out FILE): configure it in "
            f"quorate.yaml as {{pipeline: {NAME}, models: [...], options: {{file: FILE}}}}"
        )
    verifier = None if options.verifier is None else options.built(NAME)
    vote = SelectorVote(options.file, abstain=options.abstain, verifier=verifier, concurrency=options.concurrency)
    stage = parts.sample()
    if "confidence" in vote.learned.families:
        stage = replace(stage, sampling=stage.sampling.over(SamplingParams(top_logprobs=0)))
    return stage | vote


RECIPES = (
    Recipe(
        NAME,
        "the answer that a trained selector finds most probably right",
        "our own: quorate.aggregators.learned.selector",
        8,
        _selector,
        SelectorOptions,
        listed=False,
    ),
)
