"""The Responses API, through the official client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseReasoningItem
from pydantic import BaseModel

from quorate.agents.endpoint import Endpoint
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.types import Candidate, Failure
from quorate.testing import Fault, Reply, ScriptedUpstream

from ..conftest import Serving, Start
from ..scripted import Echo, Merged, Plurality

TOOL: Any = {
    "type": "function",
    "name": "weather",
    "description": "How it is",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}


async def events_of(served: Serving, **body: Any) -> list[dict[str, Any]]:
    """The stream's events as they are sent; each names its type twice and they are numbered from 0."""
    body = {"model": "echo", "input": "hello there", "stream": True, **body}
    async with served.http.stream("POST", "/v1/responses", json=body) as reply:
        assert reply.status_code == 200
        lines = [line async for line in reply.aiter_lines() if line]
    names, data = lines[::2], [json.loads(line.removeprefix("data: ")) for line in lines[1::2]]
    assert names == [f"event: {event['type']}" for event in data]
    assert [event["sequence_number"] for event in data] == list(range(len(data)))
    return data


async def test_text_in_text_out(start: Start) -> None:
    """The client's `output_text`, usage in this API's words, and our own object."""
    async with start(Echo()) as served:
        reply = await served.openai.responses.create(
            model="echo", input="one two", instructions="be nice", max_output_tokens=9, temperature=0.5
        )
    assert reply.output_text == "one two"
    assert (reply.status, reply.object, reply.error) == ("completed", "response", None)
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.total_tokens) == (3, 2, 5)
    assert (reply.instructions, reply.max_output_tokens, reply.temperature) == ("be nice", 9, 0.5)
    assert (reply.model_extra or {})["quorate"]["usage"]["nodes"][0]["node"] == "answer"
    assert (reply.model_extra or {})["store"] is False


async def test_settings_reach_the_model(start: Start) -> None:
    """In the words that models know; what is of this API alone, or the caller's, stays."""
    model = Echo()
    async with start(model) as served:
        await served.openai.responses.create(
            model="echo",
            input="x",
            instructions="sys",
            max_output_tokens=7,
            top_p=0.9,
            tools=[TOOL],
            tool_choice={"type": "function", "name": "weather"},
            parallel_tool_calls=False,
            reasoning={"effort": "low"},
            text={"format": {"type": "json_schema", "name": "p", "schema": {"type": "object"}, "strict": True}},
            store=True,
            truncation="auto",
            metadata={"a": "b"},
            extra_body={"seed": 4, "stop": "x", "min_p": 0.2, "n": 3, "service_tier": "flex"},
        )
    question = model.questions[0]
    assert [(m.role, m.content) for m in question.messages] == [("system", "sys"), ("user", "x")]
    assert question.tools == ({"type": "function", "function": {k: v for k, v in TOOL.items() if k != "type"}},)
    assert question.tool_choice == {"type": "function", "function": {"name": "weather"}}
    described = {"name": "p", "schema": {"type": "object"}, "strict": True}
    assert question.response_format == {"type": "json_schema", "json_schema": described}
    assert question.sampling.model_dump(exclude_none=True) == {
        "top_p": 0.9,
        "max_tokens": 7,
        "stop": ("x",),
        "seed": 4,
        "extra": {"parallel_tool_calls": False, "reasoning_effort": "low", "min_p": 0.2},
    }


async def test_items_become_a_conversation(start: Start) -> None:
    """Messages, images, calls and their outputs; calls of one turn are one message; thoughts are left out."""
    model = Echo(say=lambda *_: "fine")
    image: Any = {"type": "input_image", "image_url": "data:,x", "detail": "low"}
    given: Any = [
        {"role": "developer", "content": "sys"},
        {"role": "user", "content": [{"type": "input_text", "text": "what?"}, image]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "item_reference", "id": "rs_2"},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
        {"role": "assistant", "content": "well"},
    ]
    async with start(model) as served:
        await served.openai.responses.create(model="echo", input=given)
    messages = [m.model_dump(mode="json", exclude_unset=True) for m in model.questions[0].messages]
    calls = [{"id": i, "type": "function", "function": {"name": n, "arguments": "{}"}} for i, n in ("af", "bg")]
    picture = {"type": "image_url", "image_url": {"url": "data:,x", "detail": "low"}}
    assert messages == [
        {"role": "system", "content": "sys"},
        {"role": "user", "content": [{"type": "text", "text": "what?"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "assistant", "content": "well"},
    ]


async def test_output_can_be_sent_back(start: Start) -> None:
    """A reply's items are input of the next request, as agents do it."""
    model = Echo(say=lambda q, _: Candidate(index=0, model="", tool_calls=(CALL,), finish_reason="tool_calls"))
    async with start(model) as served:
        first = await served.openai.responses.create(model="echo", input="x", tools=[TOOL])
        model.say = lambda q, _: "it rains"
        items = [item.model_dump(exclude_none=True) for item in first.output]
        output = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
        again: Any = [{"role": "user", "content": "x"}, *items, output]
        second = await served.openai.responses.create(model="echo", input=again, tools=[TOOL])
    [call] = first.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.call_id, call.name, call.arguments) == ("call_1", "weather", '{"city":"Oslo"}')
    assert second.output_text == "it rains"
    assert [m.role for m in model.questions[1].messages] == ["user", "assistant", "tool"]


async def test_a_streamed_synthesis_is_a_typed_sequence(start: Start) -> None:
    """The whole sequence: progress and thinking as reasoning summaries, then the text as it is written."""
    model = Echo(say=lambda _, index: f"t{index}")
    async with start(model, pipelines={"fused": sample(model, n=2) | Merged()}) as served:
        events = await events_of(served, model="fused")
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    last = events[-1]["response"]
    assert [item["type"] for item in last["output"]] == ["reasoning", "message"]
    assert [part["text"] for part in last["output"][0]["summary"]] == ["1/2 sampled\n2/2 sampled\n", "hm"]
    assert last["output"][1]["content"][0]["text"] == "t0+t1"
    assert (last["usage"]["input_tokens"], last["quorate"]["usage"]["prompt_tokens"]) == (13, 13)


async def test_the_client_puts_a_stream_together(start: Start) -> None:
    """Its helper follows every event, and its final response is the streamed one."""
    texts = ["42", "41", "42", "42"]
    model = Echo(say=lambda _, index: texts[index])
    async with (
        start(model, pipelines={"vote": sample(model, n=4) | Plurality()}) as served,
        served.openai.responses.stream(model="vote", input="x") as stream,
    ):
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text == "42"
    assert final.usage is not None
    assert final.usage.output_tokens == 4
    reasoning, message = final.output
    assert isinstance(reasoning, ResponseReasoningItem)
    assert isinstance(message, ResponseOutputMessage)
    assert reasoning.summary[0].text.splitlines()[-1] == "4/4 sampled: 42 x3, 41 x1"


async def test_calls_stream(start: Start) -> None:
    """A function's call is an item with its arguments; one that came without an id gets one."""
    model = Echo(
        say=lambda *_: Candidate(index=0, model="", tool_calls=(CALL, {**CALL, "id": ""}), finish_reason="tool_calls")
    )
    async with (
        start(model) as served,
        served.openai.responses.stream(model="echo", input="x", tools=[TOOL]) as stream,
    ):
        final = await stream.get_final_response()
    assert [item.type for item in final.output] == ["function_call", "function_call"]
    assert isinstance(final.output[1], ResponseFunctionToolCall)
    assert final.output[1].arguments == '{"city":"Oslo"}'
    assert final.output[1].call_id.startswith("call_")


class Person(BaseModel):
    name: str
    age: int


async def test_structured_output_is_parsed(start: Start) -> None:
    """`responses.parse` with a pydantic model, voted on over an upstream."""
    documents = ['{"name": "Ann", "age": 30}', '{"age": 30, "name": "Ann"}', '{"name": "Bo", "age": 3}']
    async with (
        ScriptedUpstream(Reply(documents), models=["m"]) as up,
        start(Endpoint("m", base_url=up.url)) as served,
    ):
        reply = await served.openai.responses.parse(model="majority@3/m", input="who?", text_format=Person)
        sent = up.requests[0].body["response_format"]
    assert reply.output_parsed == Person(name="Ann", age=30)
    assert sent["json_schema"]["schema"]["required"] == ["name", "age"]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_was_cut_is_incomplete(start: Start, stream: bool) -> None:
    """With the reason; so is its message."""
    model = Echo(say=lambda *_: Candidate(index=0, model="", text="so", finish_reason="length"))
    async with start(model) as served:
        if stream:
            event = (await events_of(served))[-1]
            assert event["type"] == "response.incomplete"
            reply = event["response"]
        else:
            reply = (await served.http.post("/v1/responses", json={"model": "echo", "input": "x"})).json()
    assert reply["status"] == "incomplete"
    assert reply["incomplete_details"] == {"reason": "max_output_tokens"}
    assert reply["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize("stream", [False, True])
async def test_no_text_is_an_empty_text(start: Start, stream: bool) -> None:
    """A model that says nothing gives a message that says nothing."""
    async with start(Echo(say=lambda *_: "")) as served:
        body = {"model": "echo", "input": "x"}
        if stream:
            reply = (await events_of(served))[-1]["response"]
        else:
            reply = (await served.http.post("/v1/responses", json=body)).json()
    assert reply["output"][0]["content"][0]["text"] == ""


@pytest.mark.parametrize("stream", [False, True])
async def test_logprobs_where_asked(start: Start, stream: bool) -> None:
    """With `include`, on the text part; else none."""
    async with start(Echo()) as served:
        body: dict[str, Any] = {"input": "a b", "include": ["message.output_text.logprobs"]}
        if stream:
            reply = (await events_of(served, **body))[-1]["response"]
        else:
            reply = (await served.http.post("/v1/responses", json={"model": "echo", **body})).json()
        bare = (await served.http.post("/v1/responses", json={"model": "echo", "input": "a"})).json()
    assert [t["token"] for t in reply["output"][0]["content"][0]["logprobs"]] == ["a", "b"]
    assert bare["output"][0]["content"][0]["logprobs"] == []


async def test_an_error_before_the_first_event_is_a_status(start: Start) -> None:
    """As for the other APIs."""
    failure = Failure(code="rate_limited", message="slow down", status=429, retry_after=7.0)
    async with start(Echo(say=lambda *_: failure)) as served:
        with pytest.raises(openai.RateLimitError):
            await served.openai.responses.create(model="echo", input="x", stream=True)


async def test_a_stream_that_breaks_ends_in_failed(start: Start) -> None:
    """An `error` event, from which the client raises, and `response.failed` with the usage so far."""
    async with (
        ScriptedUpstream(Fault.error_midway(after_chunks=2), models=["m"]) as up,
        start(Endpoint("m", base_url=up.url)) as served,
    ):
        events = await events_of(served, model="m")
        with pytest.raises(openai.APIError, match="scripted failure"):
            async for _ in await served.openai.responses.create(model="m", input="x", stream=True):
                pass
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert "scripted failure" in events[-2]["message"]
    assert events[-1]["response"]["error"]["code"] == "server_error"
    assert events[-1]["response"]["usage"]["output_tokens"] == 2


async def test_the_first_token_does_not_wait_for_the_second(start: Start) -> None:
    """It has left while the upstream still holds the second back."""
    hold = asyncio.Event()
    async with (
        ScriptedUpstream(Reply("one two", hold=hold), models=["m"]) as up,
        start(Endpoint("m", base_url=up.url)) as served,
    ):
        stream = await served.openai.responses.create(model="m", input="x", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                hold.set()
                assert event.delta == "one "
                break
        rest = [event async for event in stream]
    assert rest[-1].type == "response.completed"


FILE = {"type": "input_image", "file_id": "f"}

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"input": ""}, "input", "pattern"),
    ({"input": []}, "input", "at least 1 item"),
    ({"input": None}, "input", "string"),
    ({"input": [{"role": "system", "content": "x"}]}, "input", "empty"),
    ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role", "one of assistant, developer, system, user"),
    ({"input": [{"role": {}, "content": "x"}]}, "input[0].role", "one of assistant"),
    ({"input": [{"role": "user", "content": [{"type": {}, "text": "x"}]}]}, "input[0].content[0]", "is no input_text"),
    ({"input": [{"role": "user"}]}, "input[0].content", "must be text"),
    ({"input": [{"role": "user", "content": [5]}]}, "input[0].content[0]", "is no input_text"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].content[0]",
        "files",
    ),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]", "told store=false"),
    ({"input": [{"type": "item_reference"}]}, "input[0]", "keeps no responses"),
    ({"input": [{"type": "computer_call"}]}, "input[0].type", "not known here"),
    ({"input": [{"type": "function_call", "call_id": "a", "name": "f"}]}, "input[0].arguments", "string of JSON"),
    ({"input": [{"type": "function_call_output", "output": "1"}]}, "input[0].call_id", "must be text"),
    ({"previous_response_id": "resp_1"}, "previous_response_id", "send the earlier items in input"),
    ({"conversation": "c"}, "conversation", "keeps no conversations"),
    ({"background": True}, "background", "while you wait"),
    ({"prompt": {"id": "p"}}, "prompt", "keeps no prompts"),
    ({"max_output_tokens": 0}, "max_output_tokens", "greater than or equal to 1"),
    ({"tools": [{"type": "web_search"}]}, "tools[0]", "must be 'function', not 'web_search'"),
    ({"tools": [{"type": "function"}]}, "tools[0]", "needs a name"),
    ({"tool_choice": "required"}, "tool_choice", "needs tools"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "x"}}, "tool_choice", "there is: weather"),
    ({"tools": [TOOL], "tool_choice": {"type": "web_search"}}, "tool_choice", "must look like"),
    ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format", "needs a schema"),
    ({"text": {"format": {}}}, "text.format", "needs a type"),
    ({"truncation": "much"}, "truncation", "'auto' or 'disabled'"),
    ({"quorate": {"wave": 3}}, "quorate.wave", "unknown field"),
]


async def test_wrong_response_fields_are_named(start: Start) -> None:
    """A 400 with the field's path, and no model is asked."""
    model = Echo()
    async with start(model) as served:
        for wrong, param, words in WRONG:
            reply = await served.http.post("/v1/responses", json={"model": "echo", "input": "x", **wrong})
            error = reply.json()["error"]
            assert (reply.status_code, error["param"]) == (400, param), (wrong, error)
            assert words in error["message"], (wrong, error)
    assert model.questions == []


async def test_control_is_the_same_as_in_chat(start: Start) -> None:
    """Pipeline, n and trace in `quorate`."""
    model = Echo()
    async with start(model, pipelines={"vote": sample(model, n=2) | Plurality()}) as served:
        reply = await served.openai.responses.create(
            model="echo", input="x", extra_body={"quorate": {"pipeline": "vote", "n": 3, "trace": True}}
        )
    assert len((reply.model_extra or {})["quorate"]["candidates"]) == 3


async def test_the_servers_limit_on_tokens_names_this_apis_field(start: Start) -> None:
    """As the request calls it."""
    async with start(Echo(), max_tokens=9) as served:
        reply = await served.http.post("/v1/responses", json={"model": "echo", "input": "x", "max_output_tokens": 10})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "max_output_tokens")
