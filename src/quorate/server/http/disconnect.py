"""Clients that leave before they have their reply."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

__all__ = ["ClientGone", "while_connected"]

T = TypeVar("T")


class ClientGone(Exception):
    """The client closed the connection before it had its reply."""


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled at once when the client leaves.

    Raises:
        ClientGone: the client left first; `work` has been cancelled and has cleaned up.
    """
    # `work` runs in this very task: each task more is a turn of the loop more, in which every other request
    # under way gets its turn first, so that under load all replies would wait for the slowest.
    here = asyncio.current_task()
    assert here is not None
    leaving = asyncio.create_task(_cancel_when_gone(receive, here))
    try:
        return await work
    except asyncio.CancelledError:
        if leaving.done() and here.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        leaving.cancel()


async def _cancel_when_gone(receive: Receive, task: asyncio.Task[Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()
