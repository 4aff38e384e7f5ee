"""Work that begins a few pieces at a time, so that a crowd of them does not hold up what is quick.

One turn of an event loop runs all that is ready. Three hundred requests that begin in one turn make it last a
quarter of a second, in which nothing else is served; the same requests, a few a turn, take the same time in all,
and others get their turn in between.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

__all__ = ["Turns"]

TOGETHER = 2
"""Pieces of work, of half a millisecond each, that begin in one turn of the event loop."""


class Turns:
    """Lets work begin, of one caller after the other, each one's first first; nobody waits where little comes."""

    def __init__(self) -> None:
        self._free = TOGETHER
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """By caller; whose turn it is stands first."""

    async def take(self, caller: str = "") -> None:
        """Returns when it is the turn of this caller, and of this work among the caller's."""
        if self._free:
            self._count()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        await turn

    def _count(self) -> None:
        if self._free == TOGETHER:
            asyncio.get_running_loop().call_soon(self._renew)
        self._free -= 1

    def _renew(self) -> None:
        """A turn of the loop is over."""
        self._free = TOGETHER
        while self._free and self._waiting:
            caller, queue = next(iter(self._waiting.items()))
            turn = queue.popleft()
            if queue:
                self._waiting.move_to_end(caller)
            else:
                del self._waiting[caller]
            if not turn.done():  # else whoever waited was cancelled
                self._count()
                turn.set_result(None)
