"""What goes wrong in the code and the calls of users: one error that says what, where and the fix, and nothing lost."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from quorate import (
    Aggregator,
    Answer,
    Endpoint,
    MajorityVote,
    Message,
    ModelBase,
    Pool,
    Question,
    RunContext,
    Sampled,
    SamplingParams,
    SelfMoA,
    prompted,
    route,
    sample,
)
from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.errors import BadGraph, BadInput, Misconfigured, NoAnswer, NodeCrashed, QuorateError
from quorate.orchestrator.events import Event
from quorate.orchestrator.graph import Graph
from quorate.orchestrator.nodes import ModelNode, SampleNode
from quorate.orchestrator.progress import SamplingProgress
from quorate.orchestrator.state import END, START, Edge, State

from .fakes import First, Plurality, Texts


class Own(Aggregator):
    """An aggregator that gives what it is told, or raises it."""

    name = "own"

    def __init__(self, gives: Any) -> None:
        self.gives = gives

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives  # type: ignore[no-any-return]


async def test_an_aggregator_that_raises_is_named_and_loses_no_sample() -> None:
    """The error has the candidates, and another aggregator can still make an answer of them."""
    error = KeyError("votes")
    with pytest.raises(NodeCrashed, match=r"own@3/texts: node 'aggregate' raised KeyError\('votes'\)") as caught:
        await (sample(Texts("a", "b", "b"), n=3) | Own(error)).answer("?")
    assert caught.value.__cause__ is error
    assert [c.text for c in caught.value.sampled.good] == ["a", "b", "b"]
    again = await First().aggregate(Question.of("?"), caught.value.sampled, RunContext())
    assert again.text == "a"


@pytest.mark.parametrize("gives", [None, "42"])
async def test_an_aggregator_that_gives_no_answer_is_told_what_to_give(gives: object) -> None:
    """Not that something has no attribute."""
    with pytest.raises(NodeCrashed, match=rf"own gave {gives!r}: give an Answer, such as Answer.of\(candidate\)"):
        await (sample(Texts("a"), n=2) | Own(gives)).answer("?")


async def test_a_node_that_raises_leads_to_its_fallback_all_the_same() -> None:
    """Also where it is nested."""
    nested = sample(Texts("a"), n=2) | Own(ValueError("x"))
    nodes = [ModelNode("a", nested, fallback="b"), ModelNode("b", Texts("stood in"))]
    answer = await Graph(nodes, [Edge(START, "a"), Edge("a", END), Edge("b", END)], name="g").answer("?")
    assert (answer.text, [note.code for note in answer.degraded]) == ("stood in", ["node_failed"])


async def test_a_choice_that_raises_is_told_with_its_node() -> None:
    """As a condition is."""
    with pytest.raises(NodeCrashed, match=r"route/a\+b: node 'route' raised ZeroDivisionError"):
        await route(lambda _: 1 // 0, Texts("x", name="a"), Texts("y", name="b")).answer("?")


class Reads:
    """An extractor and an equivalence of a user's own, neither of which works."""

    def extract(self, text: str) -> str | None:
        return 3 if text == "number" else text[len(text) + 5]  # type: ignore[return-value]

    async def classes(self, answers: Sequence[str]) -> list[int]:
        raise ValueError("no classes")

    def __repr__(self) -> str:
        return "Reads()"


async def test_an_extractor_that_fails_is_named() -> None:
    """It is not the model's fault, and a sample that it can read has its vote."""
    for text, says in (("a", "raised IndexError"), ("number", "gave 3: give a text, or None")):
        with pytest.raises(NoAnswer, match=rf"the extractor Reads\(\) {says}"):
            await (sample(Texts(text), n=2) | MajorityVote(extractor=Reads())).answer("?")


async def test_votes_that_cannot_be_counted_lose_no_sample() -> None:
    """The error has the candidates."""
    with pytest.raises(NodeCrashed, match=r"sample: counting the votes raised ValueError\('no classes'\)") as caught:
        await (sample(Texts("is 1", "is 2"), n=2) | MajorityVote(equivalence=Reads())).answer("?")
    assert [c.text for c in caught.value.sampled.candidates] == ["is 1", "is 2"]


class Late:
    """An asynchronous function that does not look like one."""

    async def __call__(self, state: State) -> bool:
        return bool(state.visits)


async def test_a_condition_that_turns_out_async_is_refused() -> None:
    """A coroutine would always be true, and nobody would wait for it."""
    edges = [Edge(START, "s"), Edge("s", "v", Late()), Edge("v", END)]  # type: ignore[arg-type]
    graph = Graph([SampleNode("s", sample(Texts("a"))), AggregateNode("v", First())], edges, name="g")
    with pytest.raises(Misconfigured, match=r"edge s -> v raised TypeError\('it is async"):
        await graph.answer("?")


class Rule:
    """A stopping rule that says what it is told."""

    def __init__(self, says: Callable[[], Any]) -> None:
        self.says = says

    def stop(self, progress: SamplingProgress) -> str | None:
        return self.says()  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return "Rule()"


async def test_a_condition_and_a_rule_that_raise_lose_no_sample() -> None:
    """The error has the candidates that there were."""
    nodes = [SampleNode("s", sample(Texts("a", "b"), n=2)), AggregateNode("v", First())]
    graph = Graph(nodes, [Edge(START, "s"), Edge("s", "v", lambda _: bool(1 // 0)), Edge("v", END)], name="g")
    ruled = sample(Texts("a", "b"), n=2, stop=Rule(lambda: 1 // 0), wave=2) | First()
    for model, texts in ((graph, ["a", "b"]), (ruled, ["a"])):
        with pytest.raises(Misconfigured, match="raised ZeroDivisionError") as caught:
            await model.answer("?")
        assert [c.text for c in caught.value.sampled.good] == texts


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (Rule(lambda: 1 // 0), r"sample: the stopping rule Rule\(\) raised ZeroDivisionError"),
        (Rule(lambda: True), r"sample: the stopping rule Rule\(\) gave True: give a text or None"),
    ],
)
async def test_a_stopping_rule_that_fails_is_named(rule: Rule, says: str) -> None:
    """With the stage that asked it."""
    with pytest.raises(Misconfigured, match=says):
        await (sample(Texts("a"), n=4, stop=rule) | Plurality()).answer("?")


async def test_an_observer_that_raises_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The run that it looked at goes on, and it is said once why no more is told."""
    seen: list[Event] = []

    def look(event: Event) -> None:
        seen.append(event)
        raise ValueError("display gone")

    async def wait(event: Event) -> None:
        seen.append(event)

    for observer, why in ((look, "ValueError: display gone"), (wait, "TypeError: an observer cannot be async")):
        caplog.clear()
        with caplog.at_level(logging.ERROR, "quorate"):
            answer = await (sample(Texts("a"), n=2) | Plurality()).answer("?", RunContext(emit=observer))  # type: ignore[arg-type]
        assert answer.text == "a"
        assert [why in record.exc_text for record in caplog.records if record.exc_text] == [True]
    assert len(seen) == 1


class Unnamed(ModelBase):
    """A model of a user's own that has no name and no idea of what an answer is."""

    async def _answer(self, question: Question, run: RunContext) -> Answer:
        return question.text  # type: ignore[return-value]


async def test_a_model_without_a_name_is_called_by_its_class() -> None:
    """And told what it should have given, alone as well as in a vote."""
    with pytest.raises(Misconfigured, match="unnamed gave '7': its _answer has to give an Answer"):
        await Unnamed().answer("7")
    answer = await (sample([Unnamed(), Texts("a")], n=2) | Plurality()).answer("7")
    assert [c.error.message for c in answer.candidates if c.error] == [
        "unnamed gave '7': its _answer has to give an Answer"
    ]


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (None, "None is no question: give a text, a list of chat messages or a Question"),
        (b"Why?", "b'Why\\?' is no question"),
        ({"role": "user", "content": "Why?"}, "is no question"),
        (Message(role="user", content="Why?"), "is no question"),
        (["Why?"], "messages.0: 'Why\\?' is no message, as {'role': 'user'"),
        ([{"role": "user", "content": "a"}, {"content": "b"}], "messages.1.role: is missing"),
        ([{"role": "user", "content": 5}], "messages.0.content"),
    ],
)
async def test_what_is_no_question_is_refused_in_our_words(question: Any, says: str) -> None:
    """Before anything is asked."""
    model = Texts("a")
    with pytest.raises(BadInput, match=says):
        await model.answer(question)
    assert not model.asked


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"seed": "1"}, "seed='1': give a whole number"),
        ({"budget": 5}, r"budget=5: give Budget\(...\)"),
        ({"checkpoints": "runs.sqlite"}, r"checkpoints='runs.sqlite': give Checkpoints\(...\), opened by 'async with'"),
        ({"run": 5}, r"answer\(run=5\): give a RunContext"),
    ],
)
async def test_wrong_settings_of_a_call_are_named(settings: dict[str, Any], says: str) -> None:
    """Not that an int has no attribute."""
    with pytest.raises(BadInput, match=says):
        await Texts("a").answer("?", **settings)


URL = "http://localhost:1/v1"


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: sample(Texts("x")) | SelfMoA("gpt"), "SelfMoA: 'gpt' is no model"),  # type: ignore[arg-type]
        (lambda: MajorityVote(len), "MajorityVote: <built-in function len> has no method 'extract'"),  # type: ignore[arg-type]
        (lambda: Pool(Texts("x")), "Pool: give two or more models"),  # type: ignore[arg-type]
        (lambda: Pool(["a", "b"]), "Pool: 'a' is no model"),  # type: ignore[list-item]
        (lambda: prompted("a", system="b"), r"prompted\(\): 'a' is no model"),  # type: ignore[arg-type]
        (lambda: prompted(Texts("x"), 5), r"prompted\(template\)=5: give a text"),  # type: ignore[arg-type]
        (lambda: prompted(Texts("x"), system=5), r"prompted\(system\)=5: give a text"),  # type: ignore[arg-type]
        (lambda: prompted(Texts("x"), sampling={"seed": 1}), r"prompted\(sampling\)=.*: give SamplingParams\(...\)"),  # type: ignore[arg-type]
        (lambda: prompted(Texts("x"), "Think. {question}"), "the template asks nothing: write {{ question }}"),
        (lambda: Endpoint("m", base_url=URL, retries=3), r"retries=3: give RetryPolicy\(...\)"),  # type: ignore[arg-type]
        (lambda: Endpoint("m", base_url=URL, timeouts=3), r"timeouts=3: give Timeouts\(...\)"),  # type: ignore[arg-type]
        (lambda: Endpoint("m", base_url=URL, sampling={"seed": 1}), r"sampling=.*: give SamplingParams\(...\)"),  # type: ignore[arg-type]
        (lambda: SamplingParams(temperature=float("inf")), r"SamplingParams\(temperature\): should be a finite number"),
        (lambda: SamplingParams(0.7), r"SamplingParams\(...\): give each field by its name; there is: temperature"),  # type: ignore[call-arg]
        (lambda: sample(Texts("x"), n=10**15) | Plurality(), "could take 1000000000000000 answers"),
    ],
)
def test_wrong_parts_are_refused_when_they_are_built(build: Callable[[], object], says: str) -> None:
    """Each by its name, at once, however large it is."""
    with pytest.raises((BadInput, BadGraph), match=says):
        build()


def test_what_an_aggregator_lacks_is_named() -> None:
    """One that is derived from the base but has no name is told so."""

    class Nameless(Aggregator):
        async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
            raise QuorateError

    with pytest.raises(BadInput, match=r"is not an aggregator .*; it has no 'name'"):
        sample(Texts("x")) | Nameless()  # type: ignore[abstract]


def test_a_model_with_connections_cannot_be_pickled_and_says_why() -> None:
    """It is not the fault of some lambda."""
    pipeline = sample(Endpoint("m", base_url=URL), n=2) | Plurality()
    with pytest.raises(TypeError, match=r"the connections to .* cannot be pickled: make the model in the process"):
        pickle.dumps(pipeline)
