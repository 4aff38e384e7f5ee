"""Below the routes: bodies with a limit, clients that leave, ids of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive, Scope

from quorate.orchestrator.errors import BadInput

__all__ = ["CALLER", "REQUEST_ID", "ClientGone", "TooLarge", "TooSlow", "read_body", "request_id", "while_connected"]

T = TypeVar("T")

CALLER = "quorate.caller"
"""Where the scope of a request has the name of its key."""
REQUEST_ID = "quorate.request_id"
"""Where the scope of a request has its id."""

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
    # `work` runs in this very task: each task more is a turn of the loop more, in which every other request
    # under way gets its turn first, so that under load all replies would wait for the slowest.
    here = asyncio.current_task()
    assert here is not None
    leaving = asyncio.create_task(_cancelled_when_gone(receive, here))
    try:
        return await work
    except asyncio.CancelledError:
        if leaving.done() and here.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        leaving.cancel()


async def _cancelled_when_gone(receive: Receive, task: asyncio.Task[Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()


def request_id(scope: Scope) -> str:
    """The request's id, the client's own or a fresh one."""
    return str(scope.get(REQUEST_ID, ""))
