"""Requests to a server's text completions: what they count, however they end."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import pytest

from quorate.agents.endpoint import Endpoint, Price, RetryPolicy
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.errors import BadReply, NoAnswer, RateLimited
from quorate.orchestrator.protocols import Completing
from quorate.orchestrator.types import SamplingParams
from quorate.testing import Fault, Raw, Reply, ScriptedUpstream


def endpoint(upstream: ScriptedUpstream, **settings: Any) -> Endpoint:
    return Endpoint("m", base_url=upstream.url, retries=RetryPolicy(attempts=1), **settings)


async def read(model: Endpoint, run: RunContext, **body: Any) -> list[dict[str, Any]]:
    return [reply async for reply in model.complete({"prompt": "a b c", **body}, run)]


async def test_an_endpoint_is_completing() -> None:
    """So servers know that they can pass text completions on to it."""
    assert isinstance(Endpoint("m", base_url="http://localhost:1"), Completing)


async def test_usage_is_the_servers() -> None:
    """Whole and streamed alike, with what it cost."""
    run = RunContext()
    async with ScriptedUpstream(Reply("x y", usage=(7, 2))) as up:
        model = endpoint(up, price=Price(prompt=1.0, completion=10.0))
        await read(model, run)
        await read(model, run, stream=True)
        await model.aclose()
    usage = run.ledger.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.requests, usage.estimated) == (14, 4, 2, False)
    assert usage.cost == pytest.approx(54e-6)


async def test_a_stream_that_is_left_counts_what_it_told() -> None:
    """By the server's running count."""
    run = RunContext()
    async with ScriptedUpstream(Fault.hang(after_chunks=2)) as up:
        model = endpoint(up)
        async with aclosing(model.complete({"prompt": "a b c", "stream": True}, run)) as replies:
            await anext(replies)
            await anext(replies)
        await model.aclose()
    usage = run.ledger.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (3, 2, False)


async def test_our_own_count_is_marked() -> None:
    """A server that tells no usage: a token for four characters."""
    run = RunContext()
    async with ScriptedUpstream(Fault.hang(after_chunks=2), ignores=["stream_options"]) as up:
        model = endpoint(up)
        async with aclosing(model.complete({"prompt": "a b c", "stream": True}, run)) as replies:
            await anext(replies)
            await anext(replies)
        await model.aclose()
    usage = run.ledger.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (2, 2, True)


async def test_a_refused_request_counts_as_a_request_alone() -> None:
    """No token was read or written."""
    run = RunContext()
    async with ScriptedUpstream(Fault.status(500)) as up:
        model = endpoint(up)
        with pytest.raises(BadReply):
            await read(model, run)
        await model.aclose()
    usage = run.ledger.usage
    assert (usage.total_tokens, usage.requests, usage.estimated) == (0, 1, False)


async def test_what_a_server_does_not_understand_is_learnt() -> None:
    """One that refuses continuous usage is asked for the last one."""
    run = RunContext()
    async with ScriptedUpstream(Reply("x"), refuses=["stream_options.continuous_usage_stats"]) as up:
        model = endpoint(up)
        replies = await read(model, run, stream=True)
        await model.aclose()
        assert up.requests[-1].body["stream_options"] == {"include_usage": True}
    assert replies[-1]["choices"] == []
    assert not run.ledger.usage.estimated


async def test_budgets_hold() -> None:
    """Tokens bound the text; seconds end it."""
    async with ScriptedUpstream([Reply("x"), Fault.hang()]) as up:
        model = endpoint(up)
        await read(model, RunContext(budget=Budget(tokens=5)), max_tokens=9)
        with pytest.raises(NoAnswer) as caught:
            await read(model, RunContext(budget=Budget(seconds=0.05)))
        await model.aclose()
        assert up.requests[0].body["max_tokens"] == 5
    assert (caught.value.status, caught.value.code) == (504, "budget_exhausted")


async def test_the_endpoints_settings_fill_gaps() -> None:
    """What the request sets wins."""
    settings = SamplingParams(temperature=0.2, max_tokens=4, extra={"min_p": 0.1})
    async with ScriptedUpstream(Reply("x")) as up:
        model = endpoint(up, sampling=settings)
        await read(model, RunContext(), temperature=0.9)
        await model.aclose()
        sent = up.requests[0].body
    assert sent == {"prompt": "a b c", "model": "m", "temperature": 0.9, "max_tokens": 4, "min_p": 0.1}


@pytest.mark.parametrize("live", [False, True])
async def test_a_reply_is_read_however_it_is_framed(live: bool) -> None:
    """Events in answer to a plain request are put together; a document answers a streaming one as its one piece."""
    pieces = [("a", None, -0.1), ("b", "stop", -0.2)]
    events = [
        {"choices": [{"index": 0, "text": t, "finish_reason": f, "logprobs": {"tokens": [t], "token_logprobs": [p]}}]}
        for t, f, p in pieces
    ]
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    stream = b"".join(f"data: {json.dumps(e)}\n\n".encode() for e in [*events, {"choices": [], "usage": usage}])
    whole = {"choices": [{"index": 0, "text": "ab", "finish_reason": "stop"}], "usage": usage}
    steps = [Raw([stream + b"data: [DONE]\n\n"], content_type="application/json"), Raw([json.dumps(whole).encode()])]
    run = RunContext()
    async with ScriptedUpstream(steps) as up:
        model = endpoint(up)
        found = [await read(model, run, stream=live) for _ in steps]
        await model.aclose()
    for replies in found:
        choices = [choice for reply in replies for choice in reply["choices"]]
        assert "".join(choice["text"] for choice in choices) == "ab"
        assert choices[-1]["finish_reason"] == "stop"
    if not live:
        assert [len(replies) for replies in found] == [1, 1]
        assert found[0][0]["choices"][0]["logprobs"] == {"tokens": ["a", "b"], "token_logprobs": [-0.1, -0.2]}
    assert (run.ledger.usage.total_tokens, run.ledger.usage.estimated) == (10, False)


@pytest.mark.parametrize("live", [False, True])
async def test_an_error_in_place_of_a_text_is_one(live: bool) -> None:
    """In any shape."""
    report = b'data: {"object": "error", "message": "rate limit", "type": "rate_limit_error"}\n\ndata: [DONE]\n\n'
    async with ScriptedUpstream(Raw([report])) as up:
        model = endpoint(up)
        with pytest.raises(RateLimited, match="rate limit"):
            await read(model, RunContext(), stream=live)
        await model.aclose()


@pytest.mark.parametrize("live", [False, True])
async def test_an_error_in_place_of_a_text_is_tried_again(live: bool) -> None:
    """Alone or in each choice, under a good status; every try is counted."""
    busy = {"error": {"code": "rate_limit_exceeded", "message": "try again in 1ms"}}
    steps = [
        Raw([b"data: " + json.dumps(busy).encode() + b"\n\n"]),
        Raw([json.dumps({"choices": [{"index": 0, "text": "", **busy}]}).encode()]),
        Reply("a b"),
    ]
    run = RunContext()
    async with ScriptedUpstream(steps) as up, Endpoint("m", base_url=up.url) as model:
        replies = await read(model, run, stream=live)
    assert "".join(choice["text"] for reply in replies for choice in reply.get("choices", ())) == "a b"
    assert run.ledger.usage.requests == len(up.requests) == 3
