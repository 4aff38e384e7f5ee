"""Below the routes: bodies with a limit, clients that leave, ids of requests."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quorate.orchestrator.errors import BadInput

__all__ = ["ClientGone", "RequestIds", "TooLarge", "TooSlow", "read_body", "request_id", "while_connected"]

T = TypeVar("T")

DRAINED = 4
"""A body over the limit is read on up to this many times the limit, so that the client gets to read our 413."""


class TooLarge(BadInput):
    """The body is over the limit."""

    status = 413
    code = "body_too_large"


class TooSlow(BadInput):
    """The body takes too long to arrive."""

    status = 408
    code = "body_too_slow"


class ClientGone(Exception):
    """The client closed the connection before it had its reply."""


async def read_body(receive: Receive, limit: int, seconds: float) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it has more than `limit` bytes.
        TooSlow: it was not there in time.
        ClientGone: it ended before its end.
    """
    try:
        async with asyncio.timeout(seconds):
            body = await _body(receive, limit)
    except TimeoutError:
        raise TooSlow(f"the body did not arrive within {seconds:g} s") from None
    if body is None:
        raise TooLarge(f"the body is larger than the {limit} bytes that this server allows")
    return body


async def _body(receive: Receive, limit: int) -> bytes | None:
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= DRAINED * limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts) if size <= limit else None


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled at once when the client leaves.

    Raises:
        ClientGone: the client left first; `work` has been cancelled and has cleaned up.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class RequestIds:
    """Gives every request an id, the client's own where it sent a plain one, and every reply its `x-request-id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"x-request-id"), "")
        identity = given if re.fullmatch(r"[A-Za-z0-9._-]{1,128}", given) else uuid.uuid4().hex
        scope["quorate.request_id"] = identity

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = identity
            await send(message)

        await self._app(scope, receive, named)


def request_id(scope: Scope) -> str:
    return str(scope.get("quorate.request_id", ""))
