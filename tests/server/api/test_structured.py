"""Tool calls and JSON documents, voted on: the official client, our server and an upstream over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from quorate.agents.endpoint import Endpoint
from quorate.testing import Reply, ScriptedUpstream
from quorate.testing.upstream import Received

from ..conftest import Serving, Start, asked

TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}

CALLS = [
    '{"city":"Oslo","days":2}',
    '{"city":"Bergen","days":2}',
    '{ "days": 2.0, "city": "Oslo" }',
    '{"city":"Oslo"',
    '{"days":2,"city":"Oslo"}',
]


def calling(arguments: str, identity: str) -> Reply:
    function = {"name": "weather", "arguments": arguments}
    call = {"id": identity, "type": "function", "function": function}
    return Reply("", tool_calls=[call], finish_reason="tool_calls", usage=(5, 4))


def single(replies: Sequence[Reply]) -> ScriptedUpstream:
    """An upstream that gives one sample a request, so that samples can differ in their tool calls."""
    return ScriptedUpstream(replies, models=["m"], refuses=["n"])


async def ask(served: Serving, name: str, stream: bool, **extra: Any) -> ChatCompletion:
    """The completion, put together by the client's own library where it is streamed."""
    body = asked("How is the weather?") | {"model": name, "seed": 1, **extra}
    if not stream:
        reply: ChatCompletion = await served.openai.chat.completions.create(**body)
        return reply
    async with served.openai.chat.completions.stream(**body) as events:
        return await events.get_final_completion()


STREAMED = pytest.mark.parametrize("stream", [False, True])


@STREAMED
@pytest.mark.parametrize("pipeline", ["majority@5", "tool-vote@5"])
async def test_voted_tool_calls_come_back_as_openais(start: Start, pipeline: str, stream: bool) -> None:
    """The call that most samples make, with the id and the spelling of one of them; the malformed abstains."""
    replies = [calling(arguments, f"call_{i}") for i, arguments in enumerate(CALLS)]
    async with single(replies) as upstream, start(Endpoint("m", base_url=upstream.url)) as served:
        reply = await ask(served, f"{pipeline}/m", stream, tools=[TOOL])
        sent = upstream.requests[-1].body
    [choice] = reply.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    [call] = choice.message.tool_calls
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"city": "Oslo", "days": 2}
    assert CALLS[int(call.id.removeprefix("call_"))] == call.function.arguments
    assert not choice.message.content
    assert sent["tools"] == [TOOL]
    if not stream:
        assert reply.model_extra is not None
        told = reply.model_extra["quorate"]
        assert told["answer"] == '[{"name":"weather","arguments":{"city":"Oslo","days":2}}]'
        assert [cluster["votes"] for cluster in told["tally"]] == [3, 1]


@STREAMED
async def test_a_vote_for_no_call_is_text(start: Start, stream: bool) -> None:
    """With tools at hand, three texts against one call: the text that most agree on, and no call."""
    texts = [Reply("It is #### 4"), Reply("#### 5"), Reply("So it is #### 4")]
    async with single([calling(CALLS[0], "c"), *texts]) as upstream, start(Endpoint("m", base_url=upstream.url)) as up:
        reply = await ask(up, "majority@4/m", stream, tools=[TOOL])
    [choice] = reply.choices
    assert choice.finish_reason == "stop"
    assert choice.message.content == "It is #### 4"
    assert not choice.message.tool_calls


async def test_sampling_stops_once_the_calls_agree(start: Start) -> None:
    """Adaptive-Consistency counts calls by value: four equal ones of sixteen are enough."""
    good = [CALLS[0], CALLS[2], CALLS[4], CALLS[0]]
    replies = [calling(arguments, f"call_{i}") for i, arguments in enumerate(good)]
    async with single(replies) as upstream, start(Endpoint("m", base_url=upstream.url)) as served:
        reply = await ask(served, "adaptive-consistency@16/m", False, tools=[TOOL])
    assert reply.choices[0].message.tool_calls
    assert reply.model_extra is not None
    assert reply.model_extra["quorate"]["stopped"].startswith("adaptive consistency: 4 to 0")


DOCUMENTS = [
    '{"name": "Ann", "age": 30}',
    '{"age": 30.0, "name": "Ann"}',
    '{"name": "Ann"}',
    '{"name": "Ann"}',
    '{"name": "Ann"}',
    "Ann, 30",
    '{"name": "Bo", "age": 30}',
]


@STREAMED
@pytest.mark.parametrize("pipeline", ["majority@7", "json-vote@7", "json-fields@7"])
async def test_voted_documents_fit_the_schema(start: Start, pipeline: str, stream: bool) -> None:
    """What most of those say that fit the caller's schema, as JSON that can be parsed."""
    async with (
        ScriptedUpstream(Reply(DOCUMENTS), models=["m"]) as upstream,
        start(Endpoint("m", base_url=upstream.url)) as served,
    ):
        reply = await ask(served, f"{pipeline}/m", stream, response_format=FORMAT)
        sent = upstream.requests[-1].body
    [choice] = reply.choices
    assert choice.message.content is not None
    assert json.loads(choice.message.content) == {"name": "Ann", "age": 30}
    assert choice.finish_reason == "stop"
    assert sent["response_format"] == FORMAT
    if not stream:
        assert reply.model_extra is not None
        assert reply.model_extra["quorate"]["answer"] == '{"age":30,"name":"Ann"}'
        assert [cluster["votes"] for cluster in reply.model_extra["quorate"]["tally"]] == [2, 1]


@STREAMED
async def test_a_schema_that_the_upstream_ignores_is_told_to_its_model(start: Start, stream: bool) -> None:
    """A strict one: in the question, once; what has been streamed is marked instead."""
    replies = [Reply("Ann is 30."), Reply('{"name":"Ann","age":30}')]
    async with single(replies) as upstream, start(Endpoint("m", base_url=upstream.url)) as served:
        reply = await ask(served, "m", stream, response_format=FORMAT)
        assert len(upstream.requests) == (1 if stream else 2)
    content = reply.choices[0].message.content
    assert content == ("Ann is 30." if stream else '{"name":"Ann","age":30}')
    if not stream:
        assert reply.model_extra is not None
        assert reply.model_extra["quorate"]["degraded"] == []


async def test_a_document_assembled_from_fields(start: Start) -> None:
    """No two samples agree, yet each field has its majority; the client parses a document that nobody wrote."""
    texts = ['{"name":"Ann","age":1}', '{"name":"Ann","age":2}', '{"name":"Bo","age":2}']
    async with (
        ScriptedUpstream(Reply(texts), models=["m"]) as upstream,
        start(Endpoint("m", base_url=upstream.url)) as served,
    ):
        reply = await ask(served, "json-fields@3/m", False, response_format=FORMAT)
    assert json.loads(reply.choices[0].message.content or "") == {"name": "Ann", "age": 2}


BOUNDED = {
    "type": "object",
    "properties": {"rolls": {"type": "integer", "minimum": 0, "maximum": 999}, "left": {"type": "boolean"}},
    "required": ["rolls", "left"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(("name", "stream"), [("safe", True), ("majority@2/safe", False)])
async def test_models_that_write_together_hold_to_a_schema(start: Start, name: str, stream: bool) -> None:
    """Small models in this process, which know no JSON: a document that fits, streamed and voted on, too."""
    pytest.importorskip("torch")
    pytest.importorskip("llguidance")
    from quorate.agents import Embedded

    asked_for = {"type": "json_schema", "json_schema": {"name": "rolls", "schema": BOUNDED, "strict": True}}
    one, other = "quorate-tiny-product", "quorate-tiny-sum"
    async with start(Embedded(one), Embedded(other)) as served:
        body = asked("A bakery bakes 7 trays of 12 rolls each. It sells 30. How many rolls are left?")
        more = {"messages": body["messages"], "response_format": asked_for}
        reply = await ask(served, f"{name}/{one}+{other}", stream, **more)
        wrong = {"type": "json_schema", "json_schema": {"name": "rolls", "schema": {"type": "rolls"}}}
        refused = await served.post(**{**more, "model": f"safe/{one}", "response_format": wrong})
    [choice] = reply.choices
    assert choice.finish_reason == "stop"
    document = json.loads(choice.message.content or "")
    assert sorted(document) == ["left", "rolls"]
    assert 0 <= document["rolls"] <= 999
    assert refused.status_code == 400
    assert "Invalid type: rolls" in refused.json()["error"]["message"]


async def test_a_conversation_goes_on_after_a_voted_call(start: Start) -> None:
    """The voted call can be sent back with its result, and the next answer is voted on as text."""

    def step(request: Received) -> Reply:
        done = request.body["messages"][-1]["role"] == "tool"
        return Reply(["It rains. #### 3", "#### 3", "#### 2"]) if done else calling(CALLS[0], "call_x")

    script: Callable[[Received], Reply] = step
    async with (
        ScriptedUpstream(script, models=["m"]) as upstream,
        start(Endpoint("m", base_url=upstream.url)) as served,
    ):
        first = await ask(served, "majority@3/m", False, tools=[TOOL])
        message = first.choices[0].message.model_dump(exclude_none=True)
        messages = [
            {"role": "user", "content": "How is the weather?"},
            message,
            {"role": "tool", "tool_call_id": "call_x", "content": "rain, 3 degrees"},
        ]
        second = await ask(served, "majority@3/m", False, tools=[TOOL], messages=messages)
    assert second.choices[0].message.content == "#### 3"
    assert not second.choices[0].message.tool_calls
