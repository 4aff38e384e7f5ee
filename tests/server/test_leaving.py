"""A client that leaves, and a server that stops: no work goes on behind them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from quorate.config.catalog import Catalog
from quorate.orchestrator.pipeline import sample
from quorate.server import ServerSettings, run_server

from .conftest import Start, asked, wait_until_queued
from .scripted import Echo, Plurality, Stuck


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"stream": True},
        {"n": 3},
        {"n": 3, "stream": True},
        {"model": "vote"},
        {"model": "vote", "stream": True, "n": 2},
    ],
    ids=str,
)
async def test_leaving_cancels_all_work(start: Start, extra: dict[str, Any]) -> None:
    """Whatever was asked for, the model's generators are closed when the connection is."""
    model = Stuck(first="so")
    vote = sample([model, model], n=4) | Plurality()
    async with start(model, pipelines={"vote": vote}) as served:
        leaving = asyncio.create_task(served.post(**{"model": "stuck", **extra}))
        await model.asked.wait()
        assert not model.cancelled.is_set()
        leaving.cancel()
        await asyncio.wait_for(model.cancelled.wait(), 30)
        assert model.running == 0
        assert (await served.http.get("/health")).status_code == 200


async def test_leaving_does_not_touch_others(start: Start) -> None:
    """One client leaves; the request of another one goes on to its answer."""
    stuck, echo = Stuck(), Echo()
    echo.hold = asyncio.Event()
    async with start(stuck, echo) as served:
        leaving = asyncio.create_task(served.post(model="stuck"))
        staying = asyncio.create_task(served.post(stream=True))
        await stuck.asked.wait()
        leaving.cancel()
        await asyncio.wait_for(stuck.cancelled.wait(), 30)
        echo.hold.set()
        assert "data: [DONE]" in (await staying).text


async def test_nothing_is_left_running(start: Start) -> None:
    """After answers, streams, errors and clients that left, the loop has the tasks that it had before."""
    echo, stuck = Echo(), Stuck(first="so")
    async with start(echo, stuck, pipelines={"vote": sample(echo, n=3) | Plurality()}) as served:
        await served.post()
        before = len(asyncio.all_tasks())
        for extra in ({}, {"stream": True}, {"n": 3}, {"n": 3, "stream": True}, {"n": 0}, {"model": "nope"}) * 5:
            for name in ("echo", "vote"):
                await served.post(**{"model": name, **extra})
            stuck.asked.clear()
            leaving = asyncio.create_task(served.post(**{**extra, "model": "stuck", "n": 1}))
            await stuck.asked.wait()
            leaving.cancel()
        await asyncio.wait_for(stuck.cancelled.wait(), 30)
        async with asyncio.timeout(30):
            while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110  nothing tells of a task's end but the list
                await asyncio.sleep(0.01)


async def test_leaving_in_the_middle_of_the_body_is_harmless(start: Start) -> None:
    """A connection that ends before its body did costs nothing but itself."""
    model = Echo()
    async with start(model) as served:
        host, port = served.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await served.post()).status_code == 200
    assert len(model.questions) == 1


async def test_stopping_lets_requests_end() -> None:
    """A request in flight when the server is asked to stop still gets its answer."""
    model = Echo()
    model.hold = asyncio.Event()
    async with httpx.AsyncClient(timeout=30) as client:
        async with run_server(Catalog({"echo": model})) as url:
            request = client.build_request("POST", f"{url}/v1/chat/completions", json=asked() | {"stream": True})
            reply = await client.send(request, stream=True)
            asyncio.get_running_loop().call_later(0.05, model.hold.set)
        assert "data: [DONE]" in [line async for line in reply.aiter_lines()]


async def test_stopping_does_not_wait_for_ever() -> None:
    """A request that never ends is cancelled after `shutdown_seconds`, and its work with it."""
    model = Stuck()
    settings = ServerSettings(port=0, shutdown_seconds=1)
    async with run_server(Catalog({"stuck": model}), settings) as url:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        body = str(asked() | {"model": "stuck"}).replace("'", '"').encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await model.asked.wait()
    await asyncio.wait_for(model.cancelled.wait(), 30)
    writer.close()


async def test_stopping_ends_with_the_best_answer_so_far() -> None:
    """A vote whose last sample hangs answers from the others when the server's time is up, and says so."""
    stuck, echo = Stuck(), Echo()
    vote = sample([echo, stuck], n=4) | Plurality()
    settings = ServerSettings(port=0, shutdown_seconds=0.2)
    async with httpx.AsyncClient(timeout=30) as client:
        async with run_server(Catalog({}, {"vote": vote}), settings) as url:
            asking = asyncio.create_task(client.post(f"{url}/v1/chat/completions", json={**asked(), "model": "vote"}))
            await stuck.asked.wait()
        reply = (await asking).json()
    assert reply["choices"][0]["message"]["content"] == "hello there"
    assert {"halted"} <= {note["code"] for note in reply["quorate"]["degraded"]}
    assert "shutting down" in reply["quorate"]["stopped"]
    assert stuck.cancelled.is_set()


async def test_who_waits_when_the_server_ends_is_sent_away() -> None:
    """A request that never had its turn gets a 503 with a time to come back, and no model is asked for it."""
    stuck = Stuck()
    settings = ServerSettings(port=0, shutdown_seconds=0.2, max_concurrent=1)
    async with httpx.AsyncClient(timeout=30) as client:
        async with run_server(Catalog({"stuck": stuck}), settings) as url:
            body = {**asked(), "model": "stuck"}
            client.base_url = httpx.URL(url)
            first = asyncio.create_task(client.post("/v1/chat/completions", json=body))
            await stuck.asked.wait()
            stuck.asked.clear()
            second = asyncio.create_task(client.post("/v1/chat/completions", json=body))
            await wait_until_queued(client, 1)
        replies = [await first, await second]
    assert [reply.status_code for reply in replies] == [503, 503]
    assert replies[1].headers["retry-after"]
    assert not stuck.asked.is_set()
