"""AggLM: a model that reviews, corrects and combines all candidates (Zhao et al., arXiv 2509.06870, section 3.1).

The problem and the solutions, thinking removed, in one user message. The paper trains the aggregator
by reinforcement on hard and easy sets (`quorate.aggregators.learned`); untrained models follow the
prompt, which is in words of ours. Different from the paper: seeded order, bounded context, and a vote
where the model fails.

`SteppedAggLM` shows the attempts merged, and before the problem: line by line, each different line once,
with how many have it there. That is ours: fewer tokens, the same prompt whatever order the candidates
come in, a small model that compares them where they differ instead of finding out where that is, and
no more between the problem and its solution than where it learned to solve.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Question
from quorate.prompts import Prompt

from ..specs import BuildContext, PipelineSpec
from .prompt import Placement, place_as_user
from .synthesizer import SynthesisOptions, Synthesizer, common_arguments

SHIPPED_AGGREGATOR = "quorate-tiny-agg"
"""The learned aggregator that ships, trained on candidates of the embedded models."""
SHIPPED_FAMILY = "quorate-tiny"
"""`Identity.family` of the models that ship, and of no others."""
SHOWN = 3
"""Different lines of one step: where attempts have gone apart, rarer ones say little and cost room."""
LEAST = 3
"""A line is left out where the commonest of its step has more than so many times its count."""


class AggLM(Synthesizer):
    """A final solution that a model writes after reviewing all candidates; arguments as `Synthesizer`'s."""

    name = "agglm"
    prompt_name = "agglm"
    place: Placement = staticmethod(place_as_user)


@dataclass(frozen=True)
class Line:
    """One line of some attempts."""

    text: str
    count: int
    """How many attempts have it at this step."""


def merge_steps(
    responses: Sequence[str], shown: int | None = SHOWN, least: int | None = LEAST
) -> tuple[tuple[Line, ...], ...]:
    """The lines of all responses, first lines together, then second ones, and so on; empty lines do not count.

    Within a step the commonest line comes first, equally common ones by their text: nothing depends on
    the order of the responses.

    Args:
        responses: the attempts.
        shown: of each step, at most so many different lines; None for all.
        least: leaves out lines that the commonest of their step outnumbers more than so many times; None for none.
    """
    rows = [[line.strip() for line in response.splitlines() if line.strip()] for response in responses]
    columns = (Counter(row[at] for row in rows if at < len(row)) for at in range(max(map(len, rows), default=0)))
    ranked = (sorted((Line(*pair) for pair in c.items()), key=lambda line: (-line.count, line.text)) for c in columns)
    return tuple(
        tuple(line for line in step[:shown] if least is None or line.count * least >= step[0].count) for step in ranked
    )


def _place_steps(prompt: Prompt, question: Question, responses: Sequence[str]) -> Question:
    return place_as_user(prompt, question, responses, steps=merge_steps(responses))


class SteppedAggLM(AggLM):
    """AggLM for a model that was trained on attempts merged step by step; arguments as `Synthesizer`'s."""

    prompt_name = "agglm-steps"
    place: Placement = staticmethod(_place_steps)
    example: ClassVar[Mapping[str, Any]] = {"steps": merge_steps(["x", "y"])}


def choose_agglm(model: Model, form: str | None = None) -> type[AggLM]:
    """How a model is shown candidates.

    Args:
        model: the aggregator.
        form: `attempts` or `steps`; as the model was trained if not given, and `attempts` where it does not say.
    """
    return SteppedAggLM if (form or model.identity.aggregation_form) == "steps" else AggLM


def find_shipped_aggregator(proposers: Sequence[Model], shipped_model: Callable[[str], Model | None]) -> Model | None:
    """The shipped aggregator, where all that propose are models that ship: other models' work is beyond it.

    What stands before a model (a bank, a limit, a hedge, a pool) has the identity of that model, and what several
    write together has theirs as members; these decide.

    Args:
        proposers: the models whose candidates shall be aggregated.
        shipped_model: gives a model that ships by its name, None where there is none of it.

    Returns:
        None where some proposer is another model.

    Raises:
        BadInput: they are shipped models, and the aggregator that was trained on them is not at hand; nothing else
            takes its place unasked.
    """
    singles = [single for model in proposers for single in model.identity.singles]
    if not all(single.kind == "embedded" and single.family == SHIPPED_FAMILY for single in singles):
        return None
    found = shipped_model(SHIPPED_AGGREGATOR)
    if found is None:
        raise BadInput(
            f"agglm: {SHIPPED_AGGREGATOR}, which was trained on candidates of {singles[0].model}, is not at hand: "
            "name the model that shall aggregate"
        )
    return found


class AggLMOptions(SynthesisOptions):
    """How candidates are shown to a trained aggregator."""

    form: Literal["attempts", "steps"] | None = None
    """One after the other, or merged step by step; as the aggregator was trained, `attempts` where it does not say."""


def _build_agglm(context: BuildContext) -> AggLM:
    model = context.aggregator_model
    if model is None:
        model = find_shipped_aggregator(context.models, context.providers.shipped_model) or context.writer
    return choose_agglm(model, context.options.form)(model, **common_arguments(context))


PIPELINES = (
    PipelineSpec(
        "agglm",
        "N solutions reviewed, corrected and combined by a model, trained for it (AggLM) or not",
        "arXiv 2509.06870, section 3",
        8,
        _build_agglm,
        options=AggLMOptions,
    ),
)
