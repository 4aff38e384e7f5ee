"""Tool calls in replies, as servers really send them; over sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .replies import OSLO, ROME, delta, message, read, stream


def call(name: str = "", arguments: Any = "", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


@pytest.mark.parametrize(
    "calls",
    [
        [call("look", ROME, id="a", index=0), call("look", OSLO, id="b", index=1)],
        [call("look", ROME, id="a", index=0), call("look", OSLO, id="b", index=0)],
        [call("look", ROME, index=0), call("look", OSLO, index=0)],
        [call("look", ROME, id="a"), call("look", OSLO, id="b")],
        [call("look", ROME, id="a", index=None), call("look", OSLO, id="b", index=None)],
        [call("look", ROME), call("look", OSLO)],
        [call("look", ROME, id=""), call("look", OSLO, id="")],
        [call("look", ROME, id="look"), call("look", OSLO, id="look")],
        [call("look", {"city": "Rome"}, id=1), call("look", {"city": "Oslo"}, id=2)],
        [{"id": "a", "name": "look", "arguments": ROME}, {"id": "b", "name": "look", "arguments": OSLO}],
        [
            {"id": "a", "name": "look", "input": {"city": "Rome"}},
            {"id": "b", "name": "look", "input": {"city": "Oslo"}},
        ],
    ],
)
@pytest.mark.parametrize("finish", ["tool_calls", "stop", "end_turn"])
async def test_two_calls_are_two_calls(calls: list[Any], finish: str) -> None:
    """In one message, in one event and in two, however badly they are numbered."""
    bodies = [
        message(None, finish, tool_calls=calls),
        stream(delta(tool_calls=calls), delta(finish=finish)),
        stream(*(delta(tool_calls=[each]) for each in calls), delta(finish=finish)),
    ]
    for body in bodies:
        candidate = await read(body)
        functions = [made["function"] for made in candidate.tool_calls]
        assert [f["name"] for f in functions] == ["look", "look"]
        assert [json.loads(f["arguments"])["city"] for f in functions] == ["Rome", "Oslo"]
        assert candidate.finish_reason == "tool_calls"
        ids = [made["id"] for made in candidate.tool_calls]
        assert all(isinstance(name, str) and name for name in ids)


@pytest.mark.parametrize(
    "function", [{"name": "look", "arguments": ROME}, {"name": "look", "arguments": {"city": "Rome"}}]
)
async def test_a_legacy_function_call_is_a_tool_call(function: dict[str, Any]) -> None:
    """With an id of ours, which its result can name."""
    for body in (
        message(None, "function_call", function_call=function),
        stream(delta(function_call=function), delta(finish="function_call")),
    ):
        candidate = await read(body)
        [made] = candidate.tool_calls
        assert (made["function"]["name"], json.loads(made["function"]["arguments"])) == ("look", {"city": "Rome"})
        assert made["id"].startswith("call_")
        assert candidate.finish_reason == "tool_calls"


async def test_a_block_of_tool_use_is_a_tool_call() -> None:
    """As Anthropic's models make them behind some gateways."""
    blocks = [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}},
    ]
    candidate = await read(message(blocks, "tool_use"))
    assert candidate.text == "Let me look."
    assert candidate.tool_calls == (
        {"id": "t", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}},
    )


async def test_what_comes_with_a_call_stays_with_it() -> None:
    """Gemini wants its signature back, which may come in a piece of its own."""
    signature = {"extra_content": {"google": {"thought_signature": "xyz"}}}
    pieces = [delta(tool_calls=[call("look", ROME, id="a")]), delta(tool_calls=[signature]), delta(finish="stop")]
    [made] = (await read(stream(*pieces))).tool_calls
    assert made["extra_content"] == signature["extra_content"]
    assert made["function"]["arguments"] == ROME
