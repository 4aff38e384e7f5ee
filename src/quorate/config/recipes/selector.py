"""A trained selector: the answer that is most probably right, by what was learned from labelled candidates."""

from __future__ import annotations

from quorate.aggregators.specs import BuildContext, PipelineSpec
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Aggregator

from .judges import RewardOptions

__all__ = ["PIPELINES"]

NAME = "selector"


class SelectorOptions(RewardOptions):
    """Which selector, and whether it may abstain."""

    file: str | None = None
    """As `quorate train selector --out` wrote it; a pipeline by its bare name has none, and says so."""
    abstain: bool = False
    """State no answer where the selector's threshold says so; it must be trained with --risk."""


def _selector(context: BuildContext) -> Aggregator | Pipeline:
    from quorate.aggregators.learned.selector import SelectorVote

    options = context.options
    if options.file is None:
        raise BadInput(
            f"{NAME} needs a trained selector (quorate train selector --bank DIR --out FILE): configure it in "
            f"quorate.yaml as {{pipeline: {NAME}, models: [...], options: {{file: FILE}}}}"
        )
    verifier = None if options.verifier is None else options.open_verifier(NAME, context)
    vote = SelectorVote(options.file, abstain=options.abstain, verifier=verifier, concurrency=options.concurrency)
    return context.sample(top_logprobs=0) | vote if "confidence" in vote.learned.families else vote


PIPELINES = (
    PipelineSpec(
        NAME,
        "the answer that a trained selector finds most probably right",
        "our own: quorate.aggregators.learned.selector",
        8,
        _selector,
        SelectorOptions,
        listed=False,
    ),
)
