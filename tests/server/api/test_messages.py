"""Anthropic's Messages API, as it goes over the wire."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from quorate.config.server_settings import ApiKey
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.types import Candidate, Failure

from ..conftest import Serving, Start
from ..scripted import Echo, Merged, Plurality

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL: Any = {"name": "weather", "description": "How it is", "input_schema": SCHEMA}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


def asked(**body: Any) -> dict[str, Any]:
    return {"model": "echo", "max_tokens": 9, "messages": [{"role": "user", "content": "hello there"}], **body}


async def ask(served: Serving, **body: Any) -> dict[str, Any]:
    reply = await served.http.post("/v1/messages", json=asked(**body))
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def refusal(served: Serving, **body: Any) -> tuple[int, dict[str, Any]]:
    reply = await served.http.post("/v1/messages", json=asked(**body))
    found = reply.json()
    assert found["type"] == "error"
    return reply.status_code, found["error"]


async def events_of(served: Serving, **body: Any) -> list[dict[str, Any]]:
    """The events of a stream; each names its type twice."""
    async with served.http.stream("POST", "/v1/messages", json=asked(stream=True, **body)) as reply:
        assert reply.status_code == 200
        lines = [line async for line in reply.aiter_lines() if line and not line.startswith(":")]
    names, data = lines[::2], [json.loads(line.removeprefix("data: ")) for line in lines[1::2]]
    assert names == [f"event: {event['type']}" for event in data]
    return data


async def test_a_message(start: Start) -> None:
    """Text in a block, usage in this API's words, and our own object."""
    async with start(Echo()) as served:
        reply = await ask(served)
    assert reply["content"] == [{"type": "text", "text": "hello there", "citations": None}]
    assert (reply["type"], reply["role"], reply["model"]) == ("message", "assistant", "echo")
    assert (reply["stop_reason"], reply["stop_sequence"]) == ("end_turn", None)
    assert (reply["usage"]["input_tokens"], reply["usage"]["output_tokens"]) == (3, 2)
    assert reply["quorate"]["usage"]["nodes"][0]["node"] == "answer"


async def test_settings_reach_the_model(start: Start) -> None:
    """In the words that models know; what is of this API alone stays."""
    model = Echo()
    async with start(model) as served:
        await ask(
            served,
            system=[{"type": "text", "text": "be nice", "cache_control": {"type": "ephemeral"}}],
            stop_sequences=["x"],
            temperature=0.5,
            top_k=3,
            top_p=0.9,
            tools=[{**TOOL, "strict": True, "cache_control": {"type": "ephemeral"}}],
            tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
            output_config={"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
            metadata={"user_id": "u"},
            service_tier="auto",
            thinking={"type": "adaptive"},
            context_management={"edits": []},
        )
    question = model.questions[0]
    assert [(m.role, m.content) for m in question.messages] == [("system", "be nice"), ("user", "hello there")]
    function = {"name": "weather", "description": "How it is", "strict": True, "parameters": SCHEMA}
    assert question.tools == ({"type": "function", "function": function},)
    assert question.tool_choice == {"type": "function", "function": {"name": "weather"}}
    described = {"name": "answer", "schema": SCHEMA, "strict": True}
    assert question.response_format == {"type": "json_schema", "json_schema": described}
    assert question.sampling.model_dump(exclude_none=True) == {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "max_tokens": 9,
        "stop": ("x",),
        "extra": {"parallel_tool_calls": False, "reasoning_effort": "low"},
    }


async def test_blocks_become_a_conversation(start: Start) -> None:
    """Texts, images, documents, calls and results; thinking is left out, results come before what else is said."""
    model = Echo(say=lambda *_: "fine")
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    given: Any = [
        {"role": "user", "content": [{"type": "text", "text": "what?"}, {"type": "image", "source": source}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "text", "text": "let me "},
                {"type": "text", "text": "see"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {
                    "type": "tool_result",
                    "tool_use_id": "b",
                    "is_error": True,
                    "content": [{"type": "text", "text": "no"}],
                },
                {"type": "text", "text": "go"},
                {
                    "type": "document",
                    "title": "Doc",
                    "source": {"type": "text", "media_type": "text/plain", "data": "D"},
                },
            ],
        },
    ]
    async with start(model) as served:
        await ask(served, messages=given)
    messages = [m.model_dump(mode="json", exclude_unset=True) for m in model.questions[0].messages]
    calls = [
        {"id": i, "type": "function", "function": {"name": n, "arguments": a}}
        for i, n, a in (("a", "f", '{"x": 1}'), ("b", "g", "{}"))
    ]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert messages == [
        {"role": "user", "content": [{"type": "text", "text": "what?"}, picture]},
        {"role": "assistant", "content": "let me see", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "Error:\n\nno"},
        {"role": "user", "content": "go\n\nDoc\n\nD"},
    ]


async def test_a_reply_can_be_sent_back(start: Start) -> None:
    """Its blocks are the content of the next request, as agents do it."""
    model = Echo(say=lambda q, _: Candidate(index=0, model="", tool_calls=(CALL,), finish_reason="tool_calls"))
    async with start(model) as served:
        first = await ask(served, tools=[TOOL])
        model.say = lambda q, _: "it rains"
        result = {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"}
        turns = [{"role": "assistant", "content": first["content"]}, {"role": "user", "content": [result]}]
        second = await ask(served, messages=[*asked()["messages"], *turns], tools=[TOOL])
    assert first["content"] == [{"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}}]
    assert first["stop_reason"] == "tool_use"
    assert second["content"][0]["text"] == "it rains"
    assert [m.role for m in model.questions[1].messages] == ["user", "assistant", "tool"]


@pytest.mark.parametrize(
    ("reason", "told"), [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal")]
)
async def test_why_it_stopped(reason: Any, told: str, start: Start) -> None:
    """In this API's words."""
    model = Echo(say=lambda *_: Candidate(index=0, model="", text="so", finish_reason=reason))
    async with start(model) as served:
        assert (await ask(served))["stop_reason"] == told


async def test_thinking_is_told_to_who_asks(start: Start) -> None:
    """Else the first block is the text, where clients look for it."""
    model = Echo(say=lambda *_: Candidate(index=0, model="", text="so", reasoning="hm", finish_reason="stop"))
    async with start(model) as served:
        plain = await ask(served)
        thinking = await ask(served, thinking=THINKING)
    assert [block["type"] for block in plain["content"]] == ["text"]
    assert thinking["content"][0] == {"type": "thinking", "thinking": "hm", "signature": ""}
    assert thinking["content"][1]["text"] == "so"


async def test_a_streamed_synthesis(start: Start) -> None:
    """The whole sequence: progress and thinking in one block, the text in the next, as it is written."""
    model = Echo(say=lambda _, index: f"t{index}")
    async with start(model, pipelines={"fused": sample(model, n=2) | Merged()}) as served:
        events = await events_of(served, model="fused", thinking=THINKING)
    kinds = [event["type"] for event in events]
    first, last = kinds.index("content_block_stop"), len(kinds) - kinds[::-1].index("content_block_start") - 1
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert last == first + 1
    thought = "".join(e["delta"].get("thinking", "") for e in events if e["type"] == "content_block_delta")
    text = [e["delta"]["text"] for e in events if e["type"] == "content_block_delta" and e["index"] == 1]
    assert thought.startswith("1/2 sampled")
    assert thought.endswith("hm")
    assert text == ["t0", "+t1"]
    assert events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[-2]["usage"]["input_tokens"] == 13
    assert events[-2]["quorate"]["stopped"] == "complete"


async def test_a_streamed_vote_that_nobody_watches(start: Start) -> None:
    """One block with the answer; a call is a block of its own whose pieces are its input."""
    model = Echo(
        say=lambda *_: Candidate(index=0, model="", text="see", tool_calls=(CALL,), finish_reason="tool_calls")
    )
    async with start(model, pipelines={"vote": sample(model, n=3) | Plurality()}) as served:
        events = await events_of(served, model="vote", tools=[TOOL])
    begun = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    assert [block["type"] for block in begun] == ["text", "tool_use"]
    [piece] = [e["delta"]["partial_json"] for e in events if e.get("delta", {}).get("type") == "input_json_delta"]
    assert json.loads(piece) == {"city": "Oslo"}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


@pytest.mark.parametrize("arguments", ['{"city": "Os', "[1]", '"x"'])
async def test_arguments_that_are_no_object(arguments: str, start: Start) -> None:
    """The input stays an object, with what was written, plain and streamed."""
    call = {**CALL, "function": {"name": "weather", "arguments": arguments}}
    model = Echo(say=lambda *_: Candidate(index=0, model="", tool_calls=(call,), finish_reason="length"))
    async with start(model) as served:
        [block] = (await ask(served, tools=[TOOL]))["content"]
        events = await events_of(served, tools=[TOOL])
    [piece] = [e["delta"]["partial_json"] for e in events if e["type"] == "content_block_delta"]
    assert block["input"] == json.loads(piece) == {"arguments": arguments}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"n": 2}, "n: this API gives one message"),
        ({"max_tokens": None}, "max_tokens"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]: the type must be 'custom'"),
        ({"tool_choice": {"type": "any"}}, "tool_choice: needs tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "no tool named 'x'"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers: this server calls no tools"),
        ({"messages": [{"role": "user", "content": [{"type": "sound"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}]}, "tool_use_id"),
        ({"system": [{"type": "image"}]}, "system[0]: must be a block of text"),
    ],
)
async def test_bad_requests(body: dict[str, Any], words: str, start: Start) -> None:
    """Anthropic's envelope, with the place of the fault."""
    async with start(Echo()) as served:
        status, error = await refusal(served, **body)
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert words in error["message"]


async def test_errors_have_this_apis_types(start: Start) -> None:
    """Unknown models, upstreams that fail, keys; a path of another API keeps that one's form."""
    model = Echo(say=lambda *_: Failure(code="upstream_timeout", message="late", status=504))
    key = ApiKey(name="ann", hash=f"sha256:{hashlib.sha256(b'secret').hexdigest()}")
    async with start(model, keys=(key,)) as served:
        bare = (await served.http.post("/v1/messages", json=asked())).json()
        served.http.headers["x-api-key"] = "secret"
        unknown, late = await refusal(served, model="nonsense"), await refusal(served)
        other = (await served.http.post("/v1/chat/completions", json={"model": "echo"})).json()
        method = (await served.http.get("/v1/messages")).json()
    assert bare["error"]["type"] == "authentication_error"
    assert (unknown[0], unknown[1]["type"]) == (404, "not_found_error")
    assert (late[0], late[1]["type"]) == (504, "timeout_error")
    assert "type" not in other
    assert (method["type"], method["error"]["code"]) == ("error", "method_not_allowed")


async def test_a_stream_that_fails_in_its_middle(start: Start) -> None:
    """Its last event is an error in this API's form."""

    def say(_: Any, index: int) -> Any:
        return "once" if index == 0 else Failure(code="upstream_unreachable", message="gone", status=502)

    model = Echo(say=say)
    async with start(model, pipelines={"vote": sample(model, n=2, min_candidates=2) | Plurality()}) as served:
        events = await events_of(served, model="vote", thinking=THINKING)
    assert events[0]["type"] == "message_start"
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["type"] == "api_error"


async def test_tokens_of_a_prompt(start: Start) -> None:
    """Counted without asking the model; more text and tools are more tokens; keys and names are checked."""
    model = Echo()
    async with start(model) as served:

        async def count(**body: Any) -> Any:
            given = {name: value for name, value in asked(**body).items() if name != "max_tokens"}
            return (await served.http.post("/v1/messages/count_tokens", json=given)).json()

        short, long = await count(), await count(system="be " * 100)
        tools, unknown = await count(tools=[TOOL]), await count(model="nonsense")
    assert 0 < short["input_tokens"] < tools["input_tokens"] < long["input_tokens"]
    assert unknown["error"]["type"] == "not_found_error"
    assert model.questions == []
