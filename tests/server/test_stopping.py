"""A server that ends without draining: who has a connection gets a status."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter

import httpx
import pytest

from quorate.config.catalog import Catalog
from quorate.server import ServerSettings, run_server

from .conftest import asked, wait_until
from .scripted import Echo, Stuck


def come(port: int, got: Counter[str]) -> None:
    """Counts what one client after the other gets, each on a connection of its own, until one is refused."""
    body = json.dumps(asked()).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    while not got["refused"]:
        try:
            client = socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            got["refused"] += 1
            return
        with client:
            client.sendall(head.encode() + body)
            got[client.recv(65536)[9:12].decode()] += 1


@pytest.mark.parametrize("seconds", [0.0, 10.0])
async def test_every_open_request_gets_a_status(seconds: float) -> None:
    """Those that were under way to a server that stops, too: only who comes later finds nobody."""
    async with run_server(Catalog({"echo": Echo()}), ServerSettings(port=0, shutdown_seconds=seconds)) as url:
        port = int(url.rpartition(":")[2])
        got = [Counter[str]() for _ in range(4)]
        clients = [asyncio.create_task(asyncio.to_thread(come, port, mine)) for mine in got]
        await wait_until(lambda: all(mine["200"] > 8 for mine in got))
    await asyncio.gather(*clients)
    assert set().union(*got) <= {"200", "503", "refused"}


async def test_requests_that_hang_end_with_a_status() -> None:
    """Those that have a place and those that wait for one."""
    model = Stuck("echo")
    settings = ServerSettings(port=0, shutdown_seconds=0.1, max_concurrent=1)
    async with httpx.AsyncClient(timeout=30) as client:
        async with run_server(Catalog({"echo": model}), settings) as url:
            asking = [asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=asked())) for _ in range(3)]
            await model.asked.wait()
        assert {reply.status_code for reply in await asyncio.gather(*asking)} <= {503, 504}
