"""A server that ends without draining: who has a connection gets a status."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter

import httpx
import pytest

from quorate.config.catalog import Catalog
from quorate.server import ServerSettings, run_server

from .conftest import asked
from .scripted import Echo, Stuck

COMING = 1.0
"""Seconds in which clients come, in whose middle the server is told to end."""


def come(port: int) -> Counter[str]:
    """What one client after the other gets, each on a connection of its own."""
    got: Counter[str] = Counter()
    body = json.dumps(asked()).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    until = time.monotonic() + COMING
    while time.monotonic() < until:
        try:
            client = socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            got["refused"] += 1
            time.sleep(0.01)
            continue
        with client:
            client.sendall(head.encode() + body)
            got[client.recv(65536)[9:12].decode()] += 1
    return got


@pytest.mark.parametrize("seconds", [0.0, 10.0])
async def test_every_open_request_gets_a_status(seconds: float) -> None:
    """Those that were under way to a server that stops, too: only who comes later finds nobody."""
    async with run_server(Catalog({"echo": Echo()}), ServerSettings(port=0, shutdown_seconds=seconds)) as url:
        port = int(url.rpartition(":")[2])
        clients = [asyncio.create_task(asyncio.to_thread(come, port)) for _ in range(4)]
        await asyncio.sleep(COMING / 2)
    got = sum(await asyncio.gather(*clients), Counter[str]())
    assert got["200"]
    assert got["refused"]
    assert set(got) <= {"200", "503", "refused"}


async def test_requests_that_hang_end_with_a_status() -> None:
    """Those that have a place and those that wait for one."""
    model = Stuck("echo")
    settings = ServerSettings(port=0, shutdown_seconds=0.1, max_concurrent=1)
    async with httpx.AsyncClient(timeout=30) as client:
        async with run_server(Catalog({"echo": model}), settings) as url:
            asking = [asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=asked())) for _ in range(3)]
            await model.asked.wait()
        assert {reply.status_code for reply in await asyncio.gather(*asking)} <= {503, 504}
