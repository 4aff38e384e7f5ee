"""The scripted upstream speaks the protocol: the official client understands it."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from quorate.testing import Fault, Raw, Reply, ScriptedUpstream

HI = [{"role": "user", "content": "How many are there?"}]


@asynccontextmanager
async def client_of(upstream: ScriptedUpstream, key: str = "any") -> AsyncIterator[Any]:
    """The official client, without retries of its own; untyped, since its overloads are in the way."""
    async with upstream as up, AsyncOpenAI(base_url=up.url, api_key=key, max_retries=0) as client:
        yield client


async def test_the_official_client_reads_a_plain_reply() -> None:
    """Choices, usage, logprobs, tool calls, the list of models."""
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    upstream = ScriptedUpstream([Reply(["a b", "c"]), Reply("", tool_calls=[call])], models=("m", "org/n"))
    async with client_of(upstream) as client:
        reply = await client.chat.completions.create(model="m", messages=HI, n=2, logprobs=True, top_logprobs=2)
        calls = await client.chat.completions.create(model="m", messages=HI)
        models = [model.id async for model in client.models.list()]
    assert [choice.message.content for choice in reply.choices] == ["a b", "c"]
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (4, 3, 7)
    assert [t.token for t in reply.choices[0].logprobs.content] == ["a ", "b"]
    assert len(reply.choices[0].logprobs.content[0].top_logprobs) == 2
    assert calls.choices[0].message.tool_calls[0].function.name == "add"
    assert models == ["m", "org/n"]
    assert upstream.requests[0].body["n"] == 2
    assert upstream.requests[0].headers["authorization"] == "Bearer any"


async def test_the_official_client_reads_a_stream() -> None:
    """The choices interleaved; usage a chunk where asked, and at the end."""
    upstream = ScriptedUpstream(Reply(["one two", "three"], reasoning="hm"))
    options = {"include_usage": True, "continuous_usage_stats": True}
    texts, counts, total = ["", ""], [0, 0], None  # type: tuple[list[str], list[int], Any]
    async with client_of(upstream) as client:
        stream = await client.chat.completions.create(
            model="m",
            messages=HI,
            n=2,
            stream=True,
            stream_options=options,
        )
        async for chunk in stream:
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                counts[choice.index] = chunk.usage.completion_tokens
            total = chunk.usage
    assert texts == ["one two", "three"]
    assert counts == [3, 2]
    assert (total.prompt_tokens, total.completion_tokens) == (4, 5)


async def test_the_official_client_reads_errors() -> None:
    """Status, words and headers of each."""
    script = [Fault.status(429, "slow down", retry_after=2), Fault.status(500), Fault.bad_body(b"{"), Fault.close()]
    async with client_of(ScriptedUpstream(script)) as client:
        with pytest.raises(openai.RateLimitError, match="slow down") as limited:
            await client.chat.completions.create(model="m", messages=HI)
        assert limited.value.response.headers["retry-after"] == "2"
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="m", messages=HI)
        with pytest.raises((openai.APIError, json.JSONDecodeError)):
            await client.chat.completions.create(model="m", messages=HI)
        with pytest.raises(openai.APIConnectionError):
            await client.chat.completions.create(model="m", messages=HI)
    async with client_of(ScriptedUpstream(api_key="right"), key="wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="m", messages=HI)
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()


async def test_fields_are_refused_or_ignored_as_told() -> None:
    """By name, also inside of others; a refusal uses up no step."""
    upstream = ScriptedUpstream([Reply("first")], refuses=("n", "stream_options.extra"), ignores=("logprobs",))
    async with client_of(upstream) as client:
        with pytest.raises(openai.BadRequestError, match="'n' is not supported") as refused:
            await client.chat.completions.create(model="m", messages=HI, n=2)
        assert refused.value.param == "n"
        with pytest.raises(openai.BadRequestError, match="extra"):
            await client.chat.completions.create(
                model="m",
                messages=HI,
                stream=True,
                stream_options={"extra": 1},
            )
        reply = await client.chat.completions.create(model="m", messages=HI, n=1, logprobs=True)
    assert (reply.choices[0].message.content, reply.choices[0].logprobs) == ("first", None)


async def test_a_function_may_be_the_script() -> None:
    """It sees each request."""
    upstream = ScriptedUpstream(lambda request: Reply(f"you said {request.body['messages'][0]['content']}"))
    async with client_of(upstream) as client:
        reply = await client.chat.completions.create(model="m", messages=HI)
    assert reply.choices[0].message.content == "you said How many are there?"


async def test_a_client_that_leaves_is_noticed() -> None:
    """Both while nothing comes and in the middle of a stream."""
    upstream = ScriptedUpstream([Fault.hang(), Fault.hang(after_chunks=1)])
    async with client_of(upstream) as client:
        task = asyncio.create_task(client.chat.completions.create(model="m", messages=HI))
        await upstream.wait_until(lambda up: up.in_flight == 1)
        task.cancel()
        await upstream.wait_until(lambda up: up.in_flight == 0)
        stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
        await anext(aiter(stream))
        await stream.close()
        await upstream.wait_until(lambda up: up.in_flight == 0)
    assert [request.disconnected for request in upstream.requests] == [True, True]
    assert upstream.most_in_flight == 1


def test_it_serves_code_without_an_event_loop() -> None:
    """In a thread of its own."""
    body = json.dumps({"messages": HI}).encode()
    with ScriptedUpstream([Reply("x"), Raw([b"raw"], status=418)]) as up:
        request = urllib.request.Request(f"{up.url}/chat/completions", body)
        with urllib.request.urlopen(request) as reply:
            assert json.load(reply)["choices"][0]["message"]["content"] == "x"
        with pytest.raises(urllib.error.HTTPError, match="418") as caught:
            urllib.request.urlopen(request)
        caught.value.close()
        with pytest.raises(urllib.error.HTTPError, match="400") as malformed:
            urllib.request.urlopen(f"{up.url}/chat/completions", b"{")
        malformed.value.close()
    assert len(up.requests) == 2
