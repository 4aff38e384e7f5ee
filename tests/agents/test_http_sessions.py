"""The two ways to a server over HTTP, our own and aiohttp's, which do the same.

Faults and flow have both as well (test_endpoint_faults.py, test_endpoint_flow.py).
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from quorate import Endpoint
from quorate.agents import BreakerPolicy, RetryPolicy, Timeouts
from quorate.agents.endpoint import http as http_module
from quorate.testing import Fault, Reply, ScriptedUpstream

from .asking import Drawing, draw

TLS = Path(__file__).parent / "tls"
ONCE = RetryPolicy(attempts=1)
CHAT = b'{"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}'

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=["ours", "aiohttp"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "aiohttp":
        monkeypatch.setattr(http_module, "LeanSession", None)
    return str(request.param)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return head, await reader.readexactly(length)


@asynccontextmanager
async def serve(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that speaks by bytes, and its address."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http{'s' if tls else ''}://localhost:{port}/v1"


def say(*pieces: bytes, pause: float = 0.0) -> Handler:
    """Answers one request with these bytes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return handle


GOOD = {
    "with its length": [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CHAT), CHAT],
    "in chunks": [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"%x\r\n" % len(CHAT),
        CHAT,
        b"\r\n0\r\n\r\n",
    ],
    "up to the end of the connection": [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", CHAT],
    "of HTTP/1.0": [b"HTTP/1.0 200 OK\r\n\r\n" + CHAT],
    "after a word before": [
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CHAT) + CHAT,
    ],
    "in single bytes": [bytes([b]) for b in b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CHAT) + CHAT],
    "whole, though its length is told too large": [b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", CHAT],
    "deflated": [b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nConnection: close\r\n\r\n" + zlib.compress(CHAT)],
}


@pytest.mark.parametrize("form", GOOD)
async def test_a_reply_in_every_form(form: str) -> None:
    """However its end is marked, and wherever it is cut."""
    async with serve(say(*GOOD[form])) as url, Endpoint("m", base_url=url, retries=ONCE) as agent:
        assert (await draw(agent)).texts == ["ok"]


BAD = {
    "too short": ([b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", CHAT[:-9]], "broke off"),
    "no last chunk": ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n"], "broke off"),
    "no chunk": ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"zz\r\n"], "HTTP reply|broke off"),
    "no status": ([b"HTTP/1.1 many\r\n\r\n"], "not an HTTP reply"),
    "half a compression": (
        [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"],
        "compression is broken",
    ),
}


@pytest.mark.parametrize("form", BAD)
async def test_a_reply_that_is_none(form: str) -> None:
    """One line that says so; it is not tried again."""
    pieces, words = BAD[form]
    async with serve(say(*pieces)) as url, Endpoint("m", base_url=url) as agent:
        candidate = (await draw(agent)).one
    assert candidate.error is not None
    assert candidate.error.code == "upstream_bad_reply"
    assert any(word in candidate.error.message for word in words.split("|"))
    assert candidate.usage.requests == 1


@pytest.mark.parametrize(
    "report", [{"text": "worker is gone", "error_code": 50002}, {"detail": "gone"}, {"object": "error", "code": 500}]
)
async def test_an_error_ends_a_stream_that_stays_open(report: dict[str, Any]) -> None:
    """Whatever its shape; it is not waited for what never comes."""
    left = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        first = {"choices": [{"index": 0, "delta": {"content": "1"}, "finish_reason": None}]}
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for event in (first, report):
            writer.write(b"data: " + json.dumps(event).encode() + b"\n\n")
            await writer.drain()
            await asyncio.sleep(0.02)
        await reader.read()
        left.set()

    async with serve(handle) as url, Endpoint("m", base_url=url, retries=ONCE) as agent:
        candidate = (await draw(agent)).one
        await left.wait()
    assert candidate.error is not None
    assert (candidate.error.code, candidate.text) == ("upstream_bad_reply", "1")


async def test_what_is_sent() -> None:
    """One well-formed request: its path and query, the host, the headers and the length."""
    seen = list[bytes]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await read_request(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CHAT) + CHAT)

    async with serve(handle) as url:
        headers = {"X-Team": "blue", "user-agent": "me"}
        async with Endpoint("m", base_url=f"{url}?a=b%20c", api_key="sk-1", headers=headers) as agent:
            await draw(agent, question="Grüße")
    head, body = seen
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/chat/completions?a=b%20c HTTP/1.1"
    named = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    assert len(named) == len([line for line in lines[1:] if line])
    assert named["host"] == url.removeprefix("http://").removesuffix("/v1")
    assert (named["authorization"], named["x-team"], named["user-agent"]) == ("bearer sk-1", "blue", "me")
    assert (named["content-type"], named["content-length"]) == ("application/json", str(len(body)))
    assert "Grüße" in body.decode()


async def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    """It closes after each reply without saying so beforehand."""
    handler = say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CHAT) + CHAT)
    async with serve(handler) as url, Endpoint("m", base_url=url, retries=ONCE) as agent:
        for _ in range(3):
            assert (await draw(agent)).texts == ["ok"]
            await asyncio.sleep(0.05)


async def test_unused_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, without another request: the server sees the end."""
    monkeypatch.setattr(http_module, "IDLE", 0.1)
    ended = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(CHAT), CHAT))
        assert await reader.read() == b""
        ended.set()

    async with serve(handler) as url, Endpoint("m", base_url=url) as agent:
        assert (await draw(agent)).texts == ["ok"]
        await asyncio.wait_for(ended.wait(), 10)


async def test_a_reader_who_is_slow_makes_the_server_wait() -> None:
    """A body of 64 MiB does not pile up here; it is cut off as it should be."""
    written = [0]

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for _ in range(80):
            writer.write(b": " + b"x" * 2**20 + b"\n")
            await writer.drain()
            written[0] += 1

    async with serve(handle) as url, Endpoint("m", base_url=url, retries=ONCE) as agent:
        candidate = (await draw(agent, live=True)).one
    assert candidate.error is not None
    assert "larger than" in candidate.error.message


async def test_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """With certificates that are checked: one that is known, and one that is not."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")

    async def answer_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CHAT) + CHAT)(reader, writer)

    async with serve(answer_twice, server) as url:
        async with Endpoint("m", base_url=url, retries=ONCE) as agent:
            candidate = (await draw(agent)).one
        assert candidate.error is not None
        assert (candidate.error.code, candidate.usage.requests) == ("upstream_unreachable", 1)
        assert "certificate" in candidate.error.message
        monkeypatch.setattr(http_module, "_ssl", lambda: ssl.create_default_context(cafile=TLS / "cert.pem"))
        async with Endpoint("m", base_url=url, retries=ONCE) as agent:
            assert (await draw(agent)).texts == ["ok"]
            assert (await draw(agent)).texts == ["ok"]


async def test_no_connection_in_time() -> None:
    """A server whose queue is full says nothing at all."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        async with Endpoint("m", base_url=url, retries=ONCE, timeouts=Timeouts(connect=0.2)) as agent:
            candidate = (await draw(agent)).one
        for filler in fillers:
            filler.close()
    assert candidate.error is not None
    assert (candidate.error.code, candidate.usage.requests) == ("upstream_unreachable", 1)
    assert "no connection in time" in candidate.error.message


@pytest.mark.parametrize("live", [False, True], ids=["before the reply", "in the middle"])
async def test_closing_ends_what_is_being_asked(live: bool) -> None:
    """It is told so at once, is not asked again, and is no fault of the server."""
    first = BreakerPolicy(failures=1)
    async with (
        ScriptedUpstream([Reply("a b", hold=asyncio.Event()) if live else Fault.hang(), Reply("c")]) as up,
        Endpoint("m", base_url=up.url, breaker=first) as agent,
    ):
        drawing = Drawing.of([0], live=live)
        task = asyncio.create_task(drawing.draw(agent, "?"))
        await (drawing.wait_until(lambda d: d.token_count > 0) if live else up.wait_until(lambda up: up.in_flight == 1))
        await agent.aclose()
        await asyncio.wait_for(task, 5)
        assert drawing.one.error is not None
        assert drawing.one.error.code == "model_closed"
        assert (await draw(agent)).texts == ["c"]
        assert len(up.requests) == 2


def test_on_uvloop() -> None:
    """The event loop of the server: plain, streamed, cut off, and closed by nobody."""

    async def play() -> None:
        async with ScriptedUpstream([Reply("a b"), Reply("a b"), Fault.close_midway(), Fault.hang()]) as up:
            agent = Endpoint("m", base_url=up.url, retries=ONCE, timeouts=Timeouts(first_byte=0.2, total=0.5))
            assert (await draw(agent)).texts == ["a b"]
            assert (await draw(agent, live=True)).texts == ["a b"]
            assert (await draw(agent, live=True)).one.error is not None
            assert (await draw(agent)).one.error is not None
            assert len(up.peers) == 2

    uvloop.run(play())
