"""The nodes of a graph in `quorate.yaml`: what each kind is described by, and what is built of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from quorate.aggregators.registry import PIPELINES, STOPPING_RULES, build_aggregator, build_pipeline, build_rule
from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.nodes import ChoiceNode, LayerNode, ModelNode, SampleNode, StageNode
from quorate.orchestrator.protocols import Model, StoppingRule
from quorate.orchestrator.shadow import ShadowRule
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.state import Node
from quorate.orchestrator.types import Question, SamplingParams

from .catalog import MAX_SAMPLES
from .models import PROVIDERS
from .patterns import check_pattern, occurs

FindModel = Callable[[str], Model]
MAX_SEARCHED = 100_000
"""Characters of a question in which a pattern is looked for."""


def list_names(names: Iterable[str]) -> Callable[[dict[str, Any]], None]:
    """Lists the names in the JSON schema, so that editors know them."""

    def describe(described: dict[str, Any]) -> None:
        described["enum"] = sorted(names)

    return describe


class StopConfig(Frozen):
    """When to stop sampling before n: a rule's name, and its options beside it."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    rule: str = Field(json_schema_extra=list_names(STOPPING_RULES))
    shadow: bool = False
    """Stops nothing, and tells what it would have saved."""

    def build(self) -> StoppingRule:
        rule = build_rule(self.rule, self.model_extra)
        return ShadowRule(rule) if self.shadow else rule


class SamplingFields(Frozen):
    n: int | None = Field(default=None, ge=1, le=MAX_SAMPLES)
    """Candidates."""
    wave: int | None = Field(default=None, ge=1)
    """Samples in flight at once."""
    stop: StopConfig | None = None
    sampling: SamplingParams = SamplingParams()
    """Settings where the caller sets nothing."""
    quorum: int | Annotated[float, Field(gt=0, lt=1)] | None = None
    """Good samples that will do, as a number or as a share of n; the others are cancelled after `grace`."""
    grace: float = Field(default=0.5, ge=0)
    """Seconds."""
    min_candidates: int = Field(default=1, ge=1)
    """With fewer good samples in the end there is an error instead of an answer."""

    @property
    def limits(self) -> dict[str, Any]:
        return {"quorum": self.quorum, "grace": self.grace, "min_candidates": self.min_candidates}


@dataclass
class GraphParts:
    """What the nodes of a graph are built from."""

    model_of: FindModel
    models: tuple[Model, ...] = ()
    """Those that the first node asks which asks any."""
    n: int | None = None
    """Most candidates of a node so far."""

    def find(self, names: str | Sequence[str]) -> tuple[Model, ...]:
        return tuple(map(self.model_of, [names] if isinstance(names, str) else names))

    def note(self, node: Node) -> Node:
        if isinstance(node, StageNode):
            self.n = max(self.n or 0, node.stage.n)
        if not self.models and isinstance(node, StageNode | ModelNode):
            self.models = tuple(node.models)
        return node


class _NodeConfig(Frozen):
    seconds: float | None = Field(default=None, gt=0)
    """Its deadline; then it ends with the best that it has."""
    budget: Budget | None = None
    """Its own limits, beside those of the whole."""
    fallback: str | None = None
    """The node that takes its place where it fails."""
    max_visits: int | None = Field(default=None, ge=1)
    """How often it runs in one answer at most."""

    @property
    def common(self) -> dict[str, Any]:
        fields = ("seconds", "budget", "fallback", "max_visits")
        return {field: getattr(self, field) for field in fields}


class SampleNodeConfig(_NodeConfig, SamplingFields):
    """Draws candidates."""

    sample: str | tuple[str, ...]
    """Names of models or pipelines, dealt round-robin."""

    def build(self, name: str, parts: GraphParts) -> Node:
        stage = SamplingStage(
            parts.find(self.sample),
            n=self.n or 1,
            wave=self.wave,
            stop=self.stop.build() if self.stop else None,
            sampling=self.sampling,
            **self.limits,
        )
        return SampleNode(name, stage, **self.common)


class LayerNodeConfig(_NodeConfig):
    """Draws candidates that have read those before them."""

    layer: str
    """A pipeline with layers, whose words its models are asked in: `moa`, `aft`, `rsa` or `debate`."""
    models: tuple[str, ...] = ()
    """Those that sampled before, if not given."""
    n: int | None = Field(default=None, ge=1, le=MAX_SAMPLES)
    """Candidates; as many as were sampled before, if not given."""
    options: dict[str, Any] = Field(default_factory=dict)
    sampling: SamplingParams = SamplingParams()

    def build(self, name: str, parts: GraphParts) -> Node:
        models = parts.find(self.models) if self.models else parts.models
        if self.layer not in PIPELINES:
            raise BadInput(f"no layer {self.layer!r}; there is: moa, aft, rsa, debate")
        if not models:
            raise BadInput("it has no models: name them, or sample before it")
        built = build_pipeline(
            self.layer,
            models,
            n=self.n or parts.n,
            options=self.options,
            sampling=self.sampling,
            providers=PROVIDERS,
        )
        layer = next((node for node in built.nodes.values() if isinstance(node, LayerNode)), None)
        if layer is None:
            raise BadInput(f"{self.layer} has no layers; moa, aft, rsa and debate have")
        return replace(layer, name=name, counted_by=None, **self.common)


class AggregateNodeConfig(_NodeConfig):
    """Makes one answer of the candidates before it."""

    aggregate: str = Field(json_schema_extra=list_names(PIPELINES))
    """A pipeline's name, whose aggregator it is; see `quorate aggregators`."""
    options: dict[str, Any] = Field(default_factory=dict)
    aggregator_model: str | None = None
    """The model that judges or synthesizes; the first that sampled, if not given."""

    def build(self, name: str, parts: GraphParts) -> Node:
        model = None if self.aggregator_model is None else parts.find(self.aggregator_model)[0]
        models = parts.models or (() if model is None else (model,))
        if not models:
            raise BadInput("there are no candidates for it to read: put a node with `sample:` before it")
        aggregator = build_aggregator(
            self.aggregate, models, n=parts.n, options=self.options, aggregator_model=model, providers=PROVIDERS
        )
        return AggregateNode(name, aggregator, **self.common)


class ModelNodeConfig(_NodeConfig):
    """Asks one model or pipeline."""

    model: str

    def build(self, name: str, parts: GraphParts) -> Node:
        return ModelNode(name, parts.find(self.model)[0], **self.common)


class OptionConfig(Frozen):
    """One way to go, and the questions that go it; the last way has no conditions."""

    option: str
    """Its name, which `chosen == NAME` asks for."""
    matches: str | None = None
    """A regular expression that occurs in the question's first 100,000 characters, in the syntax of RE2."""
    longer: int | None = Field(default=None, ge=0)
    """The question has more characters."""

    @field_validator("matches")
    @classmethod
    def _is_expression(cls, pattern: str | None) -> str | None:
        return None if pattern is None else check_pattern(pattern)

    async def fits(self, text: str) -> bool:
        if self.longer is not None and len(text) <= self.longer:
            return False
        if self.matches is None:
            return True
        # A long question takes a while even where no pattern can take for ever, and others are served meanwhile.
        return await asyncio.to_thread(occurs, self.matches, text[:MAX_SEARCHED])


class ChooseNodeConfig(_NodeConfig):
    """Chooses by the question: the first option whose conditions hold."""

    choose: tuple[OptionConfig, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _last_is_open(self) -> Self:
        if self.choose[-1].matches is not None or self.choose[-1].longer is not None:
            raise ValueError("the last option must have no condition, so that every question goes somewhere")
        return self

    def build(self, name: str, parts: GraphParts) -> Node:  # noqa: ARG002 - as the other nodes have it
        async def choose(question: Question) -> str:
            *conditional, last = self.choose
            for option in conditional:
                if await option.fits(question.text):
                    return option.option
            return last.option

        return ChoiceNode(name, choose, (), tuple(option.option for option in self.choose), **self.common)


NODE_KINDS = ("sample", "layer", "aggregate", "model", "choose")


def _node_kind(value: Any) -> str | None:
    found = [kind for kind in NODE_KINDS if (kind in value if isinstance(value, dict) else hasattr(value, kind))]
    # A layer has models of its own; anything else with two of the words is refused by the first of them.
    return f"<{found[0]}>" if found else None


NodeConfig = Annotated[
    Annotated[SampleNodeConfig, Tag("<sample>")]
    | Annotated[LayerNodeConfig, Tag("<layer>")]
    | Annotated[AggregateNodeConfig, Tag("<aggregate>")]
    | Annotated[ModelNodeConfig, Tag("<model>")]
    | Annotated[ChooseNodeConfig, Tag("<choose>")],
    Discriminator(
        _node_kind,
        custom_error_type="no_node",
        custom_error_message=f"a node says what it does by one of: {', '.join(NODE_KINDS)}",
    ),
]
