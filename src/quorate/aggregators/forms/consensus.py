"""One question in several forms; where their answers differ, long reasoning.

Consensus-guided mode of Adaptive Reasoning Model (arXiv 2505.20258, section 4): a direct answer, a short chain of
thought and a program; if all three agree that is the answer, else a long chain of thought. Adapting While Learning
(arXiv 2411.00412) switches likewise from a direct answer to tools. What differs: any number of samples a form; the
forms may vote beside the long answers (`all_vote`); a form that fails counts as one that does not agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.checks import check_aggregator
from quorate.orchestrator.conditions import Settled
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.nodes import SampleNode
from quorate.orchestrator.pipeline import Pipeline, Sampling
from quorate.orchestrator.prompted import prompted
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.state import ELSE, END, START, Edge
from quorate.prompts import load

from ..execution import Limits, Sandbox
from ..execution.computed import Computed
from ..specs import BuildContext, Options, PipelineSpec
from ..stopping import Agreement
from ..votes.majority import MajorityVote

Form = Literal["direct", "short", "code", "long"]


def consensus(
    forms: SamplingStage,
    otherwise: SamplingStage,
    vote: Aggregator | None = None,
    *,
    share: float = 1.0,
    all_vote: bool = False,
    name: str | None = None,
) -> Pipeline:
    """A graph that answers where the forms agree, and asks on where they do not.

    Args:
        forms: draws one answer a form, or several.
        otherwise: draws the answers where these do not agree.
        vote: counts both; `MajorityVote()` by default. Where `otherwise` fails, it answers from the forms.
        share: of the forms, failed ones included, that have to agree.
        all_vote: whether the forms vote beside the others where they do not agree.
        name: how the graph is called.

    Raises:
        BadInput: there are fewer than two forms, or a part is none.
    """
    for stage in (forms, otherwise):
        if not isinstance(stage, SamplingStage):
            raise BadInput(f"consensus(): {stage!r:.80} is no sampling stage: give sample(model, n=...)")
    if forms.n < 2:
        raise BadInput(f"consensus: {forms.n} form has nothing to agree with: draw 2 or more")
    vote = vote or MajorityVote()
    check_aggregator("consensus(vote)", vote)
    # A form that failed has no vote, and so keeps the others from being all of them.
    agreed = Settled(Agreement(share, min_votes=max(2, -int(-share * forms.n // 1))), forms.n)
    joined = (Edge("forms", "decide", ELSE),) if all_vote else ()
    return Pipeline(
        [
            SampleNode("forms", forms, counted_by=vote),
            AggregateNode("agree", vote),
            SampleNode("otherwise", otherwise, counted_by=vote, fallback=None if all_vote else "agree"),
            AggregateNode("decide", vote, recount=all_vote),
        ],
        [
            Edge(START, "forms"),
            Edge("forms", "agree", agreed),
            Edge("forms", "otherwise", ELSE),
            *joined,
            Edge("otherwise", "decide"),
            Edge("agree", END),
            Edge("decide", END),
        ],
        name=name or f"consensus@{forms.n}/{'+'.join(dict.fromkeys(m.name.split(':')[0] for m in forms.models))}",
    )


class FormsOptions(Options):
    """Which forms, and what follows where they do not agree."""

    forms: tuple[Form, ...] = ("direct", "short", "code")
    """How the question is asked; the N samples are dealt round."""
    run_code: bool = False
    """Programs that models wrote run only where the operator says so, sandboxed as they are."""
    otherwise: Form = "long"
    """The form of the answers where these do not agree."""
    long: int = Field(default=1, ge=1)
    """How many of them."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Of the forms, failed ones included, that have to agree."""
    all_vote: bool = False
    """The forms vote beside the long answers."""
    seconds: float = Field(default=10.0, gt=0)
    """For one program."""


def _form(context: BuildContext, model: Model, form: Form) -> Model:
    options, name = context.options, f"{model.name}:{form}"
    asked = prompted(model, load(f"form-{form}").source, name=name)
    return Computed(asked, executor=Sandbox(Limits(seconds=options.seconds)), name=name) if form == "code" else asked


def _build_consensus(context: BuildContext) -> Pipeline:
    options = context.options
    if "code" in (*options.forms, options.otherwise) and not options.run_code:
        raise BadInput(
            "consensus runs programs that models wrote, in a sandbox: allow it in quorate.yaml as {pipeline: "
            "consensus, models: [...], options: {run_code: true}}, or leave them out: {forms: [direct, short]}"
        )
    if len(options.forms) < 2:
        raise BadInput("consensus: option 'forms': give two forms or more")

    def draw(forms: Sequence[Form], n: int) -> Sampling:
        models = tuple(_form(context, model, form) for model in context.models for form in forms)
        return Sampling(models, n=n, wave=context.wave, sampling=context.sampling)

    return consensus(
        draw(options.forms, context.n),
        draw([options.otherwise], options.long),
        context.vote(),
        share=options.share,
        all_vote=options.all_vote,
    )


PIPELINES = (
    PipelineSpec(
        "consensus",
        "a direct answer, a short chain of thought and a program; long reasoning where they do not agree",
        "arXiv 2505.20258, section 4",
        3,
        _build_consensus,
        options=FormsOptions,
        listed=False,
    ),
)
