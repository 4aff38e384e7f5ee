"""Graphs under LangGraph: the same nodes, kept one by one, resumed and gone back to."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quorate import Answer, Checkpoints, Edge, Graph, Node, Question, sample
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import NodeCrashed
from quorate.orchestrator.nodes import ModelNode
from quorate.orchestrator.state import ELSE, END, START, State
from quorate.orchestrator.usage import Usage

from .fakes import First, Plurality, PowerCut, Texts
from .resumable import run_once

QUESTION = Question.of("which?")
PLACES = {"start": START, "end": END}


@dataclass
class Script:
    """What the nodes of a graph do, and what they did."""

    log: list[str] = field(default_factory=list)
    """The names of all nodes that ran, in the order in which they began."""
    breaks: set[str] = field(default_factory=set)
    """Nodes that raise."""
    error: type[BaseException] = PowerCut
    pauses: dict[str, float] = field(default_factory=dict)
    """Seconds that nodes take."""


@dataclass(frozen=True)
class Says(Node):
    """Answers with its name and what it has read, and books one token."""

    script: Script
    _: KW_ONLY

    @property
    def answers(self) -> bool:
        return True

    async def run(self, state: State, run: RunContext) -> Answer:
        self.script.log.append(self.name)
        await asyncio.sleep(self.script.pauses.get(self.name, 0))
        if self.name in self.script.breaks:
            raise self.script.error
        run.record("texts", Usage(completion_tokens=1, requests=1))
        read = [result.text for result in state.results if isinstance(result, Answer)]
        return Answer(text=f"{self.name}({','.join(read)})", model=self.name)


def graph_of(script: Script, edges: str, *more: Edge, loops: int | None = None) -> Graph:
    """A graph of plain edges such as `start a; a b; b end`, and others."""
    pairs = [pair.split() for pair in edges.split(";")]
    plain = [Edge(PLACES.get(a, a), PLACES.get(b, b)) for a, b in pairs]
    names = dict.fromkeys(name for edge in (*plain, *more) for name in (edge.source, edge.target))
    nodes = [Says(name, script, max_visits=loops) for name in names if name not in (START, END)]
    return Graph(nodes, [*plain, *more], name="graph")


async def resume(graph: Graph, script: Script, path: Path, *, breaks: set[str]) -> Answer:
    """The answer of a run that died once at these nodes; the script's log is what ran after that."""
    script.breaks = breaks
    async with Checkpoints(path) as kept:
        with pytest.raises((script.error, NodeCrashed)):
            await graph.answer(QUESTION, checkpoints=kept, thread="t")
    script.breaks = set()
    script.log.clear()
    async with Checkpoints(path) as kept:
        return await graph.answer(QUESTION, checkpoints=kept, thread="t")


async def history_of(kept: Checkpoints, graph: Graph) -> list[Any]:
    """LangGraph's states of the thread, the latest first."""
    compiled = kept.compile(graph)
    return [state async for state in compiled.aget_state_history({"configurable": {"thread_id": "t"}})]


async def test_every_node_is_a_langgraph_node(tmp_path: Path) -> None:
    """LangGraph's own drawing of the compiled graph has the nodes and edges of ours."""
    graph = graph_of(Script(), "start a; a b; a c; b d; c d; d end")
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        drawn = kept.compile(graph).get_graph()
    assert set(drawn.nodes) == {START, END, "a", "b", "c", "d"}
    assert {(edge.source, edge.target) for edge in drawn.edges} == {(e.source, e.target) for e in graph.edges}


async def test_the_history_of_a_thread_shows_every_node(tmp_path: Path) -> None:
    """LangGraph's state history has one state after each node."""
    graph = graph_of(Script(), "start a; a b; b end")
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        await graph.answer(QUESTION, checkpoints=kept, thread="t")
        history = await history_of(kept, graph)
    seen = [[visit.node for visit in state.values.get("visits", [])] for state in reversed(history)]
    assert seen[-3:] == [[], ["a"], ["a", "b"]]
    assert (history[0].next, history[1].next) == ((), ("b",))


async def test_langgraph_goes_back_to_an_earlier_node(tmp_path: Path) -> None:
    """Invoked from an earlier state of the history, the graph runs on from there, and only what comes after."""
    script = Script()
    graph = graph_of(script, "start a; a b; b c; c end")
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        await graph.answer(QUESTION, checkpoints=kept, thread="t")
        after_a = next(state for state in await history_of(kept, graph) if state.next == ("b",))
        script.log.clear()
        found = await kept.compile(graph).ainvoke(None, after_a.config, context=RunContext())
    assert script.log == ["b", "c"]
    assert found["visits"][-1].result.text == "c(b(a()))"


async def test_langgraph_runs_on_from_an_edited_past(tmp_path: Path) -> None:
    """What a node has said is changed by hand, and the rest follows from that."""
    graph = graph_of(Script(), "start a; a b; b end")
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        await graph.answer(QUESTION, checkpoints=kept, thread="t")
        compiled, history = kept.compile(graph), await history_of(kept, graph)
        before_a = next(state for state in history if state.next == ("a",))
        said = history[0].values["visits"][0].model_copy(update={"result": Answer(text="other", model="me")})
        config = await compiled.aupdate_state(before_a.config, {"visits": [said]}, as_node="a")
        found = await compiled.ainvoke(None, config, context=RunContext())
    assert found["visits"][-1].result.text == "b(other)"


@pytest.mark.parametrize("breaks", ["b", "c", "d"])
async def test_a_resumed_graph_repeats_nothing(tmp_path: Path, breaks: str) -> None:
    """It goes on at the node that broke, gives the same answer, and still counts all that was spent."""
    script = Script()
    graph = graph_of(script, "start a; a b; b c; c d; d end")
    answer = await resume(graph, script, tmp_path / "runs.sqlite", breaks={breaks})
    assert script.log == list("abcd")["abcd".index(breaks) :]
    assert (answer.text, answer.usage.completion_tokens) == ("d(c(b(a())))", 4)
    assert [visit.node for visit in answer.path] == list("abcd")


async def test_a_node_that_ended_before_its_step_did_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LangGraph writes what a node gives first, and that its step is over later; between the two, power may fail."""
    script = Script()
    graph = graph_of(script, "start a; a b; b end")
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        put = kept._saver.aput

        async def fail_after_the_node(*arguments: Any) -> Any:
            if script.log:
                raise PowerCut
            return await put(*arguments)

        monkeypatch.setattr(kept._saver, "aput", fail_after_the_node)
        with pytest.raises(PowerCut):
            await graph.answer(QUESTION, checkpoints=kept, thread="t")
    assert script.log == ["a"]
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        answer = await graph.answer(QUESTION, checkpoints=kept, thread="t")
    assert (answer.text, answer.usage.completion_tokens) == ("b(a())", 2)
    assert script.log == ["a", "b"]


@pytest.mark.parametrize("breaks", [set[str](), {"b"}])
async def test_the_thread_of_another_graph_is_begun_anew(tmp_path: Path, breaks: set[str]) -> None:
    """Whether the other one came to its end or not: what its nodes gave is no answer of this one."""
    script = Script(breaks=breaks)
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        with suppress(PowerCut):
            await graph_of(script, "start a; a b; b end").answer(QUESTION, checkpoints=kept, thread="t")
        script.log.clear()
        answer = await graph_of(script, "start x; x y; y end").answer(QUESTION, checkpoints=kept, thread="t")
    assert (answer.text, script.log) == ("y(x())", ["x", "y"])


async def test_of_a_fan_out_only_the_failed_branch_is_resumed(tmp_path: Path) -> None:
    """What the other branches gave is kept, with its cost, though their step never ended."""
    script = Script(pauses={"c": 0.05}, error=ZeroDivisionError)
    graph = graph_of(script, "start a; a b; a c; a d; b e; c e; d e; e end")
    answer = await resume(graph, script, tmp_path / "runs.sqlite", breaks={"c"})
    assert script.log == ["c", "e"]
    assert answer.text == "e(b(a()),c(a()),d(a()))"
    assert answer.usage.completion_tokens == 5


async def test_a_join_behind_branches_of_different_length_runs_once(tmp_path: Path) -> None:
    """It waits for the longest, and reads what each of them gave."""
    edges = "start a; a join; a b; b c; c d; d join; join end"
    plain, kept_log = Script(), Script()
    answer = await graph_of(plain, edges).answer(QUESTION)
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        same = await graph_of(kept_log, edges).answer(QUESTION, checkpoints=kept)
    assert answer.text == same.text == "join(a(),d(c(b(a()))))"
    assert plain.log == kept_log.log == ["a", "b", "c", "d", "join"]


async def test_loops_are_resumed_in_the_middle(tmp_path: Path) -> None:
    """The rounds that were through are not run again."""
    script = Script()
    again = (Edge("b", "a", lambda state: state.visited("b") < 3), Edge("b", "c", ELSE))
    graph = graph_of(script, "start a; a b; c end", *again, loops=5)

    class Breaks(set[str]):
        """The second time."""

        def __contains__(self, name: object) -> bool:
            return name == "b" and script.log.count("b") == 2

    answer = await resume(graph, script, tmp_path / "runs.sqlite", breaks=Breaks())
    assert script.log == ["b", "a", "b", "c"]
    assert answer.text == "c(b(a(b(a(b(a()))))))"
    assert answer.usage.completion_tokens == 7


async def test_nested_graphs_are_resumed_inside(tmp_path: Path) -> None:
    """Neither what was through of the one that broke, nor those that were through as a whole."""
    script, model = Script(), Texts("a", "b", "a")
    inner = graph_of(script, "start x; x y; y end").with_name("inner")
    outer = Graph(
        [
            ModelNode("votes", sample(model, n=3) | Plurality()),
            ModelNode("inner", inner),
            Says("last", script),
        ],
        [Edge(START, "votes"), Edge("votes", "inner"), Edge("inner", "last"), Edge("last", END)],
        name="outer",
    )
    answer = await resume(outer, script, tmp_path / "runs.sqlite", breaks={"y"})
    assert script.log == ["y", "last"]
    assert len(model.asked) == 3
    assert answer.text == "last(y(x()))"
    assert answer.usage.completion_tokens == 6


async def test_a_finished_nested_graph_is_not_asked_again(tmp_path: Path) -> None:
    """Of two proposers of one stage, the one that was through gives what it gave; anew, both are asked anew."""
    script, model = Script(pauses={"y": 0.05}), Texts("a")
    done, breaks = sample(model, n=2) | First(), graph_of(script, "start y; y end")
    pipeline = sample([done, breaks], n=2) | Plurality()
    answer = await resume(pipeline, script, tmp_path / "runs.sqlite", breaks={"y"})
    assert sorted(c.text for c in answer.candidates) == ["a", "y()"]
    assert len(model.asked) == 2
    assert answer.usage.completion_tokens == 3
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        await pipeline.answer(QUESTION, checkpoints=kept, thread="t")
    assert len(model.asked) == 4


async def test_runs_without_a_name_keep_apart(tmp_path: Path) -> None:
    """What one of them has kept of the graphs inside it is not overwritten by another."""
    script = Script()
    inner = graph_of(script, "start x; x y; y end").with_name("inner")
    outer = Graph([ModelNode("inner", inner)], [Edge(START, "inner"), Edge("inner", END)], name="outer")
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        script.breaks = {"y"}
        with pytest.raises(PowerCut):
            await outer.answer("one?", checkpoints=kept)
        script.breaks = set()
        await outer.answer("another?", checkpoints=kept)
        script.log.clear()
        assert (await outer.answer("one?", checkpoints=kept)).text == "y(x())"
    assert script.log == ["y"]


async def test_a_loop_asks_a_nested_graph_anew_each_time(tmp_path: Path) -> None:
    """The second visit of a node is no repetition of the first."""
    model = Texts("a", "b")
    votes = ModelNode("votes", sample(model, n=2) | Plurality(), max_visits=3)
    graph = Graph(
        [votes],
        [
            Edge(START, "votes"),
            Edge("votes", "votes", lambda state: state.visited("votes") < 3),
            Edge("votes", END, ELSE),
        ],
        name="loop",
    )
    plain = await graph.answer(QUESTION, seed=5)
    seeds = [seed for _, seed in model.asked]
    assert len(set(seeds)) == len(seeds) == 6
    model.asked.clear()
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        answer = await graph.answer(QUESTION, seed=5, checkpoints=kept, thread="t")
    assert [seed for _, seed in model.asked] == seeds
    assert (answer.text, answer.usage) == (plain.text, plain.usage)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, int | None]], list[float]]:
    """Number of nodes, edges with the remainder of the reader's text that takes them, and pauses."""
    n = draw(st.integers(2, 6))
    edges: list[tuple[int, int, int | None]] = []
    for node in range(n):
        later = [*range(node + 1, n), n]
        plain = draw(st.lists(st.sampled_from(later), min_size=1, max_size=3, unique=True))
        conditional = draw(st.booleans())
        edges += [(node, target, draw(st.integers(0, 1)) if conditional else None) for target in plain]
    return n, edges, draw(st.lists(st.sampled_from([0.0, 0.001, 0.003]), min_size=n, max_size=n))


def build_random(spec: tuple[int, list[tuple[int, int, int | None]], list[float]], loop: bool) -> tuple[Graph, Script]:
    n, edges, pauses = spec
    names = [f"n{number}" for number in range(n)]
    script = Script(pauses=dict(zip(names, pauses, strict=True)))
    targets = [*names, END]
    made = [Edge(START, names[0])]
    for number, name in enumerate(names):
        mine = [(target, rest) for source, target, rest in edges if source == number]
        for place, (target, rest) in enumerate(mine):
            when = None if rest is None else (ELSE if place == len(mine) - 1 else _remainder(rest))
            made.append(Edge(name, targets[target], when))
        reached = {edge.target for edge in made}
        if number and name not in reached:
            made.insert(1, Edge(names[0], name))
    if loop and n > 2:
        made.append(Edge(names[-1], names[1], lambda state: state.visited(names[-1]) < 3))
        made = [Edge(e.source, e.target, ELSE) if (e.source, e.target) == (names[-1], END) else e for e in made]
    return Graph([Says(name, script) for name in names], made, name="random"), script


def _remainder(rest: int) -> Any:
    return lambda state: len(state.results[0].text) % 2 == rest


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=graphs(), loop=st.booleans())
async def test_random_graphs_answer_alike_under_both_executors(
    tmp_path_factory: pytest.TempPathFactory, spec: Any, loop: bool
) -> None:
    """The same nodes as often, the same answer and the same accounts, however long the nodes take."""
    graph, script = build_random(spec, loop)
    plain = await graph.answer(QUESTION)
    ran = sorted(script.log)
    script.log.clear()
    script.pauses.clear()
    async with Checkpoints(tmp_path_factory.mktemp("runs") / "runs.sqlite") as kept:
        kept_answer = await graph.answer(QUESTION, checkpoints=kept, thread="t")
    assert sorted(script.log) == ran
    assert (kept_answer.text, kept_answer.usage, kept_answer.route) == (plain.text, plain.usage, plain.route)


KEPT = 0.25
"""Seconds after which a node that has ended must be in the file, while others run beside it."""


def kill_at_random(folder: Path, rng: random.Random) -> None:
    """Runs the graph of `resumable` until a random moment, and kills its process."""
    log = folder / "log"
    lines = len(log.read_text().splitlines()) if log.exists() else 0
    command = [sys.executable, "-m", "tests.orchestrator.resumable", str(folder / "runs.sqlite"), str(log)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        while child.poll() is None and (not log.exists() or len(log.read_text().splitlines()) == lines):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.3))
        child.kill()
    with log.open("a") as file:
        file.write(f"{time.time():.4f} killed -\n")


def check_no_finished_node_ran_again(log: str) -> None:
    """A node has finished once it has ended and another one has begun after that, or a while has passed."""
    finished: set[str] = set()
    ended: dict[str, float] = {}
    for line in log.splitlines():
        at, what, name = line.split()
        if what == "begin":
            finished |= set(ended)
            assert name not in finished, f"{name} ran again"
        elif what == "end":
            ended[name] = float(at)
        else:
            finished |= {name for name, end in ended.items() if float(at) - end > KEPT}
            ended.clear()


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] if seed > 1 else []) for seed in range(12)]
)
def test_a_killed_process_resumes_without_repeating_anything(tmp_path: Path, seed: int) -> None:
    """Killed twice at random moments, a run gives the answer of one that lived, and no finished node ran again."""
    rng = random.Random(seed)
    for _ in range(2):
        kill_at_random(tmp_path, rng)
    answer = asyncio.run(run_once(tmp_path / "runs.sqlite", tmp_path / "log"))
    whole = asyncio.run(run_once(tmp_path / "whole.sqlite", tmp_path / "whole.log"))
    assert answer.text == whole.text == "last1(again3(again2(again1(join1(slow1(a1()),y1(x1()))))))"
    assert answer.usage.completion_tokens == whole.usage.completion_tokens == 10
    check_no_finished_node_ran_again((tmp_path / "log").read_text())
