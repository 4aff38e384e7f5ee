"""The places among the requests at once to one server: whose turn it is.

Start-time fair queueing (Goyal, Vin and Cheng, 1996) between callers, as at the server's door, where a request counts
by the samples that it asks for. What differs: places are held for as long as an answer takes, and one caller's
requests begin and end together. So that whoever comes in between does not wait for all of that time, some free places
are kept for callers that were here lately and have nothing under way.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from itertools import count

from .limit import AdaptiveLimit

__all__ = ["Places"]

LATELY = 60.0
"""Seconds for which a caller is remembered."""
KEPT, FEWEST = 16, 4
"""One place in so many is kept at most, and none of fewer than so many."""


@dataclass(eq=False, slots=True)
class _CallerQueue:
    """The requests of one caller."""

    under_way: int = 0
    start: float = 0.0
    """Virtual time at which its next request may start."""
    left: float = 0.0
    """When it last had nothing to do, on the loop's clock."""
    waiting: list[tuple[float, int, float, asyncio.Future[None]]] = field(default_factory=list)
    """A heap: priority, number, cost for the caller's weight; those who gave up are still in it."""
    alive: int = 0
    """Of those."""


class Places:
    """The places of one event loop, under an adaptive limit.

    Callers share them by weight; of one caller's requests, the one with the lowest priority number is served first,
    then first come, first served.

    Args:
        ceiling: see `AdaptiveLimit`.
    """

    def __init__(self, ceiling: int | None = None) -> None:
        self.limit = AdaptiveLimit(ceiling, self._hand_out)
        self.taken = 0
        self.waiting = 0
        """Requests that wait for a place."""
        self._lines: dict[str, _CallerQueue] = {}
        self._queued: dict[str, _CallerQueue] = {}
        """Those in which somebody waits."""
        self._resting: dict[str, _CallerQueue] = {}
        """Those that have had nothing to do since lately, the longest first."""
        self._now = 0.0
        """Virtual time."""
        self._numbers = count()

    async def acquire(self, caller: str = "", *, weight: float = 1.0, samples: int = 1, priority: float = 0.0) -> None:
        """Waits for a place, and takes it.

        Args:
            caller: who asks.
            weight: its share of the places in proportion to other callers'.
            samples: that the request asks for.
            priority: among the requests of this caller, the lower, the sooner.
        """
        line = self._lines.get(caller)
        if line is None:
            line = self._lines[caller] = _CallerQueue()
        elif self._resting:
            self._resting.pop(caller, None)
        if not self.waiting and self._has_place(line):
            self._take(line)
            return
        if not line.alive:
            line.start = max(line.start, self._now)
            self._queued[caller] = line
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(line.waiting, (priority, next(self._numbers), samples / weight, place))
        line.alive += 1
        self.waiting += 1
        self._hand_out()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was handed out in the very moment
                self.release(caller)
            else:
                place.cancel()
                self._note_left(caller, line)
                self._rest(caller, line)
            raise

    def release(self, caller: str = "") -> None:
        """Gives a place of this caller back."""
        line = self._lines[caller]
        line.under_way -= 1
        self.taken -= 1
        self._rest(caller, line)
        if self.waiting:
            self._hand_out()

    def _has_place(self, line: _CallerQueue) -> bool:
        free = self.limit.value - self.taken
        if free > 0 and line.under_way and self._resting:
            self._forget(asyncio.get_running_loop().time() - LATELY)
            free -= min(len(self._resting), (self.limit.value + KEPT - FEWEST) // KEPT)
        return free > 0

    def _take(self, line: _CallerQueue) -> None:
        line.under_way += 1
        self.taken += 1

    def _hand_out(self) -> None:
        while self.waiting:
            ready = [
                (line.start, line.under_way, caller)
                for caller, line in self._queued.items()
                if line.waiting and self._has_place(line)
            ]
            if not ready:
                self.limit.note_shortage()
                return
            start, _, caller = min(ready)
            line = self._queued[caller]
            _, _, cost, place = heapq.heappop(line.waiting)
            if place.done():  # it gave up, but its task has not run yet
                continue
            self._now, line.start = max(self._now, start), start + cost
            self._take(line)
            self._note_left(caller, line)
            place.set_result(None)

    def _note_left(self, caller: str, line: _CallerQueue) -> None:
        """One of those who wait does so no more."""
        line.alive -= 1
        self.waiting -= 1
        if not line.alive:
            line.waiting.clear()
            del self._queued[caller]

    def _rest(self, caller: str, line: _CallerQueue) -> None:
        """Remembers the caller for a while if it has nothing more to do, and forgets others in time."""
        if not line.under_way and not line.alive:
            line.left = asyncio.get_running_loop().time()
            self._resting[caller] = line
            self._forget(line.left - LATELY)

    def _forget(self, before: float) -> None:
        while self._resting:
            caller, line = next(iter(self._resting.items()))
            if line.left >= before:
                return
            del self._resting[caller], self._lines[caller]
