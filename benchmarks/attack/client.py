"""What all attackers have in common: requests byte by byte, and somebody who asks for the server's health meanwhile."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, TypeVar

__all__ = ["HEALTH", "ask", "beside", "connect", "exchange", "make_request", "quantile", "read_status", "watch_health"]

T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BYSTANDER = "127.0.0.2"
"""The address of who asks for the server's health: not that of the attackers."""


def make_request(target: str, body: bytes = b"", key: str = "") -> bytes:
    head = f"{'POST' if body else 'GET'} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    head += f"Authorization: Bearer {key}\r\n" if key else ""
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def ask(model: str, content: str = "What is 6 * 9?", *, key: str = "", **fields: Any) -> bytes:
    body = {"model": model, "messages": [{"role": "user", "content": content}], **fields}
    return make_request("/v1/chat/completions", json.dumps(body).encode(), key)


HEALTH = make_request("/health")


@asynccontextmanager
async def connect(port: int, address: str = "") -> AsyncIterator[Streams]:
    local = (address, 0) if address else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=local)
    try:
        yield reader, writer
    finally:
        writer.close()


async def exchange(port: int, request: bytes, address: str = "") -> bytes:
    """The reply to a request on a connection of its own; nothing where nothing is asked."""
    async with connect(port, address) as (reader, writer):
        writer.write(request)
        return await reader.read() if request else b""


async def read_status(reader: asyncio.StreamReader) -> int:
    """Of the next reply; 0 where the connection ends instead."""
    try:
        line = await reader.readline()
    except OSError:
        return 0
    return int(line.split()[1]) if line else 0


async def watch_health(port: int, until: asyncio.Event) -> list[float]:
    """Seconds that each question took, one after the other."""
    took = []
    while not until.is_set():
        begun = time.monotonic()
        reply = await exchange(port, HEALTH, BYSTANDER)
        assert reply.startswith(b"HTTP/1.1 200"), reply[:200]
        took.append(time.monotonic() - begun)
        await asyncio.sleep(0.02)
    return took


@asynccontextmanager
async def beside(function: Callable[..., T], *arguments: Any) -> AsyncIterator[asyncio.Future[T]]:
    """A function that begins now in a process of its own, where it does not slow the clock down that runs here."""
    loop = asyncio.get_running_loop()
    apart = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, apart, initializer=import_module, initargs=(function.__module__,)) as pool:
        await loop.run_in_executor(pool, os.getpid)  # it is there
        yield loop.run_in_executor(pool, function, *arguments)


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile, a value that occurred."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
