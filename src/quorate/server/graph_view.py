"""A model's graph as a page draws it: nodes and edges in words, with the graphs that nodes ask inside them."""

from __future__ import annotations

from typing import Any

from quorate.orchestrator.graph import Graph
from quorate.orchestrator.nodes import StageNode
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.state import ELSE, END, START, Node

__all__ = ["count_samples", "describe_graph"]


def describe_graph(model: Model, most: int | None = None) -> dict[str, Any] | None:
    """Nodes and edges; None of a model that is no graph.

    Args:
        model: that is asked.
        most: samples of each stage that the budget allows.
    """
    if not isinstance(model, Graph):
        return None
    samples = count_samples(model, most)
    names = [name for name in model.nodes if model.most_visits(name) > 0]
    edges = [edge for name in (START, *names) for edge in model.edges_from(name) if edge.target in {END, *names}]
    return {
        "nodes": [
            {
                "name": name,
                "label": model.nodes[name].label,
                "answers": model.nodes[name].answers,
                "models": list(dict.fromkeys(asked.name for asked in model.nodes[name].models)),
                "samples": samples.get(name),
                "fallback": model.nodes[name].fallback,
                "inside": _describe_inside(model.nodes[name]),
            }
            for name in names
        ],
        "edges": [
            {
                "source": "start" if edge.source == START else edge.source,
                "target": "end" if edge.target == END else edge.target,
                "when": "" if edge.when is None or edge.when == ELSE else str(edge.when),
            }
            for edge in edges
        ],
    }


def _describe_inside(node: Node) -> list[dict[str, Any]]:
    """Each graph that a node asks, with the indices of the samples that it writes."""
    graphs = [model for model in {id(model): model for model in node.models}.values() if isinstance(model, Graph)]
    drawn = [node.stage.model_of(i) for i in range(node.stage.n)] if isinstance(node, StageNode) else []
    return [
        {"name": graph.name, "samples": [i for i, m in enumerate(drawn) if m is graph], "graph": describe_graph(graph)}
        for graph in graphs
    ]


def count_samples(model: Model, most: int | None = None) -> dict[str, int]:
    """How many samples each node draws at most, by its name; none of a model that is no graph."""
    if not isinstance(model, Graph):
        return {}
    stages = {name: node.stage.n for name, node in model.nodes.items() if isinstance(node, StageNode)}
    return {name: n if most is None else min(n, most) for name, n in stages.items()}
