"""An aggregator that acts: advisers without tools, and one model that alone calls them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from quorate.aggregators.panels.acting import advisory_messages
from quorate.aggregators.registry import build_pipeline
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Failure, Message, Question, SamplingParams
from quorate.orchestrator.usage import Usage
from quorate.testing import ScriptedModel

LOST = Failure(code="boom", message="no luck", status=503)
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks it up.", "parameters": {}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
LOOP = (
    Message(role="system", content="You are an agent."),
    Message(role="user", content="Find it."),
    Message(role="assistant", content="I look.", tool_calls=[CALL]),
    Message(role="tool", content="SECRET RESULT", tool_call_id="c1"),
)


class Actor(Agent):
    """Calls the tool, or says what it is told to."""

    def __init__(self, say: str | Failure | None = None) -> None:
        self.name, self.say = "actor", say
        self.asked: list[Question] = []

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        for slot in slots:
            self.asked.append(question)
            slot.start(self.name, self.name)
            if isinstance(self.say, Failure):
                slot.fail(self.say)
            elif self.say is None:
                usage = Usage(completion_tokens=3, requests=1)
                slot.finish("tool_calls", usage, text="", tool_calls=(CALL,))
            else:
                slot.finish("stop", Usage(completion_tokens=1, requests=1), text=self.say)


def agent_question(messages: Sequence[Message] = LOOP) -> Question:
    extra = {"parallel_tool_calls": False}
    return Question(
        messages=tuple(messages), tools=(TOOL,), tool_choice="auto", sampling=SamplingParams(seed=1, extra=extra)
    )


@pytest.mark.parametrize("name", ["act", "fusion"])
async def test_only_the_actor_has_tools_and_sees_results(name: str) -> None:
    """The advisers have the texts alone, with the names of the tools; the actor has all of it and the advice."""
    advisers = [ScriptedModel(["Look at 2 next."], name="a"), ScriptedModel(["Stop looking."], name="b")]
    actor = Actor()
    answer = await build_pipeline(name, advisers, n=2, aggregator_model=actor).answer(agent_question())
    assert answer.tool_calls == (CALL,)
    assert answer.finish_reason == "tool_calls"
    for adviser in advisers:
        [asked] = adviser.asked
        assert asked.tools == ()
        assert asked.tool_choice is None
        assert "parallel_tool_calls" not in asked.sampling.extra
        words = json.dumps([m.model_dump() for m in asked.messages])
        assert "SECRET" not in words
        assert "tool_call" not in words
        assert "look: Looks it up." in asked.messages[0].text
        assert [m.role for m in asked.messages] == ["system", "user", "assistant", "user"]
    acted = actor.asked[-1]
    assert acted.tools == (TOOL,)
    assert acted.messages[1:] == LOOP[1:]
    assert "Look at 2 next." in acted.messages[0].text
    assert acted.messages[0].text.startswith("You are an agent.")
    assert acted.sampling.extra == {"parallel_tool_calls": False}


async def test_advisers_may_be_told_what_came_of_calls() -> None:
    """As text, where `show_results` says so."""
    adviser = ScriptedModel(["Good."], name="a")
    await build_pipeline("act", [adviser], n=1, aggregator_model=Actor(), options={"show_results": True}).answer(
        agent_question()
    )
    words = adviser.asked[0].messages[-2].text
    assert 'look({"at": 1})' in words
    assert "SECRET RESULT" in words


async def test_without_advisers_it_acts_alone() -> None:
    """All lost: they are named, and the agent goes on."""
    actor = Actor()
    answer = await build_pipeline("act", [ScriptedModel([LOST], name="a")], n=2, aggregator_model=actor).answer(
        agent_question()
    )
    assert answer.tool_calls == (CALL,)
    assert actor.asked[0].messages == LOOP
    assert [note.code for note in answer.degraded] == ["candidate_failed"] * 2


@pytest.mark.parametrize("say", [LOST, " "])
async def test_advice_is_never_the_answer(say: Any) -> None:
    """Where the actor is lost there is an error: no call is made up, and none comes twice."""
    with pytest.raises(NoAnswer):
        await build_pipeline("act", [ScriptedModel(["Look."], name="a")], n=2, aggregator_model=Actor(say)).answer(
            agent_question()
        )


async def test_a_lost_analyst_leaves_the_actor_its_advice() -> None:
    """In `fusion` with tools the medoid of advice is no answer."""
    actor = Actor()
    advisers = [ScriptedModel(["Look."], name="a"), ScriptedModel(["Stop."], name="b")]
    answer = await build_pipeline("fusion", advisers, n=2, aggregator_model=actor).answer(agent_question())
    assert answer.tool_calls == (CALL,)
    assert [note.code for note in answer.degraded] == ["analysis_missing"]


async def test_without_tools_it_is_self_moa() -> None:
    """The panel is asked the question itself, and the vote stands in."""
    a = ScriptedModel(["\\boxed{4}"], name="a")
    fine = await build_pipeline("act", [a], n=2, aggregator_model=Actor("\\boxed{4}, all say")).answer("2 + 2?", seed=1)
    assert (fine.answer, a.asked[0].messages[0].text) == ("4", "2 + 2?")
    lost = await build_pipeline("act", [a], n=2, aggregator_model=Actor(LOST)).answer("2 + 2?", seed=1)
    assert (lost.answer, lost.degraded[0].code) == ("4", "aggregator_failed")


def test_advisers_read_turns_that_alternate() -> None:
    """Several messages of one side in a row are one, images stay, and the last word is the user's."""
    picture = ({"type": "image_url", "image_url": {"url": "data:,"}},)
    messages = [
        *LOOP,
        Message(role="assistant", content="And then?"),
        Message(role="user", content="a"),
        Message(role="user", content="b"),
        Message(role="user", content=picture),
    ]
    read = advisory_messages(Question(messages=tuple(messages)), "advise")
    assert [m.role for m in read] == ["system", "user", "assistant", "user", "user"]
    assert read[2].text == "I look.\n\nAnd then?"
    assert read[3].text == "a\n\nb"
    assert read[4].content == picture


def twenty_turns(reads: Callable[[Question], int]) -> Actor:
    """An agent that calls twenty times, a place further each time, then answers."""

    class Walker(Actor):
        async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
            seen = reads(question)
            self.say = "done" if seen == 20 else None
            call = {
                "id": f"c{seen}",
                "type": "function",
                "function": {"name": "look", "arguments": f'{{"at": {seen}}}'},
            }
            for slot in slots:
                slot.start(self.name, self.name)
                if seen == 20:
                    slot.finish("stop", Usage(completion_tokens=1, requests=1), text="done")
                else:
                    slot.finish("tool_calls", Usage(completion_tokens=1, requests=1), tool_calls=(call,))

    return Walker()


async def test_a_loop_of_twenty_turns() -> None:
    """No call is lost, none comes twice, and the advisers are asked at every turn."""
    adviser = ScriptedModel(["Go on."], name="a")
    actor = twenty_turns(lambda q: sum(m.role == "tool" for m in q.messages))
    pipeline = build_pipeline("act", [adviser], n=2, aggregator_model=actor)
    messages, made = list(LOOP[:2]), []
    for _ in range(30):
        answer = await pipeline.answer(agent_question(messages))
        if not answer.tool_calls:
            break
        made += [json.loads(call["function"]["arguments"])["at"] for call in answer.tool_calls]
        messages.append(Message(role="assistant", content=None, tool_calls=answer.tool_calls))
        messages.append(Message(role="tool", content="ok", tool_call_id=answer.tool_calls[0]["id"]))
    assert made == list(range(20))
    assert answer.text == "done"
    assert len(adviser.asked) == 42
