"""Embeddings and ranking: passed on to the model's server, with the accounts kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic_core import from_json

from quorate import Endpoint, MajorityVote, sample
from quorate.agents import Price, RetryPolicy
from quorate.testing import Fault, Raw, ScriptedUpstream, Step

from ..conftest import Start
from ..scripted import Echo

VECTORS = {"object": "list", "model": "served", "data": [{"index": 0, "embedding": [0.5, -1.0]}]}
RANKED = {"id": "r", "model": "served", "results": [{"index": 1, "relevance_score": 0.9}]}


def reply(body: dict[str, Any]) -> Step:
    return Raw([json.dumps(body).encode()], content_type="application/json")


async def test_embeddings(start: Start) -> None:
    """The official client's; what it sends reaches the server, and what the server counted is told and costs."""
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    async with ScriptedUpstream(reply({**VECTORS, "usage": usage})) as up:
        model = Endpoint("served", base_url=up.url, name="m", price=Price(prompt=2.0, completion=0.0))
        async with start(model) as served:
            found = await served.openai.embeddings.create(
                model="m", input=["hello"], dimensions=2, encoding_format="float", user="ann"
            )
    assert found.data[0].embedding == [0.5, -1.0]
    assert (found.model, found.usage.prompt_tokens) == ("m", 8)
    told = (found.model_extra or {})["quorate"]["usage"]
    assert (told["prompt_tokens"], told["requests"], told["cost"]) == (8, 1, pytest.approx(16e-6))
    sent = up.requests[0]
    assert sent.path == "/v1/embeddings"
    assert sent.body == {"model": "served", "input": ["hello"], "dimensions": 2, "encoding_format": "float"}


async def test_ranking(start: Start) -> None:
    """As it came."""
    async with ScriptedUpstream(reply(RANKED)) as up, start(Endpoint("served", base_url=up.url)) as served:
        body = {"model": "served", "query": "q", "documents": ["a", "b"], "top_n": 1}
        found = (await served.http.post("/v1/rerank", json=body)).json()
    assert found["results"] == RANKED["results"]
    assert up.requests[0].body == body


async def test_a_reply_that_is_no_json(start: Start) -> None:
    """Not a number is null, as JSON has it; what is no object at all is the server's failure."""

    async def ask(sent: bytes) -> tuple[int, Any]:
        raw = Raw([sent], content_type="application/json")
        async with ScriptedUpstream(raw) as up, start(Endpoint("m", base_url=up.url)) as served:
            got = await served.http.post("/v1/embeddings", json={"model": "m", "input": "x"})
        return got.status_code, from_json(got.content, allow_inf_nan=False)

    assert (await ask(b'{"data": [{"embedding": [NaN, 1e999, 0.5]}]}'))[1]["data"] == [{"embedding": [None, None, 0.5]}]
    for sent in (b"<html>", b"", b"[1]", b'{"data": ' + b"[" * 5000 + b"]" * 5000 + b"}"):
        status, told = await ask(sent)
        assert (status, told["error"]["code"]) == (502, "upstream_bad_reply")


async def test_what_cannot_be_passed_on(start: Start) -> None:
    """Pipelines and models of this process have no such API; streams and empty inputs are no requests."""
    async with ScriptedUpstream() as up:
        model = Endpoint("served", base_url=up.url)
        vote = sample(model, n=2) | MajorityVote()
        async with start(Echo(), model, pipelines={"vote": vote}) as served:

            async def refused(**body: Any) -> str:
                got = await served.http.post("/v1/embeddings", json={"model": "served", "input": "x", **body})
                assert got.status_code == 400
                return str(got.json()["error"]["param"])

            params = [
                await refused(model="vote"),
                await refused(model="echo"),
                await refused(stream=True),
                await refused(input=[]),
            ]
        assert up.requests == []
    assert params == ["model", "model", "stream", "input"]


async def test_a_server_that_fails(start: Start) -> None:
    """Its status, after the tries that the settings allow."""
    async with ScriptedUpstream(Fault.status(503)) as up:
        retries = RetryPolicy(attempts=2, backoff=0.001)
        async with start(Endpoint("m", base_url=up.url, retries=retries)) as served:
            got = await served.http.post("/v1/embeddings", json={"model": "m", "input": "x"})
    assert got.status_code == 503
    assert len(up.requests) == 2
