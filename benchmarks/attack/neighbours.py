"""Two keys of one server: what one of them does all the time, and what the other one sees of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from quorate.config.server_settings import hash_key

from .row import Target

__all__ = ["KEYS", "Asker", "Reply", "crowd", "open_asker"]

KEYS = {"keys": [{"name": name, "hash": hash_key(name)} for name in ("heavy", "light")]}
"""Settings of the server."""


@dataclass(frozen=True)
class Reply:
    """Of one request."""

    seconds: float
    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Asker:
    """Who asks with one key, over connections that stay open."""

    session: aiohttp.ClientSession
    target: Target
    key: str

    async def ask(self, model: str, content: str = "What is 6 * 9?", **fields: Any) -> Reply:
        begun = time.perf_counter()
        body = {"model": model, "messages": [{"role": "user", "content": content}], **fields}
        headers = {"Authorization": f"Bearer {self.key}"}
        url = f"{self.target.url}/v1/chat/completions"
        async with self.session.post(url, json=body, headers=headers) as reply:
            told = await reply.json()
        return Reply(time.perf_counter() - begun, reply.status, told)


@asynccontextmanager
async def open_asker(target: Target, key: str) -> AsyncIterator[Asker]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Asker(session, target, key)


@asynccontextmanager
async def crowd(asker: Asker, clients: int, model: str, content: Callable[[int], str]) -> AsyncIterator[list[Reply]]:
    """So many clients that ask one after the other; the replies so far."""
    replies: list[Reply] = []

    async def client(number: int) -> None:
        await asyncio.sleep(number / clients)
        while True:
            replies.append(await asker.ask(model, content(len(replies))))

    tasks = [asyncio.create_task(client(number)) for number in range(clients)]
    try:
        yield replies
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
