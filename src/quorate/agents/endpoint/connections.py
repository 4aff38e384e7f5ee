"""Open connections of each event loop, closed with it, with their owner, or when asked."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext
from typing import Any
from urllib.request import getproxies

import aiohttp

__all__ = ["Connections", "Lane"]

IDLE = 4.0
"""Seconds to keep an unused connection: less than the five after which uvicorn (so vLLM) closes it."""


@dataclass
class Lane:
    """What belongs to one event loop."""

    session: aiohttp.ClientSession
    slots: asyncio.Semaphore
    turn: asyncio.Lock
    """Of who waits for the rate: one at a time, first come, first served."""
    keeper: AsyncGenerator[None, None]
    finalizer: weakref.finalize[..., Any]


class Connections:
    """The connections to one server.

    Args:
        concurrency: requests at once, in each event loop.
        tls: whether the server is spoken to over TLS; its certificates take a tenth of a second to load.
    """

    def __init__(self, concurrency: int, *, tls: bool) -> None:
        self._concurrency = concurrency
        self._tls = tls
        self._open: dict[asyncio.AbstractEventLoop, Lane] = {}

    async def lane(self) -> Lane:
        """What belongs to the running event loop; made at its first request."""
        loop = asyncio.get_running_loop()
        lane = self._open.get(loop)
        if lane is None:
            session = _session(tls=self._tls)
            keeper = _kept(self._open, loop, session)
            # Whoever drops an endpoint without closing it leaves no open connection behind.
            finalizer = weakref.finalize(self, _close_soon, loop, keeper)
            finalizer.atexit = False
            slots = asyncio.Semaphore(self._concurrency)
            lane = self._open[loop] = Lane(session, slots, asyncio.Lock(), keeper, finalizer)
            await anext(keeper)
        return lane

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        lane = self._open.get(asyncio.get_running_loop())
        if lane is not None:
            await lane.keeper.aclose()


async def _kept(
    lanes: dict[asyncio.AbstractEventLoop, Lane], loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession
) -> AsyncGenerator[None, None]:
    """Holds connections open. A generator, because `asyncio.run` closes those that are left at its end."""
    try:
        yield
    finally:
        lanes.pop(loop).finalizer.detach()
        await session.close()


def _close_soon(loop: asyncio.AbstractEventLoop, keeper: AsyncGenerator[None, None]) -> None:
    async def close() -> None:
        await keeper.aclose()

    if not loop.is_closed():
        asyncio.run_coroutine_threadsafe(close(), loop)


@cache
def _ssl() -> SSLContext:
    import httpx  # knows where certificates are on every system; heavy, and most servers of models speak plain HTTP

    return httpx.create_ssl_context()


def _session(*, tls: bool) -> aiohttp.ClientSession:
    """aiohttp's pool; the number of connections is left to the endpoint's concurrency."""
    # Looking proxies up costs aiohttp two threads a request, so only where there are any.
    proxies = bool(getproxies())
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE, ssl=_ssl() if tls else True)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=proxies)
