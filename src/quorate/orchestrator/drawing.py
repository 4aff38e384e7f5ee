"""Graphs drawn as Mermaid, nested ones inside the node that asks them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from .graph import ELSE, END, START, Edge, Graph, Node
from .protocols import Model

__all__ = ["draw_mermaid"]


def draw_mermaid(model: Model) -> str:
    """A Mermaid flowchart of a model: every node, every condition, and the models that the nodes ask."""
    numbers = count()
    lines = ["flowchart LR", "    question([question])", "    answer([answer])"]
    if not isinstance(model, Graph):
        return "\n".join([*lines, f'    question --> m["{_escape(model.name)}"] --> answer'])
    return "\n".join([*lines, *_draw_graph(model, "question", "answer", numbers)])


def _draw_graph(graph: Graph, before: str, after: str, numbers: Iterator[int]) -> Iterator[str]:
    ids = {START: before, END: after, **{name: f"n{next(numbers)}" for name in graph.nodes}}
    yield f'    subgraph g{next(numbers)} ["{_escape(graph.name)}"]'
    for name, node in graph.nodes.items():
        yield f"    {ids[name]}{_shape(node, len(graph.edges_from(name)) > 1)}"
        for model in node.models:
            yield from _draw_model(model, ids[name], numbers)
    yield "    end"
    for source in (START, *graph.nodes):
        for edge in graph.edges_from(source):
            yield f"    {ids[source]} {_arrow(edge)} {ids[edge.target]}"
    for name, node in graph.nodes.items():
        if node.fallback is not None:
            yield f'    {ids[name]} -. "where it fails" .-> {ids[node.fallback]}'


def _draw_model(model: Model, node: str, numbers: Iterator[int]) -> Iterator[str]:
    if isinstance(model, Graph):
        asked, told = f"q{next(numbers)}", f"a{next(numbers)}"
        yield from (f"    {asked}(( ))", f"    {told}(( ))", f"    {node} -.-> {asked}")
        yield from _draw_graph(model, asked, told, numbers)
    else:
        yield f'    {node} -.- m{next(numbers)}["{_escape(model.name)}"]'


def _shape(node: Node, branches: bool) -> str:
    words = node.name if node.label == node.name else f"{node.name}\n{node.label}"
    text = f'"{_escape(words)}"'
    if node.answers:
        return f"{{{{{text}}}}}"
    return f"{{{text}}}" if branches and not node.models else f"[[{text}]]"


def _arrow(edge: Edge) -> str:
    return "-->" if edge.when is None else f'-- "{_escape(ELSE if edge.when == ELSE else str(edge.when))}" -->'


def _escape(text: str) -> str:
    escaped = "".join(f"#{ord(c)};" if c in '"[]{}|<>' else c for c in text)
    return escaped.replace("\n", "<br/>")
