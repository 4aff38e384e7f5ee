"""The `pipelines` of `quorate.yaml`: one that the registry has by name, or a graph of nodes of your own.

    vote: {pipeline: majority, models: [qwen], n: 16}

    careful:
      nodes:
        draft: {sample: [qwen], n: 8}
        vote: {aggregate: majority}
        think: {model: self-moa@6/large, seconds: 60, fallback: vote}
      edges:
        - draft -> vote
        - {from: vote, to: end, when: agreement >= 0.75}
        - {from: vote, to: think, when: else}
        - think -> end

The first node begins, unless edges from `start` say otherwise; `end` takes the answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from quorate.aggregators.registry import (
    ENSEMBLES,
    PIPELINES,
    STOPPING_RULES,
    build_aggregator,
    build_ensemble,
    build_pipeline,
    build_rule,
)
from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import BadGraph, BadInput, ConfigError
from quorate.orchestrator.graph import Graph
from quorate.orchestrator.nodes import AggregateNode, ChoiceNode, LayerNode, ModelNode, SampleNode
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Aggregator, Model, StoppingRule
from quorate.orchestrator.sampling import SamplingStage
from quorate.orchestrator.shadow import ShadowRule
from quorate.orchestrator.state import ELSE, END, START, Edge, Node
from quorate.orchestrator.types import Frozen, Question, SamplingParams

from .catalog import MAX_SAMPLES
from .expressions import Expression, parse_condition
from .models import PROVIDERS, at_field
from .patterns import check_pattern, occurs

__all__ = ["PIPELINE_TAGS", "AnyPipelineConfig", "GraphConfig", "PipelineConfig"]

FindModel = Callable[[str], Model]
MAX_SEARCHED = 100_000
"""Characters of a question in which a pattern is looked for."""
_ARROW = re.compile(r"\s*->\s*")


def _one_of(names: Iterable[str]) -> Callable[[dict[str, Any]], None]:
    """Lists the names in the JSON schema, so that editors know them."""

    def describe(described: dict[str, Any]) -> None:
        described["enum"] = sorted(names)

    return describe


class StopConfig(Frozen):
    """When to stop sampling before n: a rule's name, and its options beside it."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    rule: str = Field(json_schema_extra=_one_of(STOPPING_RULES))
    shadow: bool = False
    """Stops nothing, and tells what it would have saved."""

    def build(self) -> StoppingRule:
        rule = build_rule(self.rule, self.model_extra)
        return ShadowRule(rule) if self.shadow else rule


class _SamplingConfig(Frozen):
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


class PipelineConfig(_SamplingConfig):
    """A pipeline of the registry: a sampling stage and how its candidates become one answer."""

    pipeline: str = Field(json_schema_extra=_one_of([*PIPELINES, *ENSEMBLES]))
    """See `quorate aggregators`."""
    models: tuple[str, ...] = Field(min_length=1)
    """Names of models or of other pipelines, or pipelines over them such as `majority@8/qwen`."""
    sample_seconds: float | None = Field(default=None, gt=0)
    """For sampling; then the samples that there are go on to the aggregator."""
    aggregate_seconds: float | None = Field(default=None, gt=0)
    """For the aggregator; then the vote as it stands is the answer."""
    aggregator_model: str | None = None
    """The model that judges or synthesizes; the first of `models` if not given."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the pipeline, as `quorate aggregators` lists them."""

    @property
    def where(self) -> str:
        """The field that names other pipelines."""
        return "models"

    def build(self, name: str, find: FindModel) -> Model:
        """The pipeline.

        Raises:
            ConfigError: a pipeline, rule, model or option that does not exist or is impossible; names the field.
        """
        at = f"pipelines.{name}"
        with at_field(f"{at}.models"):
            models = tuple(find(used) for used in self.models)
        if self.pipeline in ENSEMBLES:
            return self._build_ensemble(name, models)
        with at_field(f"{at}.aggregator_model"):
            aggregator_model = None if self.aggregator_model is None else find(self.aggregator_model)
        with at_field(f"{at}.stop"):
            stop = self.stop.build() if self.stop else None
        if self.pipeline not in PIPELINES:
            known = ", ".join(sorted([*PIPELINES, *ENSEMBLES]))
            raise ConfigError(f"no pipeline named {self.pipeline!r}; there is: {known}", field=f"{at}.pipeline")
        with at_field(f"{at}.options"):
            PIPELINES[self.pipeline].check_options(self.options)
        with at_field(at):
            built = build_pipeline(
                self.pipeline,
                models,
                n=self.n,
                options=self.options,
                aggregator_model=aggregator_model,
                stop=stop,
                wave=self.wave,
                sampling=self.sampling,
                name=name,
                providers=PROVIDERS,
            )
            return built.with_timeout(self.aggregate_seconds).with_sampling(**self.limits, seconds=self.sample_seconds)

    def _build_ensemble(self, name: str, models: tuple[Model, ...]) -> Model:
        at = f"pipelines.{name}"
        for field in ("n", "wave", "stop", "aggregator_model", "quorum", "sample_seconds", "aggregate_seconds"):
            if getattr(self, field) is not None:
                raise ConfigError(
                    f"{self.pipeline} has none: models that write together draw no samples; put a vote over it",
                    field=f"{at}.{field}",
                )
        with at_field(f"{at}.options"):
            ENSEMBLES[self.pipeline].check_options(self.options)
        with at_field(at):
            return build_ensemble(
                self.pipeline, models, options=self.options, sampling=self.sampling, name=name, providers=PROVIDERS
            )


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


class SampleNodeConfig(_NodeConfig, _SamplingConfig):
    """Draws candidates."""

    sample: str | tuple[str, ...]
    """Names of models or pipelines, dealt round-robin."""

    def build(self, name: str, parts: _GraphParts) -> Node:
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

    def build(self, name: str, parts: _GraphParts) -> Node:
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

    aggregate: str = Field(json_schema_extra=_one_of(PIPELINES))
    """A pipeline's name, whose aggregator it is; see `quorate aggregators`."""
    options: dict[str, Any] = Field(default_factory=dict)
    aggregator_model: str | None = None
    """The model that judges or synthesizes; the first that sampled, if not given."""

    def build(self, name: str, parts: _GraphParts) -> Node:
        model = None if self.aggregator_model is None else parts.find(self.aggregator_model)[0]
        models = parts.models or (() if model is None else (model,))
        if not models:
            raise BadInput("there is no model before it: sample first, or name the aggregator_model")
        aggregator = build_aggregator(
            self.aggregate, models, n=parts.n, options=self.options, aggregator_model=model, providers=PROVIDERS
        )
        return AggregateNode(name, aggregator, **self.common)


class ModelNodeConfig(_NodeConfig):
    """Asks one model or pipeline."""

    model: str

    def build(self, name: str, parts: _GraphParts) -> Node:
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

    def build(self, name: str, parts: _GraphParts) -> Node:  # noqa: ARG002 - as the other nodes have it
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


class EdgeConfig(Frozen):
    """Leads from one node to another."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True)

    source: str = Field(alias="from")
    """A node, or `start`."""
    target: str = Field(alias="to")
    """A node, or `end`."""
    when: str | None = None
    """A condition such as `agreement >= 0.8`, or `else`."""

    def build(self) -> Edge:
        when = self.when if self.when is None or self.when == ELSE else parse_condition(self.when)
        return Edge(_place(self.source), _place(self.target), when)


def _place(name: str) -> str:
    return {"start": START, "end": END}.get(name, name)


class GraphConfig(Frozen):
    """A graph of nodes of your own."""

    nodes: dict[str, NodeConfig] = Field(min_length=1)
    edges: tuple[EdgeConfig | str, ...] = Field(min_length=1)
    """`a -> b`, or `{from: a, to: b, when: ...}`; `start` and `end` are known."""

    @property
    def where(self) -> str:
        """The field that names other pipelines."""
        return "nodes"

    def build(self, name: str, find: FindModel) -> Model:
        """The graph.

        Raises:
            ConfigError: it cannot run; names the node or edge.
        """
        at = f"pipelines.{name}"
        parts = _GraphParts(find)
        nodes = [self._build_node(at, node, parts) for node in self.nodes]
        edges, places = self._build_edges(at)
        if not any(edge.source == START for edge in edges):
            edges.insert(0, Edge(START, nodes[0].name))
        self._check_ways(at, nodes, edges, places)
        nodes = _assign_counters(nodes, edges)
        kind = Pipeline if _is_pipeline(nodes, edges) else Graph
        try:
            return kind(nodes, edges, name=name)
        except BadGraph as error:
            field = at
            if error.node is not None:
                field = f"{at}.nodes.{error.node}"
            elif error.edge is not None and error.edge in places:
                field = f"{at}.edges.{places[error.edge]}"
            raise ConfigError(str(error).removeprefix(f"{name}: "), field=field) from error

    def _check_ways(
        self, at: str, nodes: Sequence[Node], edges: Sequence[Edge], places: Mapping[tuple[str, str], int]
    ) -> None:
        """Whatever happens, there is a way on from each node; and what is asked for can be chosen."""
        for node in nodes:
            ways = [edge for edge in edges if edge.source == node.name]
            for edge in ways:
                field = f"{at}.edges.{places.get((edge.source, edge.target), 0)}"
                known = node.names if isinstance(node, ChoiceNode) else ()
                chosen = edge.when.chosen if isinstance(edge.when, Expression) else ()
                if lost := [name for name in chosen if name not in known]:
                    there_is = ", ".join(known) or "nothing, since it is no choice"
                    raise ConfigError(f"{node.name!r} cannot choose {lost[0]!r}; there is: {there_is}", field=field)
                if edge is ways[-1] and all(isinstance(way.when, Expression) for way in ways):
                    raise ConfigError(
                        f"where none of its conditions holds, {node.name!r} leads nowhere: give its last edge "
                        f"`when: {ELSE}`",
                        field=field,
                    )

    def _build_node(self, at: str, name: str, parts: _GraphParts) -> Node:
        field = f"{at}.nodes.{name}"
        if _place(name) != name:
            raise ConfigError(f"{name!r} is a word of the edges; give the node another name", field=field)
        with at_field(field):
            return parts.note(self.nodes[name].build(name, parts))

    def _build_edges(self, at: str) -> tuple[list[Edge], Mapping[tuple[str, str], int]]:
        """The edges, and where each stands."""
        edges: list[Edge] = []
        places: dict[tuple[str, str], int] = {}
        for number, written in enumerate(self.edges):
            with at_field(f"{at}.edges.{number}"):
                for edge in _parse_edges(written):
                    places[edge.source, edge.target] = number
                    edges.append(edge)
        return edges, places


def _parse_edges(written: EdgeConfig | str) -> Iterator[Edge]:
    if isinstance(written, EdgeConfig):
        yield written.build()
        return
    names = _ARROW.split(written.strip())
    if len(names) < 2 or not all(names):
        raise BadInput(f"{written!r} is no edge: write 'a -> b', or {{from: a, to: b, when: ...}}")
    for source, target in pairwise(names):
        yield Edge(_place(source), _place(target))


@dataclass
class _GraphParts:
    """What the nodes of a graph are built from."""

    model_of: FindModel
    models: tuple[Model, ...] = ()
    """Those that the first node asks which asks any."""
    n: int | None = None
    """Most candidates of a node so far."""

    def find(self, names: str | Sequence[str]) -> tuple[Model, ...]:
        return tuple(map(self.model_of, [names] if isinstance(names, str) else names))

    def note(self, node: Node) -> Node:
        if isinstance(node, SampleNode | LayerNode):
            self.n = max(self.n or 0, node.stage.n)
        if not self.models and isinstance(node, SampleNode | LayerNode | ModelNode):
            self.models = tuple(node.models)
        return node


def _assign_counters(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[Node]:
    """The nodes, each stage with who counts its votes: the aggregator that it leads to, or a majority.

    An aggregator that reads votes which another one has counted counts anew.
    """
    counters: dict[str, Aggregator] = {}
    for node in nodes:
        if isinstance(node, SampleNode | LayerNode):
            after = {edge.target for edge in edges if edge.source == node.name}
            aggregators = [n.aggregator for n in nodes if isinstance(n, AggregateNode) and n.name in after]
            counters[node.name] = aggregators[0] if aggregators else build_aggregator("majority", node.models)
    done: list[Node] = []
    for node in nodes:
        if isinstance(node, SampleNode | LayerNode):
            done.append(replace(node, counted_by=counters[node.name]))
        elif isinstance(node, AggregateNode):
            counted_by = [counters[source] for source in _sampled_for(node.name, nodes, edges) if source in counters]
            done.append(replace(node, recount=any(counter is not node.aggregator for counter in counted_by)))
        else:
            done.append(node)
    return done


def _sampled_for(name: str, nodes: Sequence[Node], edges: Sequence[Edge]) -> set[str]:
    """The nodes whose candidates a node reads: a choice hands them on, and so does one that fails to its fallback."""
    by_name = {node.name: node for node in nodes}
    sources: set[str] = set()
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        reader = waiting.pop()
        if reader in seen:
            continue
        seen.add(reader)
        waiting += [node.name for node in nodes if node.fallback == reader]
        before = [by_name[edge.source] for edge in edges if edge.target == reader and edge.source in by_name]
        waiting += [node.name for node in before if isinstance(node, ChoiceNode)]
        sources |= {node.name for node in before}
    return sources


def _is_pipeline(nodes: Sequence[Node], edges: Sequence[Edge]) -> bool:
    """Whether it begins by sampling, and by that alone, and aggregates."""
    first = [edge.target for edge in edges if edge.source == START]
    samples = [node.name for node in nodes if isinstance(node, SampleNode)]
    return first == samples[:1] != [] and any(isinstance(node, AggregateNode) for node in nodes)


def _pipeline_kind(value: Any) -> str:
    graph = "nodes" in value or "edges" in value if isinstance(value, dict) else isinstance(value, GraphConfig)
    return "<graph>" if graph else "<pipeline>"


AnyPipelineConfig = Annotated[
    Annotated[PipelineConfig, Tag("<pipeline>")] | Annotated[GraphConfig, Tag("<graph>")],
    Discriminator(_pipeline_kind),
]

PIPELINE_TAGS = ("<pipeline>", "<graph>", *(f"<{kind}>" for kind in NODE_KINDS))
"""Pydantic's names for the forms of a pipeline and a node, which are no fields of the file."""
