"""Graphs drawn as Mermaid flowcharts: every node, every condition, and the models that are asked.

A graph that a node asks is drawn beside it, with dotted arrows to its first node and back from its last ones.
`save_drawing` makes pictures of them, by the real Mermaid inside the package `mermaidx`: no browser, no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

from .errors import BadInput, MissingExtra
from .graph import Graph
from .protocols import Model
from .state import ELSE, END, START, Edge, Node

STYLES = {
    "sampling": "fill:#e1ecff,stroke:#3b6fd4,color:#111",
    "answering": "fill:#e2f5e4,stroke:#2e8b57,color:#111",
    "choosing": "fill:#fff2d1,stroke:#c08a1e,color:#111",
    "model": "fill:#f5f5f5,stroke:#8a8a8a,color:#111",
    "outline": "fill:none,stroke:#8a8a8a,color:#555",
}
SCALE = 2.0
"""Pixels of a PNG for each of the drawing's."""


def draw_mermaid(model: Model) -> str:
    """A Mermaid flowchart of a model."""
    lines = ["flowchart LR", "    question([question])", "    answer([answer])"]
    if isinstance(model, Graph):
        lines += _Flowchart().draw(model, "question", "answer")
    else:
        lines.append(f'    question --> m["{_escape(model.name)}"]:::model --> answer')
    lines += [f"    classDef {name} {style}" for name, style in STYLES.items()]
    return "\n".join(lines)


def save_drawing(model: Model, path: Path) -> None:
    """Draws a model into a file, SVG or PNG by its ending.

    Raises:
        BadInput: the file has another ending, or cannot be written.
        MissingExtra: the extra `draw` is not installed.
    """
    if path.suffix not in (".svg", ".png"):
        raise BadInput(f"{path}: pictures end in .svg or .png")
    try:
        import mermaidx
    except ImportError as error:
        raise MissingExtra("draw", "drawing pictures") from error
    picture = mermaidx.render(draw_mermaid(model))
    try:
        picture.save(str(path), **({"scale": SCALE} if path.suffix == ".png" else {}))
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror or error}") from error


class _Flowchart:
    """Gives every node and model an id as it is drawn."""

    def __init__(self) -> None:
        self._numbers = count()

    def draw(self, graph: Graph, before: str, after: str, *, inside: bool = False) -> Iterator[str]:
        """A graph between two nodes; `inside` another one, these are both the node that asks it."""
        nodes = {name: node for name, node in graph.nodes.items() if graph.most_visits(name) > 0}
        ids = {START: before, END: after, **{name: f"n{next(self._numbers)}" for name in nodes}}
        box = f"g{next(self._numbers)}"
        yield f'    subgraph {box} ["{_escape(graph.name)}"]'
        edges = [edge for name in (START, *nodes) for edge in graph.edges_from(name) if edge.target in ids]
        for name, node in nodes.items():
            yield f"    {ids[name]}{_shape(node, sum(edge.source == name for edge in edges) > 1)}"
        singles, asked = self._models_of(nodes, ids)
        yield from singles
        yield "    end"
        yield f"    class {box} outline"
        for model, node_id in asked:
            yield from self.draw(model, node_id, node_id, inside=True)
        for edge in edges:
            arrow = _arrow(
                edge,
                dotted=inside and (edge.source == START or edge.target == END),
                alone=sum(other.source == edge.source for other in edges) == 1,
            )
            yield f"    {ids[edge.source]} {arrow} {ids[edge.target]}"
        for name, node in nodes.items():
            if node.fallback is not None:
                yield f'    {ids[name]} -. "where it fails" .-> {ids[node.fallback]}'

    def _models_of(self, nodes: Mapping[str, Node], ids: dict[str, str]) -> tuple[list[str], list[tuple[Graph, str]]]:
        """Lines that show which node asks which single model, each drawn once, and the graphs that nodes ask."""
        lines: list[str] = []
        asked: list[tuple[Graph, str]] = []
        drawn: dict[int, str] = {}
        for name, node in nodes.items():
            for model in {id(m): m for m in node.models}.values():
                if isinstance(model, Graph):
                    asked.append((model, ids[name]))
                elif id(model) in drawn:
                    lines.append(f"    {ids[name]} -.- {drawn[id(model)]}")
                elif node.label != model.name:
                    drawn[id(model)] = f"m{next(self._numbers)}"
                    lines.append(f'    {ids[name]} -.- {drawn[id(model)]}["{_escape(model.name)}"]:::model')
        return lines, asked


def _shape(node: Node, branches: bool) -> str:
    words = [node.label] if node.label.startswith(node.name) else [node.name, node.label]
    limits = [f"{node.seconds:g} s"] if node.seconds is not None else []
    if node.budget is not None and node.budget.tokens is not None:
        limits.append(f"{node.budget.tokens:,} tokens")
    if node.max_visits is not None:
        limits.append("once at most" if node.max_visits == 1 else f"{node.max_visits} times at most")
    text = f'"{_escape(chr(10).join([*words, *([", ".join(limits)] if limits else [])]))}"'
    if node.answers:
        return f"{{{{{text}}}}}:::answering"
    return f"{{{text}}}:::choosing" if branches and not node.models else f"[[{text}]]:::sampling"


def _arrow(edge: Edge, *, dotted: bool, alone: bool) -> str:
    if edge.when is None or (edge.when == ELSE and alone):
        return "-.->" if dotted else "-->"
    words = _escape(ELSE if edge.when == ELSE else str(edge.when))
    return f'-. "{words}" .->' if dotted else f'-- "{words}" -->'


def _escape(text: str) -> str:
    escaped = "".join(f"#{ord(c)};" if c in '"[]{}|<>#' else c for c in text)
    return escaped.replace("\n", "<br/>")
