"""Graphs of nodes: what runs when, what each node reads, and which graphs are refused."""

from __future__ import annotations

import asyncio

import pytest

from quorate import Answer, Budget, Edge, Graph, Question, cascade, gate, prompted, route, sample
from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.errors import Misconfigured, NoAnswer, QuorateError, TimedOut
from quorate.orchestrator.events import AnswerToken, Event, NodeEnded, NodeStarted
from quorate.orchestrator.nodes import ChoiceNode, ModelNode, SampleNode
from quorate.orchestrator.pipeline import pipeline
from quorate.orchestrator.progress import SamplingProgress
from quorate.orchestrator.state import ELSE, END, START

from .fakes import First, Hangs, Plurality, Texts
from .test_checkpoints import QUESTION, Says, Script, graph_of


class Agreeing:
    """Content with two votes for the leading answer, or more."""

    def stop(self, progress: SamplingProgress) -> str | None:
        return "two agree" if progress.tally and progress.tally[0].votes >= 2 else None

    def __str__(self) -> str:
        return "two agree"


def model(name: str, *texts: str) -> ModelNode:
    return ModelNode(name, Texts(*(texts or (name,)), name=name))


def drawn(name: str, *texts: str, n: int = 2) -> SampleNode:
    return SampleNode(name, sample(Texts(*texts, name=f"{name}-model"), n=n), counted_by=Plurality())


async def test_nodes_that_are_ready_run_side_by_side() -> None:
    """A join reads what all branches gave, in the order of the graph, however long they took."""
    script = Script(pauses={"b": 0.03, "c": 0.0, "d": 0.01})
    graph = graph_of(script, "start a; a b; a c; a d; b e; c e; d e; e end")
    answer = await graph.answer(QUESTION)
    assert answer.text == "e(b(a()),c(a()),d(a()))"
    assert script.log == ["a", "b", "c", "d", "e"]


async def test_the_candidates_of_several_stages_are_read_as_one_list() -> None:
    """Numbered anew; an answer counts as a candidate; a failed one stays failed."""
    graph = Graph(
        [drawn("x", "a", "!"), drawn("y", "b"), model("z", "b"), AggregateNode("vote", Plurality())],
        [
            *(Edge(START, name) for name in "xyz"),
            *(Edge(name, "vote") for name in "xyz"),
            Edge("vote", END),
        ],
        name="panel",
    )
    answer = await graph.answer(QUESTION)
    assert [(c.index, c.text) for c in answer.candidates] == [(0, "a"), (1, ""), (2, "b"), (3, "b"), (4, "b")]
    assert (answer.text, answer.model, answer.tally[0].votes) == ("b", "panel", 3)
    assert [note.code for note in answer.degraded] == ["candidate_failed"]


async def test_usage_is_booked_by_node() -> None:
    """Also of models that are asked inside, whatever their own nodes are called."""
    graph = cascade(sample(Texts("a", "b"), n=2) | Plurality(), Texts("c", name="large"), accept=1.0, name="c")
    answer = await graph.answer(QUESTION)
    assert [(spent.node, spent.model, spent.usage.completion_tokens) for spent in answer.nodes] == [
        ("plurality@2/texts", "texts", 2),
        ("large", "large", 1),
    ]
    assert answer.usage.completion_tokens == 3


async def test_a_cascade_goes_on_until_an_answer_is_accepted() -> None:
    """By the share that agrees; the last one's answer is taken as it is."""
    small = sample(Texts("a", "a", "b"), n=3) | Plurality()
    sure = await cascade(small, Texts("c", name="large"), accept=0.6).answer(QUESTION)
    unsure = await cascade(small, Texts("c", name="large"), accept=0.8).answer(QUESTION)
    assert (sure.text, sure.route) == ("a", f"{small.name}: agreement 0.667, 0.6 needed")
    assert (unsure.text, [visit.node for visit in unsure.path]) == ("c", [small.name, "large"])
    assert unsure.route == "large: agreement 0.667, 0.8 needed"


async def test_a_cascade_may_accept_by_a_function() -> None:
    """Of the state, whose answer it sees."""
    graph = cascade(Texts("maybe", name="a"), Texts("yes", name="b"), accept=lambda state: "yes" in state.answer.text)
    assert (await graph.answer(QUESTION)).text == "yes"


async def test_a_route_asks_one_model() -> None:
    """Chosen by a function, which may wait, by name or by place."""

    async def by_length(question: Question) -> int:
        await asyncio.sleep(0)
        return 0 if len(question.text) < 10 else 1

    graph = route(by_length, Texts("a", name="small"), Texts("b", name="large"))
    assert (await graph.answer("short?")).text == "a"
    assert (await graph.answer("a long question?")).text == "b"
    named = route(lambda question: "large", Texts("a", name="small"), Texts("b", name="large"))
    assert (await named.answer("short?")).text == "b"
    with pytest.raises(Misconfigured, match="'none' was chosen, but there is: small, large"):
        await route(lambda question: "none", Texts("a", name="small"), Texts("b", name="large")).answer("short?")


async def test_a_gate_goes_on_where_the_votes_are_open() -> None:
    """Sure votes end with the cheap aggregator; else the expensive one reads the same candidates."""
    for texts, text, node in ((("a", "a", "b"), "a", "plurality"), (("a", "b", "c"), "a", "first")):
        stage = sample(Texts(*texts), n=3)
        answer = await gate(stage, Plurality(), expensive=First(), rule=Agreeing()).answer(QUESTION)
        assert (answer.text, answer.path[-1].node) == (text, node)


async def test_a_gate_leads_on_to_a_whole_pipeline() -> None:
    """Its nodes after the sampling go on with the gate's candidates, none is left out."""
    script = Script()
    more = Graph(
        [drawn("sample", "z"), Says("think", script), AggregateNode("aggregate", First())],
        [Edge(START, "sample"), Edge("sample", "think"), Edge("think", "aggregate"), Edge("aggregate", END)],
        name="thinking",
    )
    from quorate import Pipeline

    thinking = Pipeline(list(more.nodes.values()), more.edges, name="thinking")
    graph = gate(sample(Texts("a", "b"), n=2), Plurality(), expensive=thinking, rule=Agreeing())
    answer = await graph.answer(QUESTION)
    assert [visit.node for visit in answer.path] == ["sample", "think", "aggregate"]
    assert script.log == ["think"]


async def test_a_choice_hands_on_what_it_has_read() -> None:
    """Candidates pass by it to the aggregator that it leads to."""
    choice = ChoiceNode("which", lambda question: "vote", (), ("vote", "first"))
    graph = Graph(
        [drawn("x", "a", "b", "b", n=3), choice, AggregateNode("vote", Plurality()), AggregateNode("first", First())],
        [
            Edge(START, "x"),
            Edge("x", "which"),
            Edge("which", "vote", lambda state: state.choice is not None and state.choice.chosen == "vote"),
            Edge("which", "first", ELSE),
            Edge("vote", END),
            Edge("first", END),
        ],
        name="choice",
    )
    answer = await graph.answer(QUESTION)
    assert (answer.text, len(answer.candidates)) == ("b", 3)


async def test_a_node_that_fails_leads_to_its_fallback() -> None:
    """Which reads what it would have read; the answer says so."""
    graph = Graph(
        [
            drawn("x", "a", "b", "b", n=3),
            ModelNode("ask", Texts("!"), fallback="vote"),
            AggregateNode("vote", Plurality()),
        ],
        [Edge(START, "x"), Edge("x", "ask"), Edge("ask", END), Edge("vote", END)],
        name="careful",
    )
    answer = await graph.answer(QUESTION)
    assert answer.text == "b"
    assert [(note.code, note.where) for note in answer.degraded] == [("node_failed", "ask")]
    assert answer.usage.completion_tokens == 3


async def test_without_a_fallback_the_error_is_the_graphs() -> None:
    """With the status of its cause; what runs beside it is cancelled."""
    hangs = Hangs("so")
    graph = Graph(
        [ModelNode("bad", Texts("a", "!", name="bad")), ModelNode("slow", hangs), Says("join", Script())],
        [Edge(START, "bad"), Edge(START, "slow"), Edge("bad", "join"), Edge("slow", "join"), Edge("join", END)],
        name="both",
    )
    with pytest.raises(NoAnswer) as caught:
        await graph.replace([ModelNode("bad", Texts("!")), *list(graph.nodes.values())[1:]]).answer(QUESTION)
    assert caught.value.status == 429
    assert hangs.cancelled == 1


async def test_the_time_of_a_node_is_its_own() -> None:
    """A model that hangs is ended, and the fallback answers; without one it is an error that names the node."""
    slow = ModelNode("slow", Hangs(), seconds=0.05)
    with pytest.raises((NoAnswer, QuorateError, TimedOut), match="slow"):
        await Graph([slow], [Edge(START, "slow"), Edge("slow", END)], name="g").answer(QUESTION)
    graph = Graph(
        [ModelNode("slow", Hangs(), seconds=0.05, fallback="quick"), model("quick")],
        [Edge(START, "slow"), Edge("slow", END), Edge("quick", END)],
        name="g",
    )
    assert (await graph.answer(QUESTION)).text == "quick"


async def test_the_budget_of_a_node_is_its_own() -> None:
    """Other nodes are not limited by it."""
    few = SampleNode("few", sample(Texts("a b c"), n=8, wave=1), budget=Budget(tokens=30), counted_by=Plurality())
    graph = Graph(
        [few, AggregateNode("vote", Plurality()), model("more", "x y z")],
        [Edge(START, "few"), Edge("few", "vote"), Edge("vote", "more"), Edge("more", END)],
        name="g",
    )
    answer = await graph.answer(QUESTION)
    assert answer.text == "x y z"
    assert [note.code for note in answer.degraded] == ["budget_exhausted"]
    spent = {spent.node: spent.usage for spent in answer.nodes}
    assert spent["few"].requests < 8


async def test_a_loop_is_left_by_its_other_edge_at_its_limit() -> None:
    """A node that has run as often as it may is led to no more."""
    script = Script()
    graph = graph_of(script, "start a; b end", Edge("a", "a", lambda state: True), Edge("a", "b", ELSE), loops=3)
    answer = await graph.answer(QUESTION)
    assert script.log == ["a", "a", "a", "b"]
    assert [dict(visit.edges) for visit in answer.path] == [
        {"a": "a condition"},
        {"a": "a condition"},
        {"b": ""},
        {END: ""},
    ]


async def test_a_stage_in_a_loop_draws_other_samples_each_time() -> None:
    """The same seeds again would be the same samples again; the first visit has the seeds of a plain pipeline."""
    stage = sample(Texts("a", "b"), n=2)
    [asked] = stage.models
    graph = Graph(
        [SampleNode("x", stage, counted_by=Plurality(), max_visits=3), AggregateNode("vote", Plurality())],
        [Edge(START, "x"), Edge("x", "x", lambda state: True), Edge("x", "vote", ELSE), Edge("vote", END)],
        name="again",
    )
    await graph.answer(QUESTION, seed=3)
    assert isinstance(asked, Texts)
    seeds = [seed for _, seed in asked.asked]
    assert len(set(seeds)) == 6
    asked.asked.clear()
    await (stage | Plurality()).answer(QUESTION, seed=3)
    assert [seed for _, seed in asked.asked] == seeds[:2]


async def test_nodes_are_told_as_they_begin_and_end() -> None:
    """And only tokens that are surely the answer's are told as such."""
    events: list[Event] = []
    graph = cascade(Texts("no", name="a"), Texts("so it is", name="b"), name="c")
    async for event in graph.events(QUESTION):
        events.append(event)  # noqa: PERF401
    nodes = [(type(e).__name__, e.node) for e in events if isinstance(e, NodeStarted | NodeEnded) and not e.thread]
    assert nodes == [("NodeStarted", "a"), ("NodeEnded", "a"), ("NodeStarted", "b"), ("NodeEnded", "b")]
    assert [e.text for e in events if isinstance(e, AnswerToken)] == ["so", "it", "is"]


def test_other_models_and_sizes_reach_every_node() -> None:
    """`map_models`, `with_n` and `with_name` give new graphs; the old one stays."""
    graph = gate(sample(Texts("a"), n=4), Plurality(), expensive=First(), rule=Agreeing())
    other = Texts("b", name="other")
    assert graph.map_models(lambda _: other).stage.models == (other,)
    assert graph.with_n(9).stage.n == 9
    assert graph.with_name("mine").name == "mine"
    assert (graph.stage.n, graph.stage.models[0].name) == (4, "texts")


def test_calls_multiply_by_nesting_and_loops() -> None:
    """The most answers of single models that one answer can take."""
    inner = sample(Texts("a"), n=5) | Plurality()
    assert (sample(inner, n=4) | Plurality()).calls == 20
    assert cascade(inner, Texts("b", name="b")).calls == 6
    loop = Graph(
        [SampleNode("x", sample(inner, n=2), max_visits=3), AggregateNode("vote", Plurality())],
        [Edge(START, "x"), Edge("x", "x", lambda state: True), Edge("x", "vote", ELSE), Edge("vote", END)],
        name="loop",
    )
    assert loop.calls == 30


def panel(**texts: tuple[str, ...]) -> Graph:
    """Stages side by side, and a vote over all their candidates."""
    return Graph(
        [*(drawn(name, *said) for name, said in texts.items()), AggregateNode("vote", Plurality())],
        [*(Edge(START, n) for n in texts), *(Edge(n, "vote") for n in texts), Edge("vote", END)],
        name="panel",
    )


async def test_a_branch_that_fails_leaves_the_others() -> None:
    """The node is named in the answer, and one failed candidate stands for it."""
    answer = await panel(cheap=("a", "a"), dear=("!",)).answer(QUESTION)
    assert answer.text == "a"
    assert [(note.code, note.where) for note in answer.degraded] == [("node_failed", "dear")]
    assert [c.agent for c in answer.candidates if not c.ok] == ["dear"]


async def test_branches_that_all_fail_are_named_with_the_best_advice() -> None:
    """A 429 stays a 429, with the time to wait."""
    with pytest.raises(NoAnswer, match=r"all 2 candidates failed; node 'cheap': .*slow down") as failed:
        await panel(cheap=("!",), dear=("!",)).answer(QUESTION)
    assert (failed.value.status, failed.value.retry_after) == (429, 7)


async def test_a_template_that_fails_is_not_the_callers_fault() -> None:
    """It is told with the status of a server's fault."""
    agent = prompted(Texts("x"), "{{ 1 // (question | length - question | length) }}")
    for asked in (agent, sample(agent, n=2) | Plurality()):
        with pytest.raises(QuorateError, match="division") as failed:
            await asked.answer(QUESTION)
        assert (failed.value.status, failed.value.code) == (500, "misconfigured")


async def test_a_plain_pipeline_is_a_graph_of_two_nodes() -> None:
    """Named `sample` and `aggregate`, whose visits the answer tells."""
    graph = pipeline(sample(Texts("a"), n=2), Plurality(), name="vote")
    answer = await graph.answer(QUESTION)
    assert [(visit.node, dict(visit.edges)) for visit in answer.path] == [
        ("sample", {"aggregate": ""}),
        ("aggregate", {END: ""}),
    ]
    assert isinstance(answer, Answer)
