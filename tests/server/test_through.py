"""From the official client through the server to an upstream, over real sockets on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from quorate.agents.endpoint import Endpoint, RetryPolicy, discover
from quorate.config.catalog import Catalog
from quorate.orchestrator.protocols import Model
from quorate.testing import Fault, Reply, ScriptedUpstream

from .conftest import Serving, Start, asked


@asynccontextmanager
async def through(start: Start, upstream: ScriptedUpstream) -> AsyncGenerator[Serving, None]:
    """A server over every model that the upstream lists."""

    async def found() -> list[Model]:
        return list(await discover(upstream.url))

    async with start(catalog=Catalog(discover=found)) as served:
        yield served


def body(model: str = "org/model") -> dict[str, Any]:
    return asked("What is 6 * 7?") | {"model": model}


async def test_a_vote_over_an_upstream(start: Start) -> None:
    """`majority@5/MODEL`: the plurality's text, and the upstream's own token counts."""
    samples = ["So #### 42", "#### 41", "It is #### 42", "#### 42.0", "#### 40"]
    async with (
        ScriptedUpstream(Reply(samples, usage=(7, 20)), models=["org/model"]) as upstream,
        through(start, upstream) as served,
    ):
        reply = await served.openai.chat.completions.create(**body("majority@5/org/model"), seed=3, temperature=0.8)
        stages = [request.body for request in upstream.requests]
    assert reply.choices[0].message.content in samples
    assert reply.model_extra is not None
    told = reply.model_extra["quorate"]
    assert told["answer"] in {"42", "42.0"}
    assert told["tally"][0]["votes"] == 3
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (7, 20)
    assert [(request["n"], request["temperature"]) for request in stages] == [(5, 0.8)]


async def test_a_built_in_pipeline_per_request(start: Start) -> None:
    """`quorate: {pipeline, n}` over a bare model's name is the same as the long name."""
    async with ScriptedUpstream(Reply("#### 4"), models=["org/model"]) as upstream, through(start, upstream) as served:
        reply = await served.post(**body(), quorate={"pipeline": "majority", "n": 3, "trace": True})
        long = await served.post(**body(), quorate={"pipeline": "majority@2", "trace": True})
    assert len(reply.json()["quorate"]["candidates"]) == 3
    assert len(long.json()["quorate"]["candidates"]) == 2


async def test_tokens_stream_through(start: Start) -> None:
    """What the upstream streams arrives in the same pieces, thinking apart."""
    answer = Reply(pieces=["6 * 7", " is", " 42"], reasoning="hm")
    async with ScriptedUpstream(answer, models=["org/model"]) as upstream, through(start, upstream) as served:
        stream = await served.openai.chat.completions.create(**body(), stream=True)
        deltas = [chunk.choices[0].delta async for chunk in stream]
    assert [d.content for d in deltas if d.content] == ["6 * 7", " is", " 42"]
    assert "".join((d.model_extra or {}).get("reasoning_content") or "" for d in deltas) == "hm"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["org/model", "majority@3/org/model"])
async def test_a_429_stays_a_429(start: Start, name: str, stream: bool) -> None:
    """With its Retry-After, for a model and a vote, streamed or not."""
    async with ScriptedUpstream(Fault.status(429, retry_after=90)) as upstream:
        model = Endpoint("org/model", base_url=upstream.url, retries=RetryPolicy(attempts=1))
        async with start(model) as served:
            with pytest.raises(openai.RateLimitError) as caught:
                await served.openai.chat.completions.create(**body(name), stream=stream)
    assert caught.value.response.headers["retry-after"] == "90"


@pytest.mark.parametrize("extra", [{}, {"stream": True}, {"n": 2}], ids=str)
@pytest.mark.parametrize("name", ["org/model", "majority@3/org/model"])
async def test_a_client_that_leaves_frees_the_upstream(start: Start, name: str, extra: dict[str, Any]) -> None:
    """Every request that the upstream still works on sees its connection close."""
    async with (
        ScriptedUpstream(Fault.hang(after_chunks=2), models=["org/model"]) as upstream,
        through(start, upstream) as served,
    ):
        leaving = asyncio.create_task(served.post(**body(name), **extra))
        await upstream.wait_until(lambda up: up.in_flight == extra.get("n", 1))
        leaving.cancel()
        await asyncio.wait_for(upstream.wait_until(lambda up: up.in_flight == 0), 30)
        assert all(request.disconnected for request in upstream.requests)


async def test_an_upstream_that_is_down_is_a_502(start: Start) -> None:
    """One line that names it; health stays 200."""
    async with ScriptedUpstream() as upstream:
        model = Endpoint("org/model", base_url=upstream.url, retries=RetryPolicy(attempts=1))
    async with start(model) as served:
        reply = await served.post(**body())
        assert (await served.http.get("/health")).status_code == 200
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "upstream_unreachable"
    assert "\n" not in reply.json()["error"]["message"]
