"""Mixture-of-Agents and propose-and-aggregate."""

from __future__ import annotations

import pytest

from quorate import sample
from quorate.aggregators import SelfMoA, mixture_of_agents, propose_and_aggregate
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.model import ModelBase
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.types import Failure, Message, Question
from quorate.testing import ScriptedModel

from .cases import answer_from, boxed, proposals, vote


def system(question: Question) -> str:
    return question.messages[0].text


def mixture(last: ModelBase, *inner: SamplingStage) -> Pipeline:
    return mixture_of_agents(proposals(2), last, inner=inner, fallback=vote())


async def test_without_inner_layers_it_is_self_moa() -> None:
    """The same call, word for word."""
    layered, single = ScriptedModel(), ScriptedModel()
    await answer_from(mixture_of_agents(proposals(2), layered, layers=2, fallback=vote()), boxed(1, 2))
    await answer_from(proposals(2) | SelfMoA(single, fallback=vote()), boxed(1, 2))
    assert layered.asked == single.asked


async def test_layers_between_are_like_the_first() -> None:
    """Where nothing else is said: the same models, as many answers; a layer is a node."""
    model, last = ScriptedModel(["from below"]), ScriptedModel(["the end"], name="last")
    pipeline = mixture_of_agents(proposals(4, model), last, layers=4, fallback=vote())
    assert list(pipeline.nodes) == ["sample", "layer-1", "layer-2", "aggregate"]
    answer = await answer_from(pipeline, boxed(1, 2, 3, 4))
    assert (answer.text, len(model.asked), pipeline.calls) == ("the end", 8, 4 + 8 + 1)


async def test_each_layer_reads_the_layer_before() -> None:
    """Mixed models, dealt round-robin; the last layer's answers reach the aggregator, and only they."""
    a, b = ScriptedModel(["from a"], name="a"), ScriptedModel(["from b"], name="b")
    c, last = ScriptedModel(["from c"], name="c"), ScriptedModel(["the end"], name="last")
    answer = await answer_from(mixture(last, proposals(3, a, b), proposals(2, c)), boxed(1, 2))
    assert [len(model.asked) for model in (a, b, c, last)] == [2, 1, 2, 1]
    assert "boxed{1}" in system(a.asked[0])
    assert system(c.asked[0]).count("from a") == 2
    assert system(c.asked[0]).count("from b") == 1
    assert "boxed" not in system(c.asked[0])
    assert system(last.asked[0]).count("from c") == 2
    assert "from a" not in system(last.asked[0])
    assert answer.text == "the end"
    assert {(entry.node, entry.model) for entry in answer.nodes} == {
        ("layer-1", "a"),
        ("layer-1", "b"),
        ("layer-2", "c"),
        ("aggregate", "last"),
    }


async def test_a_member_that_fails_leaves_the_rest_of_its_layer() -> None:
    """The next layer reads those that answered, and the answer names the one that did not."""
    good, bad = ScriptedModel(["fine"], name="good"), ScriptedModel([ValueError("bug")], name="bad")
    last = ScriptedModel(["the end"], name="last")
    answer = await answer_from(mixture(last, proposals(2, good, bad)), boxed(1, 2))
    assert system(last.asked[0]).count("fine") == 1
    [note] = answer.degraded
    assert (note.code, note.where) == ("member_failed", "layer-1: bad #1")
    assert note.detail == "ValueError: bug"
    assert [c.ok for c in answer.candidates] == [True, False]


async def test_a_layer_that_fails_altogether_is_left_out() -> None:
    """The aggregator then reads what that layer had read."""
    bad, last = ScriptedModel([Failure(code="boom", message="no")], name="bad"), ScriptedModel(["end"], name="last")
    answer = await answer_from(mixture(last, proposals(2, bad)), boxed(1, 2))
    assert "boxed{1}" in system(last.asked[0])
    assert answer.text == "end"
    assert [note.code for note in answer.degraded] == ["member_failed"] * 2


async def test_members_that_say_nothing_are_not_read() -> None:
    """White space is no answer."""
    silent, last = ScriptedModel([" \n", "fine"], name="m"), ScriptedModel(["the end"], name="last")
    answer = await answer_from(mixture(last, proposals(2, silent)), boxed(1, 2))
    assert system(last.asked[0]).count("Attempt ") == system(last.asked[0]).count("fine") == 1
    assert [(n.code, n.detail) for n in answer.degraded] == [("member_failed", "it gave an empty answer")]


async def test_propose_and_aggregate() -> None:
    """n aggregations in each round but the last; the prompt quotes the request and every draft."""
    model = ScriptedModel(["better"])
    pipeline = propose_and_aggregate(proposals(3), model, rounds=3, n=4, fallback=vote())
    answer = await answer_from(pipeline, boxed(1, 2, 3))
    assert len(model.asked) == 4 + 4 + 1
    [message] = model.asked[0].messages
    assert message.role == "user"
    for wanted in ("What?", "Draft 3:", "boxed{2}"):
        assert wanted in message.text
    assert "Draft 4:\nbetter" in model.asked[-1].messages[0].text
    assert (answer.text, (answer.prompt_version or "").split("@")[0]) == ("better", "aft")
    assert {c.prompt_version for c in answer.candidates} == {answer.prompt_version}


async def test_one_round_of_aggregation_is_one_call() -> None:
    """L = 1: the proposals are aggregated once."""
    model = ScriptedModel(["better"])
    await answer_from(propose_and_aggregate(proposals(2), model, rounds=1, fallback=vote()), boxed(1, 2))
    assert len(model.asked) == 1


async def test_images_of_the_question_stay_with_it() -> None:
    """Prompts that quote the question keep its other parts; after a tool's reply they come last."""
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    parts = ({"type": "text", "text": "What is this?"}, image)
    model = ScriptedModel(["a cat"])
    pipeline = propose_and_aggregate(proposals(1), model, rounds=1, fallback=vote())
    await answer_from(pipeline, boxed(1), question=Question(messages=(Message(role="user", content=parts),)))
    content = model.asked[0].messages[0].content
    assert isinstance(content, tuple)
    assert content[1] == image
    assert "What is this?" in content[0]["text"]
    after = Question.of([{"role": "user", "content": "Look it up"}, {"role": "tool", "content": "found"}])
    await answer_from(pipeline, boxed(1), question=after)
    assert [m.role for m in model.asked[1].messages] == ["user", "tool", "user"]


def test_impossible_layers() -> None:
    """Each mistake names its parameter."""
    model = ScriptedModel()
    with pytest.raises(BadInput, match="at least one model"):
        mixture_of_agents(proposals(1), model, inner=[sample([], n=1)])
    with pytest.raises(BadInput, match="n=0"):
        mixture_of_agents(proposals(1), model, inner=[sample(model, n=0)])
    with pytest.raises(BadInput, match="layers=1"):
        mixture_of_agents(proposals(1), model, layers=1)
    with pytest.raises(BadInput, match="rounds=0"):
        propose_and_aggregate(proposals(1), model, rounds=0)
    with pytest.raises(BadInput, match="n=0"):
        propose_and_aggregate(proposals(1), model, n=0)


async def test_closing_closes_every_model_once() -> None:
    """Also those of inner layers."""
    closed: list[str] = []

    class Closing(ScriptedModel):
        async def aclose(self) -> None:
            closed.append(self.name)

    a, b = Closing(name="a"), Closing(name="b")
    await mixture(a, proposals(2, a, b)).aclose()
    assert sorted(closed) == ["a", "b"]


async def test_a_pipeline_can_be_a_member_of_a_layer() -> None:
    """A vote among the proposers of a layer: asked once a member, booked under the layer."""
    inner = ScriptedModel(["\\boxed{5}"], name="inner")
    team = sample(inner, n=3) | vote()
    last = ScriptedModel(["the end"], name="last")
    answer = await answer_from(mixture(last, proposals(2, team)), boxed(1, 2))
    assert len(inner.asked) == 6
    assert system(last.asked[0]).count("boxed{5}") == 2
    assert [(entry.node, entry.model) for entry in answer.nodes] == [("layer-1", "inner"), ("aggregate", "last")]


async def test_another_model_takes_the_place_of_every_one_of_a_graph() -> None:
    """In all layers, and as the aggregator."""
    model, other, last = ScriptedModel(name="m"), ScriptedModel(name="other"), ScriptedModel(name="last")
    mixed = mixture_of_agents(proposals(2, model), last, fallback=vote()).map_models(lambda _: other)
    await mixed.answer("?")
    assert [len(m.asked) for m in (model, other, last)] == [0, 5, 0]
    proposed = propose_and_aggregate(proposals(2, model), last, fallback=vote()).map_models(lambda _: other)
    await proposed.answer("?")
    assert [len(m.asked) for m in (model, other, last)] == [0, 10, 0]
