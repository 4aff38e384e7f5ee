"""What a connection may do before anybody knows who it is; against real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest

from quorate.server.http import protocol
from quorate.server.http.connection_limits import ConnectionLimits
from quorate.server.http.protocol import HEAD_BYTES, HEAD_LINES, PIPELINED

from ..conftest import Serving, Start, asked, wait_until
from ..scripted import Echo

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@asynccontextmanager
async def connect(served: Serving) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()


def status_of(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


async def read_reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of the next one."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
    return status_of(head), await reader.readexactly(size)


HEADS = {
    "a long one": (GET + b"a: " + b"x" * (HEAD_BYTES - 100) + b"\r\n\r\n", 200),
    "a longer one": (GET + b"a: " + b"x" * HEAD_BYTES + b"\r\n\r\n", 431),
    "many lines": (GET + b"a: b\r\n" * (HEAD_LINES - 1) + b"\r\n", 200),
    "more lines": (GET + b"a: b\r\n" * HEAD_LINES + b"\r\n", 431),
    "a long path": (b"GET /" + b"x" * HEAD_BYTES + b" HTTP/1.1\r\n\r\n", 431),
    "no end": (GET + b"a: " + b"x" * 20 * HEAD_BYTES, 431),
    "no end of lines": (GET + b"a: b\r\n" * 100_000, 431),
    "nonsense": (b"nonsense\r\n\r\n", 400),
}


async def test_a_head_has_a_size(start: Start) -> None:
    """Up to it everything is answered; beyond it there is an error that says so."""
    async with start(Echo()) as served:
        for what, (sent, status) in HEADS.items():
            async with connect(served) as (reader, writer):
                writer.write(sent)
                got, body = await read_reply(reader)
                assert got == status, what
                assert ("error" in json.loads(body)) == (status != 200), what


async def test_a_trailer_has_a_size(start: Start) -> None:
    """What may stand behind a body in pieces is a head without end, too."""
    async with start(Echo()) as served, connect(served) as (reader, writer):
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"1\r\n{\r\n0\r\na: " + b"x" * 20 * HEAD_BYTES)
        assert (await read_reply(reader))[0] == 431


async def test_requests_ahead_of_their_replies_are_bounded(start: Start) -> None:
    """Each waiting one takes memory; those within the bound are answered in their order."""
    async with start(Echo()) as served:
        async with connect(served) as (reader, writer):
            writer.write((GET + b"\r\n") * PIPELINED)
            assert [(await read_reply(reader))[0] for _ in range(PIPELINED)] == [200] * PIPELINED
        async with connect(served) as (reader, writer):
            writer.write((GET + b"\r\n") * 20 * PIPELINED)
            assert b"429 Too Many Requests" in await reader.readuntil(b"429 Too Many Requests")


async def test_a_head_has_a_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing is hung up on, who drips gets a 408, and a connection that was used before is no other."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    async with start(Echo()) as served:
        async with connect(served) as (reader, _):
            assert await reader.read() == b""
        for before in (b"", GET + b"\r\n"):
            async with connect(served) as (reader, writer):
                writer.write(before)
                if before:
                    assert (await read_reply(reader))[0] == 200
                writer.write(GET)
                assert (await read_reply(reader))[0] == 408


async def test_a_connection_that_waits_for_its_next_request_has_more_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two requests the time of a head does not run."""
    async with start(Echo()) as served, connect(served) as (reader, writer):
        for pause in (0, 0, 0.2):
            await asyncio.sleep(pause)
            writer.write(GET + b"\r\n")
            assert (await read_reply(reader))[0] == 200
            monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)


async def test_a_body_that_is_declared_too_large_is_refused_at_once(start: Start) -> None:
    """The 413 is there before any of the body is; a small rest is thrown away and the connection goes on."""
    async with start(Echo(), max_body_bytes=1000) as served, connect(served) as (reader, writer):
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"
        writer.write(head)
        assert (await read_reply(reader))[0] == 413
        writer.write(b" " * 5000 + GET + b"\r\n")
        assert (await read_reply(reader))[0] == 200


async def test_a_body_without_end_is_refused_at_its_first_byte_too_many(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what goes on coming ends the connection after a moment, for replies without a body to read, too."""
    monkeypatch.setattr(protocol, "LINGERING", 0.1)
    async with start(Echo(), max_body_bytes=1000) as served:
        for target, status in ((b"POST /v1/chat/completions", 413), (b"GET /health", 200)):
            async with connect(served) as (reader, writer):
                writer.write(target + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
                writer.write(b"3e9\r\n" + b" " * 1001 + b"\r\n")
                assert (await read_reply(reader))[0] == status
                while not reader.at_eof():
                    writer.write(b"1\r\n \r\n")
                    with suppress(ConnectionError, TimeoutError):
                        await asyncio.wait_for(reader.read(1), 0.01)


async def test_connections_are_bounded(start: Start) -> None:
    """One too many gets a 503 that says why; one that goes makes room."""
    async with start(Echo(), max_connections=2, max_connections_per_address=2) as served, connect(served) as (_, first):
        async with connect(served) as (reader, writer):
            writer.write(GET + b"\r\n")
            assert (await read_reply(reader))[0] == 200
            async with connect(served) as (refused, _):
                status, body = await read_reply(refused)
                assert status == 503
                assert "2 connections already" in json.loads(body)["error"]["message"]
                assert await refused.read() == b""
        first.close()
        await first.wait_closed()

        async def is_served() -> bool:
            return (await served.post()).status_code == 200

        await wait_until(is_served)


def test_connections_of_one_address_leave_room_for_others() -> None:
    """Each address has its own count."""
    limits = ConnectionLimits(4, 2)
    assert [limits.admit("a") is None for _ in range(3)] == [True, True, False]
    limits.leave("a")
    assert limits.admit("b") is None
    assert "your address" in (limits.admit("a") or "")
    assert "this server" in (limits.admit("b") or "")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("a.localhost.", 200),
        ("evil.example", 403),
        ("localhost.evil.example:80", 403),
        ("192.0.2.7", 403),
        ("[::1", 403),
    ],
)
async def test_a_foreign_host_is_refused_on_loopback_without_keys(start: Start, host: str, status: int) -> None:
    """A web page whose name leads to 127.0.0.1 must not spend this machine's tokens."""
    async with start(Echo()) as served:
        reply = await served.http.post("/v1/chat/completions", json=asked(), headers={"Host": host})
    assert reply.status_code == status
    if status == 403:
        assert "answers to localhost" in reply.json()["error"]["message"]


async def test_a_server_that_is_open_answers_to_any_name(start: Start) -> None:
    """As one with keys does."""
    async with start(Echo(), open=True) as served:
        reply = await served.http.get("/health", headers={"Host": "quorate.example"})
    assert reply.status_code == 200
