"""Paths, methods, and replies as they lie on the wire."""

from __future__ import annotations

import asyncio

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from quorate.config.catalog import Catalog
from quorate.server import create_app

from ..conftest import Start, asked
from ..scripted import Echo


async def test_a_slash_at_the_end_changes_nothing(start: Start) -> None:
    """As of most servers."""
    async with start(Echo()) as served:
        assert (await served.http.get("/health/")).status_code == 200
        assert (await served.http.get("/v1/models/")).json()["object"] == "list"
        assert (await served.http.post("/v1/chat/completions/", json=asked())).status_code == 200


async def test_the_application_can_be_mounted() -> None:
    """Below a path of another one."""
    app = Starlette(routes=[Mount("/llm", app=create_app(Catalog({"echo": Echo()})))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        reply = await client.post("/llm/v1/chat/completions", json=asked())
        assert reply.json()["choices"][0]["message"]["content"] == "hello there"
        assert (await client.get("/llm/v1/models/echo")).json()["id"] == "echo"


async def test_a_reply_is_written_in_one_piece(start: Start) -> None:
    """Its head and its body: each write is a system call."""
    async with start(Echo()) as served:
        host, port = served.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        first = await reader.read(65536)
        writer.close()
        await writer.wait_closed()
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.endswith(b'{"status":"ok"}')
