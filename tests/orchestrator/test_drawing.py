"""Graphs as Mermaid and as pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quorate import Budget, Edge, Graph, cascade, sample
from quorate.aggregators.registry import build_pipeline
from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.drawing import draw_mermaid, save_drawing
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.nodes import ModelNode, SampleNode
from quorate.orchestrator.state import ELSE, END, START
from quorate.testing import ScriptedModel

from .fakes import Plurality, Texts


def test_a_single_model_is_one_box() -> None:
    """Between the question and the answer."""
    assert 'question --> m["texts"]:::model --> answer' in draw_mermaid(Texts("a"))


def test_every_node_condition_limit_and_fallback_is_drawn() -> None:
    """With words, since it is read by people; each model once."""
    model = Texts("a", name="qwen")
    graph = Graph(
        [
            SampleNode("draft", sample(model, n=4), max_visits=3, budget=Budget(tokens=5000)),
            AggregateNode("vote", Plurality()),
            ModelNode("ask", model, seconds=30, fallback="vote"),
        ],
        [
            Edge(START, "draft"),
            Edge("draft", "draft", lambda state: True),
            Edge("draft", "ask", ELSE),
            Edge("ask", END),
            Edge("vote", END),
        ],
        name="g",
    )
    drawn = draw_mermaid(graph)
    for part in ("5,000 tokens", "3 times at most", "30 s", "a condition", "else", "where it fails", "sample x 4"):
        assert part in drawn
    assert drawn.count('["qwen"]') == 1


def test_a_nested_graph_is_drawn_beside_the_node_that_asks_it() -> None:
    """With dotted arrows there and back."""
    inner = sample(Texts("a", name="m"), n=2) | Plurality()
    drawn = draw_mermaid(cascade(inner, Texts("b", name="large")))
    assert drawn.count("subgraph") == 2
    assert len(re.findall(r"n\d+ -\.-> n\d+", drawn)) == 2


def test_names_cannot_break_the_drawing(tmp_path: Path) -> None:
    """Quotes, brackets, arrows and line breaks in them are only text."""
    nasty = Texts("a", name='m"1] --> x{|}#quot;\n<b>')
    save_drawing(sample(nasty, n=2) | Plurality(), tmp_path / "g.svg")
    assert "m&quot;1] --&gt; x" in (tmp_path / "g.svg").read_text(encoding="utf-8").replace('"', "&quot;")


@pytest.mark.parametrize("name", ["gate", "moa", "debate", "self-moa-seq"])
def test_mermaid_itself_reads_every_drawing(tmp_path: Path, name: str) -> None:
    """Branches, layers, rounds and folds, with the words of their rules."""
    pipeline = build_pipeline(name, [ScriptedModel(name="m")], n=20).with_name(f"my {name}")
    save_drawing(pipeline, tmp_path / "graph.svg")
    picture = (tmp_path / "graph.svg").read_text(encoding="utf-8")
    for node in pipeline.nodes:
        assert node in picture
    assert f"my {name}" in picture


def test_a_node_that_never_runs_is_not_drawn() -> None:
    """A window that holds all samples needs no fold, and what is left is no choice."""
    small, large = (build_pipeline("self-moa-seq", [ScriptedModel(name="m")], n=n) for n in (6, 7))
    assert "once at most" in draw_mermaid(large)
    assert not {"fold", "else"} & set(re.findall(r"\w+", draw_mermaid(small)))


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Another ending, or a folder that is not there."""
    with pytest.raises(BadInput, match=r"end in \.svg or \.png"):
        save_drawing(Texts("a"), tmp_path / "graph.pdf")
    with pytest.raises(BadInput, match="cannot be written"):
        save_drawing(Texts("a"), tmp_path / "none" / "graph.svg")
