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
import httpx
from httpx_aiohttp import AiohttpTransport

__all__ = ["Connections", "Lane"]

IDLE = 4.0
"""Seconds to keep an unused connection: less than the five after which uvicorn (so vLLM) closes it."""


@dataclass
class Lane:
    """What belongs to one event loop."""

    transport: AiohttpTransport
    slots: asyncio.Semaphore
    keeper: AsyncGenerator[None, None]
    finalizer: weakref.finalize[..., Any]


class Connections:
    """The connections to one server.

    Args:
        concurrency: requests at once, in each event loop.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._open: dict[asyncio.AbstractEventLoop, Lane] = {}

    async def lane(self) -> Lane:
        """What belongs to the running event loop; made at its first request."""
        loop = asyncio.get_running_loop()
        lane = self._open.get(loop)
        if lane is None:
            transport = _transport()
            keeper = _kept(self._open, loop, transport)
            # Whoever drops an endpoint without closing it leaves no open connection behind.
            finalizer = weakref.finalize(self, _close_soon, loop, keeper)
            finalizer.atexit = False
            lane = self._open[loop] = Lane(transport, asyncio.Semaphore(self._concurrency), keeper, finalizer)
            await anext(keeper)
        return lane

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        lane = self._open.get(asyncio.get_running_loop())
        if lane is not None:
            await lane.keeper.aclose()


async def _kept(
    lanes: dict[asyncio.AbstractEventLoop, Lane], loop: asyncio.AbstractEventLoop, transport: AiohttpTransport
) -> AsyncGenerator[None, None]:
    """Holds connections open. A generator, because `asyncio.run` closes those that are left at its end."""
    try:
        yield
    finally:
        lanes.pop(loop).finalizer.detach()
        await transport.aclose()


def _close_soon(loop: asyncio.AbstractEventLoop, keeper: AsyncGenerator[None, None]) -> None:
    async def close() -> None:
        await keeper.aclose()

    if not loop.is_closed():
        asyncio.run_coroutine_threadsafe(close(), loop)


@cache
def _ssl() -> SSLContext:
    return httpx.create_ssl_context()


def _transport() -> AiohttpTransport:
    """aiohttp's pool; the number of connections is left to the endpoint's concurrency.

    Used without an httpx client, which would only add cookies, redirects and time.
    """
    # Looking proxies up costs aiohttp two threads a request, so only where there are any.
    proxies = bool(getproxies())

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE, ssl=_ssl())
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=proxies)

    return AiohttpTransport(verify=_ssl(), client=session)
