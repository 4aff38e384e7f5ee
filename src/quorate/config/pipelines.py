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

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, Tag

from quorate.aggregators.registry import (
    ENSEMBLES,
    GRAPHS,
    PIPELINES,
    build_aggregator,
    build_ensemble,
    build_graph,
    build_pipeline,
)
from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.errors import BadGraph, BadInput, ConfigError
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.graph import Graph
from quorate.orchestrator.nodes import ChoiceNode, SampleNode, StageNode
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.state import ELSE, END, START, Edge, Node

from .expressions import Expression, parse_condition
from .models import PROVIDERS, at_field
from .nodes import NODE_KINDS, FindModel, GraphParts, NodeConfig, SamplingFields, list_names

_ARROW = re.compile(r"\s*->\s*")


class PipelineConfig(SamplingFields):
    """A pipeline of the registry: a sampling stage and how its candidates become one answer."""

    pipeline: str = Field(json_schema_extra=list_names([*PIPELINES, *GRAPHS, *ENSEMBLES]))
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
        if self.pipeline in GRAPHS:
            return self._build_graph(name, models, find)
        with at_field(f"{at}.aggregator_model"):
            aggregator_model = None if self.aggregator_model is None else find(self.aggregator_model)
        with at_field(f"{at}.stop"):
            stop = self.stop.build() if self.stop else None
        if self.pipeline not in PIPELINES:
            known = ", ".join(sorted([*PIPELINES, *GRAPHS, *ENSEMBLES]))
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

    def _build_graph(self, name: str, models: tuple[Model, ...], find: FindModel) -> Model:
        at = f"pipelines.{name}"
        lacking = ("wave", "stop", "quorum", "sample_seconds", "aggregate_seconds")
        self._refuse(at, lacking, "its stages are pipelines of their own, or nodes")
        with at_field(f"{at}.options"):
            GRAPHS[self.pipeline].check_options(self.options)
        with at_field(at):
            writer = None if self.aggregator_model is None else find(self.aggregator_model)
            parts = {"aggregator_model": writer, "sampling": self.sampling, "name": name, "providers": PROVIDERS}
            return build_graph(self.pipeline, models, n=self.n, options=self.options, **parts)

    def _refuse(self, at: str, fields: Sequence[str], instead: str) -> None:
        for field in fields:
            if getattr(self, field) is not None:
                raise ConfigError(f"{self.pipeline} has none: {instead}", field=f"{at}.{field}")

    def _build_ensemble(self, name: str, models: tuple[Model, ...]) -> Model:
        at = f"pipelines.{name}"
        lacking = ("n", "wave", "stop", "aggregator_model", "quorum", "sample_seconds", "aggregate_seconds")
        self._refuse(at, lacking, "models that write together draw no samples; put a vote over it")
        with at_field(f"{at}.options"):
            ENSEMBLES[self.pipeline].check_options(self.options)
        with at_field(at):
            return build_ensemble(
                self.pipeline, models, options=self.options, sampling=self.sampling, name=name, providers=PROVIDERS
            )


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

    def build(self, name: str, find: FindModel) -> Model:
        """The graph.

        Raises:
            ConfigError: it cannot run; names the node or edge.
        """
        at = f"pipelines.{name}"
        parts = GraphParts(find)
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

    def _build_node(self, at: str, name: str, parts: GraphParts) -> Node:
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


def _assign_counters(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[Node]:
    """The nodes, each stage with who counts its votes: the aggregator that it leads to, or a majority.

    An aggregator that reads votes which another one has counted counts anew.
    """
    counters: dict[str, Aggregator] = {}
    for node in nodes:
        if isinstance(node, StageNode):
            after = {edge.target for edge in edges if edge.source == node.name}
            aggregators = [n.aggregator for n in nodes if isinstance(n, AggregateNode) and n.name in after]
            counters[node.name] = aggregators[0] if aggregators else build_aggregator("majority", node.models)
    done: list[Node] = []
    for node in nodes:
        if isinstance(node, StageNode):
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
