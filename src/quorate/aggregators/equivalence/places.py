"""A few places for those who wait in any event loop, in turn by who asks (start-time fair queueing).

Goyal, Vin and Cheng, SIGCOMM 1996; what a caller is charged is the time for which it held places. Beside the paper,
one caller holds at most some of the places, so that another's short question never waits for all its long ones.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from concurrent.futures import Future
from contextlib import asynccontextmanager

__all__ = ["FairPlaces"]


class FairPlaces:
    """Places, each held by one caller at a time.

    Args:
        places: in all.
        each: at once by one caller.
    """

    def __init__(self, places: int, each: int) -> None:
        self._free, self._each = places, each
        self._lock = threading.Lock()
        self._held: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[Future[None]]] = {}
        self._due: dict[Hashable, float] = {}
        """From when on a caller's next question would be served if places were handed out without a break."""
        self._now = 0.0
        """That of the question that was served last."""

    @asynccontextmanager
    async def held(self, caller: Hashable) -> AsyncIterator[None]:
        """A place, as soon as it is this caller's turn."""
        turn: Future[None] = Future()
        with self._lock:
            self._waiting.setdefault(caller, deque()).append(turn)
            self._hand_out()
        began = None
        try:
            if not turn.done():
                await asyncio.wrap_future(turn)
            began = time.monotonic()
            yield
        finally:
            with self._lock:
                if turn.cancel():
                    self._forget(caller, turn)
                else:
                    self._take_back(caller, 0.0 if began is None else time.monotonic() - began)
                    self._hand_out()

    def _hand_out(self) -> None:
        while self._free and (ready := [c for c in self._waiting if self._held[c] < self._each]):
            caller = min(ready, key=lambda c: max(self._now, self._due.get(c, 0.0)))
            turn = self._waiting[caller].popleft()
            if not self._waiting[caller]:
                del self._waiting[caller]
            if not turn.set_running_or_notify_cancel():
                continue
            self._now = max(self._now, self._due.get(caller, 0.0))
            self._held[caller] += 1
            self._free -= 1
            turn.set_result(None)

    def _take_back(self, caller: Hashable, seconds: float) -> None:
        self._free += 1
        self._held[caller] -= 1
        self._due[caller] = max(self._now, self._due.get(caller, 0.0)) + seconds
        if not self._held[caller]:
            del self._held[caller]
        idle = not self._held and not self._waiting
        self._now = 0.0 if idle else self._now
        self._due = {} if idle else {c: due for c, due in self._due.items() if due > self._now}

    def _forget(self, caller: Hashable, turn: Future[None]) -> None:
        if turn in (waiting := self._waiting.get(caller, deque())):
            waiting.remove(turn)
        if not waiting:
            self._waiting.pop(caller, None)
