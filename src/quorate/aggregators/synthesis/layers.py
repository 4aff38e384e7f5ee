"""Layers of models, each of which reads all answers of the layer before: a node of the graph each.

`mixture_of_agents` (Wang et al., arXiv 2406.04692, section 2.2): y_(i+1) = A(all y_i) + question, for
layers of possibly different models; the first layer is the sampling stage, the last one the
aggregator. The prompt is Self-MoA's, which follows the paper's table 1.

`propose_and_aggregate` (Aggregation Fine-Tuning, arXiv 2501.11877, section 4): n proposals, then L
layers of aggregation by one model, n answers in each but the last. The paper fine-tunes that model; one
trained so is given as `aggregator`.

Different from both: answers come in a seeded order that differs between layers and without their
thinking, the context is bounded, a member that fails is left out and told as `member_failed`, a layer
none of whose members answers is left out altogether, and a vote over the last answers stands in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

from pydantic import Field

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.nodes import Revision
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.pipeline import layers as build_layers
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.reading import Extractor
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.types import Candidate, Question, Sampled

from ..specs import BuildContext, PipelineSpec
from .context import learn_limits
from .material import label_candidate, shuffle_candidates
from .prompt import Placement, SynthesisPrompt, place_as_user
from .synthesizer import SelfMoA, SynthesisOptions, Synthesizer, common_arguments


class SynthesizerArguments(TypedDict, total=False):
    """What every synthesizer takes, see `Synthesizer`."""

    fallback: Aggregator | None
    extractor: Extractor | None
    max_context_tokens: int
    overrides: Mapping[str, str | Path] | None


@dataclass(frozen=True)
class ReadAll:
    """A layer whose members all read all answers before it, in one order."""

    prompt: SynthesisPrompt

    async def revise(
        self, question: Question, before: Sampled, models: Sequence[Model], run: RunContext
    ) -> Mapping[int, Revision]:
        """See `nodes.Refiner`; members of the same model share a question, so that they are drawn in one request."""
        items = [label_candidate(candidate) for candidate in shuffle_candidates(before.candidates, run)]
        by_model: dict[int, Revision] = {}
        for model in models:
            if id(model) not in by_model:
                await learn_limits(model, [text for _, text in items])
                by_model[id(model)] = self.prompt.revision(question, items, model, run.node)
        return {place: by_model[id(model)] for place, model in enumerate(models)}

    def merge(self, before: Sampled, members: Sequence[Candidate]) -> Sequence[Candidate]:  # noqa: ARG002
        """See `nodes.Refiner`; those that failed are left out."""
        return members


def mixture_of_agents(
    stage: SamplingStage,
    aggregator: Model,
    *,
    inner: Sequence[SamplingStage] | None = None,
    layers: int = 3,
    **options: Unpack[SynthesizerArguments],
) -> Pipeline:
    """Mixture-of-Agents; without inner layers it is Self-MoA, whose prompt it shares.

    Args:
        stage: the first layer.
        aggregator: writes the answer.
        inner: the layers between both, each with models and size of its own.
        layers: where `inner` is not given: layers altogether, those between like the first. The paper's
            three-layer mixture of six is `mixture_of_agents(sample(models, n=6), aggregator)`.
        options: see `Synthesizer`.

    Raises:
        BadInput: there are fewer than two layers, or an option is impossible.
    """
    if layers < 2:
        raise BadInput(f"mixture_of_agents(layers={layers}): give at least 2 layers, the first and the aggregator")
    last = SelfMoA(aggregator, **options)
    if inner is None:
        inner = [SamplingStage(stage.models, n=stage.n)] * (layers - 2)
    return _read_in_layers("moa", stage, inner, last)


class ProposeAndAggregate(Synthesizer):
    """The last layer of `propose_and_aggregate`; arguments as `Synthesizer`'s."""

    name = "aft"
    prompt_name = "aft"
    place: Placement = staticmethod(place_as_user)


def propose_and_aggregate(
    stage: SamplingStage,
    aggregator: Model,
    *,
    rounds: int = 2,
    n: int | None = None,
    **options: Unpack[SynthesizerArguments],
) -> Pipeline:
    """Propose-and-aggregate: several layers of aggregation by one model.

    Args:
        stage: draws the proposals.
        aggregator: aggregates in every layer.
        rounds: layers of aggregation (the paper's L); in the last one it writes the answer.
        n: answers of each layer before the last; as many as there are proposals, if not given.
        options: see `Synthesizer`.

    Raises:
        BadInput: there is no layer, or an option is impossible.
    """
    if rounds < 1:
        raise BadInput(f"propose_and_aggregate(rounds={rounds}): give at least 1 layer of aggregation")
    last = ProposeAndAggregate(aggregator, **options)
    layer = SamplingStage((aggregator,), n=stage.n if n is None else n)
    return _read_in_layers("aft", stage, [layer] * (rounds - 1), last)


def _read_in_layers(name: str, stage: SamplingStage, inner: Sequence[SamplingStage], last: Synthesizer) -> Pipeline:
    refiner = ReadAll(last.prompt)
    name = f"{name}@{stage.n}/{'+'.join(model.name for model in stage.models)}"
    # A layer has no stopping rule: every member is read by the next one.
    whole = [(replace(layer, stop=None), refiner) for layer in inner]
    return build_layers(stage, whole, last, name=name)


MOST = 64
"""Bound on layers, rounds and loops of an entry, each of which costs N calls."""


class MixtureOptions(SynthesisOptions):
    """How deep a mixture is."""

    layers: int = Field(default=3, ge=2, le=MOST)
    """Layers with the sampling stage and the aggregator; each layer between them has N answers."""


class ProposeOptions(SynthesisOptions):
    """How often proposals are aggregated."""

    rounds: int = Field(default=2, ge=1, le=MOST)
    """Layers of aggregation; each but the last gives N answers."""


def _build_moa(context: BuildContext) -> Pipeline:
    layers, arguments = context.options.layers, common_arguments(context)
    return mixture_of_agents(context.sample(), context.writer, layers=layers, **arguments)


def _build_aft(context: BuildContext) -> Pipeline:
    rounds, arguments = context.options.rounds, common_arguments(context)
    return propose_and_aggregate(context.sample(), context.writer, rounds=rounds, **arguments)


PIPELINES = (
    PipelineSpec(
        "moa",
        "Mixture-of-Agents: layers of N answers, each reading the layer before, then one aggregator",
        "arXiv 2406.04692, section 2",
        6,
        _build_moa,
        options=MixtureOptions,
    ),
    PipelineSpec(
        "aft",
        "N proposals aggregated in several layers by one model (propose-and-aggregate)",
        "arXiv 2501.11877, section 4",
        5,
        _build_aft,
        options=ProposeOptions,
    ),
)
