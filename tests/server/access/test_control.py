"""Keys, limits and load as callers meet them, over real sockets."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from quorate.config.catalog import Catalog
from quorate.config.server_settings import ApiKey, KeyBudget, RequestRate, hash_key
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.pipeline import sample
from quorate.server import ServerSettings, run_server, serve

from ..conftest import Start, asked, wait_until, wait_until_queued
from ..scripted import Echo, Plurality


def key(name: str, **limits: Any) -> ApiKey:
    return ApiKey(name=name, hash=hash_key(name), **limits)


def as_(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}"}


async def test_a_key_asks_for_what_it_may(start: Start) -> None:
    """The allowed pipeline answers; any other name, also through the `quorate` object, is a 403; the list is short."""
    model = Echo()
    keys = [key("ann", allow=("vote", "majority@2/echo"))]
    async with start(model, pipelines={"vote": sample(model, n=2) | Plurality()}, keys=keys) as served:
        http = served.http
        http.headers.update(as_("ann"))
        assert (await served.post(model="vote")).status_code == 200
        assert (await served.post(model="majority@2/echo")).status_code == 200
        assert (await served.post(quorate={"pipeline": "majority@2"})).status_code == 200
        for body in ({}, {"model": "majority@3/echo"}, {"model": "vote", "quorate": {"pipeline": "majority@3"}}):
            refused = await served.post(**body)
            assert refused.status_code == 403, body
            assert refused.json()["error"]["type"] == "permission_error"
        listed = {entry["id"] for entry in (await http.get("/v1/models")).json()["data"]}
        assert listed == {"vote"}
        assert (await http.get("/v1/models/echo")).status_code == 403


async def test_a_rate_is_a_429_with_the_time_to_wait(start: Start) -> None:
    """The official client raises RateLimitError; asking for the models is free; the other key is not concerned."""
    keys = [key("ann", rate=RequestRate(requests=2, seconds=100)), key("bob")]
    async with (
        start(Echo(), keys=keys) as served,
        AsyncOpenAI(base_url=f"{served.url}/v1", api_key="ann", max_retries=0) as ann,
    ):
        for _ in range(2):
            await ann.chat.completions.create(**asked())
        with pytest.raises(openai.RateLimitError, match="2 requests in 100 s") as refused:
            await ann.chat.completions.create(**asked())
        assert refused.value.response.headers["retry-after"] == "50"
        assert [m.id async for m in ann.models.list()]
        served.http.headers.update(as_("bob"))
        assert (await served.post()).status_code == 200


async def test_a_budget_is_spent_over_requests(start: Start, tmp_path: Path) -> None:
    """Every reply's usage counts, streamed or not; then a 429, also after a restart."""
    keys = [key("ann", budget=KeyBudget(tokens=30))]
    file = tmp_path / "accounts.db"
    spent = 0
    async with start(Echo(), keys=keys, accounts=file) as served:
        served.http.headers.update(as_("ann"))
        for extra in ({}, {"stream": True}) * 20:
            reply = await served.post(**extra)
            if reply.status_code == 429:
                break
            spent += 1
        assert spent >= 2
        assert reply.json()["error"]["code"] == "insufficient_quota"
        assert int(reply.headers["retry-after"]) > 80_000
    async with start(Echo(), keys=keys, accounts=file) as served:
        served.http.headers.update(as_("ann"))
        assert (await served.post()).status_code == 429


async def test_a_full_server_queues_and_then_refuses(start: Start) -> None:
    """One works, one waits, the third gets a 429 with Retry-After; when the first is through the second answers."""
    model = Echo()
    model.hold = asyncio.Event()
    async with start(model, max_concurrent=1, max_queued=1) as served:
        first = asyncio.create_task(served.post(stream=True))
        await wait_until(lambda: bool(model.questions))
        second = asyncio.create_task(served.post(stream=True))
        await wait_until_queued(served.http, 1)
        third = await served.post()
        assert (third.status_code, third.json()["error"]["code"]) == (429, "queue_full")
        assert int(third.headers["retry-after"]) >= 1
        assert len(model.questions) == 1
        model.hold.set()
        assert (await first).status_code == 200
        assert "data: [DONE]" in (await second).text


async def test_who_leaves_the_queue_frees_it(start: Start) -> None:
    """A client that gives up while it waits is not asked for, and the place it would have had goes on."""
    model = Echo()
    model.hold = asyncio.Event()
    async with start(model, max_concurrent=1, max_queued=5) as served:
        first = asyncio.create_task(served.post(stream=True))
        await wait_until(lambda: bool(model.questions))
        leaving = asyncio.create_task(served.post(messages=[{"role": "user", "content": "left"}]))
        await wait_until_queued(served.http, 1)
        leaving.cancel()
        await wait_until_queued(served.http, 0)
        model.hold.set()
        assert (await first).status_code == 200
        assert (await served.post()).status_code == 200
        assert "left" not in {question.text for question in model.questions}


async def test_tokens_have_a_limit(start: Start) -> None:
    """More is a 400 that names the field; who says nothing gets the limit."""
    model = Echo()
    async with start(model, max_tokens=50) as served:
        refused = await served.post(max_tokens=51)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "max_tokens")
        await served.post()
        await served.post(max_tokens=7)
    assert [question.sampling.max_tokens for question in model.questions] == [50, 7]


async def test_a_body_that_does_not_come_is_given_up(start: Start) -> None:
    """A 408 instead of a connection that stays for ever."""
    async with start(Echo(), body_seconds=0.1) as served:
        host, port = served.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        async with asyncio.timeout(30):
            assert b" 408 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_web_pages_ask_only_where_they_may(start: Start) -> None:
    """Without `origins` none, whatever it sends; with them the listed one, which may also read the reply."""
    page = {"origin": "https://evil.example", "content-type": "text/plain"}
    model = Echo()
    async with start(model) as served:
        refused = await served.http.post("/v1/chat/completions", json=asked(), headers=page)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
        assert (
            await served.http.post("/v1/chat/completions", json=asked(), headers={"origin": "null"})
        ).status_code == 403
    assert not model.questions
    good = {"origin": "https://chat.example"}
    preflight = {**good, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    async with start(model, origins=("https://chat.example/",)) as served:
        allowed = await served.http.options("/v1/chat/completions", headers=preflight)
        assert allowed.headers["access-control-allow-origin"] == good["origin"]
        reply = await served.http.post("/v1/chat/completions", json=asked(), headers=good)
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, good["origin"])
        assert (await served.http.post("/v1/chat/completions", json=asked(), headers=page)).status_code == 403


async def test_replies_tell_browsers_to_make_nothing_of_them(start: Start) -> None:
    """On answers and errors alike."""
    async with start(Echo()) as served:
        for reply in (await served.post(), await served.http.get("/nowhere"), await served.http.get("/health")):
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in reply.headers["content-security-policy"]
            assert reply.headers["x-request-id"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_strangers_need_a_key_or_an_open_door(host: str) -> None:
    """Without keys a public address is refused with the ways out; with a key, or said so, it is served."""
    with pytest.raises(BadInput, match=r"without API keys anyone .* --open"):
        await serve(Catalog(), ServerSettings(host=host, port=0))
    for settings in (
        ServerSettings(host=host, port=0, open=True),
        ServerSettings(host=host, port=0, keys=(key("ann"),)),
    ):
        async with run_server(Catalog(), settings) as url, httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/health")).status_code == 200


SCRIPT = """
import asyncio
from quorate.config.catalog import Catalog
from quorate.server import ServerSettings, serve

settings = ServerSettings(port=0, drain_seconds=60)
asyncio.run(serve(Catalog(), settings, on_ready=lambda url: print(url, flush=True)))
"""


async def test_a_draining_server_still_serves() -> None:
    """Asked to stop, it answers for `drain_seconds` more, so that nobody meets a closed door; asked twice, it ends."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SCRIPT, stdout=PIPE, stderr=DEVNULL)
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with httpx.AsyncClient(base_url=url) as client:
        process.send_signal(signal.SIGTERM)

        async def is_draining() -> bool:
            return (await client.get("/ready")).status_code == 503

        await wait_until(is_draining)
        for _ in range(5):
            assert (await client.get("/health")).status_code == 200
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.wait(), 20)
