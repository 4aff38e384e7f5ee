"""Graphs that cannot run, and what is wrong in their parts, told by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from quorate import Answer, Budget, Edge, Graph, cascade, gate, prompted, route, sample
from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadGraph, BadInput, Misconfigured
from quorate.orchestrator.nodes import ChoiceNode, ModelNode, SampleNode
from quorate.orchestrator.pipeline import layers, rounds
from quorate.orchestrator.state import ELSE, END, START, Node, State

from .fakes import First, Plurality, Texts
from .test_checkpoints import QUESTION, Says, Script, graph_of
from .test_graph import Agreeing, drawn, model


def _says(*names: str) -> list[Node]:
    return [Says(name, Script()) for name in names]


def _always(_: State) -> bool:
    return True


@pytest.mark.parametrize(
    ("build", "says", "node", "edge"),
    [
        (lambda: Graph(_says("a", "a"), [], name="g"), "two nodes are named 'a'", "a", None),
        (lambda: Graph(_says("a"), [Edge(START, "b")], name="g"), "leads to 'b', which is no node", None, (START, "b")),
        (
            lambda: Graph(_says("a"), [Edge(START, "a"), Edge("b", END)], name="g"),
            "begins at 'b', which is no node",
            None,
            ("b", END),
        ),
        (lambda: Graph(_says("a"), [], name="g"), "nothing follows", None, None),
        (lambda: Graph(_says("a"), [Edge(START, "a")], name="g"), "'a' has no way to the end", "a", None),
        (
            lambda: Graph(_says("a", "b"), [Edge(START, "a"), Edge("a", END)], name="g"),
            "no edge leads to node 'b'",
            "b",
            None,
        ),
        (
            lambda: Graph(_says("a"), [Edge(START, "a"), Edge("a", "a")], name="g"),
            "'a' is in a loop without an exit",
            "a",
            None,
        ),
        (
            lambda: Graph(_says("a"), [Edge(START, "a"), Edge("a", "a"), Edge("a", END)], name="g"),
            "the loop through 'a' is never left",
            "a",
            None,
        ),
        (
            lambda: Graph(_says("a"), [Edge(START, "a"), Edge("a", END), Edge("a", END)], name="g"),
            "two edges",
            None,
            ("a", END),
        ),
        (
            lambda: Graph(_says("a"), [Edge(START, "a", _always), Edge("a", END)], name="g"),
            "nothing has happened yet",
            None,
            (START, "a"),
        ),
        (
            lambda: Graph([drawn("a", "x")], [Edge(START, "a"), Edge("a", END)], name="g"),
            "'a' gives no answer",
            None,
            ("a", END),
        ),
        (
            lambda: Graph([Says("a", Script(), fallback="z")], [Edge(START, "a"), Edge("a", END)], name="g"),
            "fallback 'z', which is no node",
            "a",
            None,
        ),
        (
            lambda: sample(sample(Texts("a"), n=1000) | Plurality(), n=1000) | Plurality(),
            "1000000 answers of single models (1000000 of them in node 'sample'), and 100000 is the limit",
            "sample",
            None,
        ),
    ],
)
def test_graphs_that_cannot_run_are_refused_when_they_are_built(
    build: Callable[[], Any], says: str, node: str | None, edge: tuple[str, str] | None
) -> None:
    """In words that name the graph, the node or edge, and what to do."""
    with pytest.raises(BadGraph) as caught:
        build()
    assert says in str(caught.value)
    assert (caught.value.node, caught.value.edge) == (node, edge)


def test_an_edge_needs_a_condition_that_can_be_asked() -> None:
    """Not just anything."""
    with pytest.raises(BadGraph, match="give a Condition, a function, or 'else'"):
        Edge("a", "b", 5)  # type: ignore[arg-type]


async def test_a_condition_that_raises_is_told_with_its_edge() -> None:
    """The graph is at fault, not the models."""
    graph = graph_of(Script(), "start a; b end", Edge("a", "b", lambda state: bool(1 / 0)), Edge("a", END, ELSE))
    with pytest.raises(Misconfigured, match=r"the condition of the edge a -> b raised ZeroDivisionError") as caught:
        await graph.answer(QUESTION)
    assert caught.value.status == 500


async def test_a_node_whose_conditions_all_fail_is_told() -> None:
    """With the edge that is missing."""
    graph = graph_of(
        Script(), "start a; b end", Edge("a", "b", lambda state: False), Edge("a", END, lambda state: False)
    )
    with pytest.raises(Misconfigured, match="no edge from 'a' is taken: give it one with the condition 'else'"):
        await graph.answer(QUESTION)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Node(""), "has the name ''"),  # type: ignore[abstract]
        (lambda: ModelNode("a", Texts("x"), seconds=-1), "node 'a': seconds=-1: give a number of seconds above 0"),
        (lambda: ModelNode("a", Texts("x"), budget=5), "node 'a': budget=5: give Budget"),  # type: ignore[arg-type]
        (lambda: ModelNode("a", Texts("x"), max_visits=1.5), "whole number"),  # type: ignore[arg-type]
        (lambda: ModelNode("a", Texts("x"), fallback=Texts("y")), "the name of a node"),  # type: ignore[arg-type]
        (lambda: ModelNode("a", Texts), "is no model"),  # type: ignore[arg-type]
        (lambda: AggregateNode("a", 5), "node 'a': 5 is not an aggregator"),  # type: ignore[arg-type]
        (lambda: ChoiceNode("a", 5, (), ("b",)), "5 chooses nothing"),  # type: ignore[arg-type]
        (lambda: ChoiceNode("a", len, (), ("b", "b")), "the option 'b' stands twice"),  # type: ignore[arg-type]
        (lambda: Edge(5, "a"), "the names of two nodes"),  # type: ignore[arg-type]
        (lambda: Graph(["a"], [], name="g"), "g: 'a' is no node"),  # type: ignore[list-item]
        (lambda: Graph([model("a")], [("a", END)], name="g"), "is no edge"),  # type: ignore[list-item]
        (lambda: Graph([], [], name=5), "give it a name"),  # type: ignore[arg-type]
        (lambda: gate(5, Plurality(), expensive=First(), rule=Agreeing()), "is no sampling stage"),  # type: ignore[arg-type]
        (lambda: gate(sample(Texts("x")), 5, expensive=First(), rule=Agreeing()), r"gate\(cheap\): 5"),  # type: ignore[arg-type]
        (lambda: gate(sample(Texts("x")), Plurality(), expensive=5, rule=Agreeing()), r"gate\(expensive\)"),  # type: ignore[arg-type]
        (lambda: gate(sample(Texts("x")), Plurality(), expensive=First(), rule=5), "not a stopping rule"),  # type: ignore[arg-type]
        (lambda: layers(sample(Texts("x")), [5], Plurality()), "a pair of a sampling stage and a Refiner"),  # type: ignore[list-item]
        (lambda: rounds(sample(Texts("x")), 5, Plurality(), most=2), "no Refiner"),  # type: ignore[arg-type]
        (lambda: rounds(sample(Texts("x")), First(), Plurality(), most="2"), "whole number"),  # type: ignore[arg-type]
        (lambda: cascade(Texts("x"), "gpt"), r"cascade\(\): 'gpt' is no model"),  # type: ignore[arg-type]
        (lambda: cascade(Texts("x"), Texts("y"), accept="0.8"), "accept='0.8'"),  # type: ignore[arg-type]
        (lambda: route(5, Texts("x")), "chooses nothing"),  # type: ignore[arg-type]
        (lambda: route(len, 5), r"route\(\): 5 is no model"),  # type: ignore[arg-type]
        (lambda: Budget(tokens=-1), r"Budget\(tokens\): should be greater than or equal to 1"),
        (lambda: Budget(token=1), r"Budget\(token\): unknown field; there is: tokens, money"),  # type: ignore[call-arg]
        (lambda: prompted(Texts("x")), "has no words"),
    ],
)
def test_wrong_values_are_refused_by_name(build: Callable[[], object], says: str) -> None:
    """One clear error where they are given, whatever they are."""
    with pytest.raises(BadInput, match=says):
        build()


def test_what_is_no_model_or_stage_is_refused_with_the_nodes_name() -> None:
    """Where it is given, not where it is first asked."""
    with pytest.raises(BadInput, match="node 'a': 'gpt' is no model"):
        ModelNode("a", "gpt")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"node 'a': .* is no sampling stage"):
        SampleNode("a", Texts("a"))  # type: ignore[arg-type]


def test_an_async_condition_is_refused() -> None:
    """What it returns would always be true."""

    async def sure(state: State) -> bool:
        return bool(state.visits)

    with pytest.raises(BadGraph, match="edge a -> end is an async function"):
        Edge("a", END, sure)  # type: ignore[arg-type]


class Talks(Node):
    """Gives what nobody can read."""

    async def run(self, state: State, run: RunContext) -> Answer:
        return "text"  # type: ignore[return-value]


async def test_a_node_that_gives_something_else_is_named() -> None:
    """With what it should give."""
    graph = Graph([Talks("a"), model("b")], [Edge(START, "a"), Edge("a", "b"), Edge("b", END)], name="g")
    with pytest.raises(Misconfigured, match="g: node 'a' gave 'text'; give a Sampled, an Answer or a Choice"):
        await graph.answer(QUESTION)


def test_a_graph_of_too_many_nodes_is_refused() -> None:
    """In one line."""
    with pytest.raises(BadGraph, match="it has 501 nodes, and 500 is the limit"):
        Graph([model(str(n)) for n in range(501)], [], name="long")
