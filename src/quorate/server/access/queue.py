"""Who is served next when there is more to do than the server does at once.

Start-time fair queueing (Goyal, Vin and Cheng, 1996) between keys: each has a line of its own, and the line
that has had least for its weight goes next, where a request counts by the answers of models it takes. When all
places to wait are taken, the longest line loses its last (longest queue drop, Suter et al., 1998), so
a key that sends too much turns away its own requests and nobody else's.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from quorate.config.server_settings import ApiKey

from .errors import Overloaded, QueueFull

__all__ = ["FairQueue"]

SMOOTHING = 0.1
"""Weight of the latest request in the running mean of how long one takes."""


@dataclass(eq=False)
class _WaitingRequest:
    """One request that waits."""

    cost: float
    turn: asyncio.Future[None]


@dataclass(eq=False)
class _KeyQueue:
    """The requests of one key."""

    key: ApiKey
    waiting: deque[_WaitingRequest] = field(default_factory=deque)
    running: int = 0
    start: float = 0.0
    """Virtual time at which its next request may start."""

    @property
    def free(self) -> bool:
        """Whether the key itself allows one more at once."""
        return self.key.concurrency is None or self.running < self.key.concurrency

    @property
    def ready(self) -> bool:
        return bool(self.waiting) and self.free

    @property
    def length(self) -> float:
        """How many wait, for what the key weighs."""
        return len(self.waiting) / self.key.weight


class FairQueue:
    """Places for requests at once, and a bounded queue in front of them.

    Args:
        places: requests at once.
        waiting: how many further ones may wait.
        seconds: how long one may wait.
    """

    def __init__(self, *, places: int, waiting: int, seconds: float) -> None:
        self._places = places
        self._most_waiting = waiting
        self._seconds = seconds
        self._lines: dict[str, _KeyQueue] = {}
        self._now = 0.0
        self._mean: float | None = None
        self.running = 0
        self.waiting = 0

    def place(self, key: ApiKey, cost: float = 1.0) -> QueuePlace:
        """`async with`: a place to be served in, once it is this request's turn.

        Args:
            key: who asks.
            cost: how much of the server's work it takes, such as its number of samples.

        Raises:
            QueueFull: as many wait as may.
            Overloaded: no place came free in time.
        """
        return QueuePlace(self, self._lines.setdefault(key.name, _KeyQueue(key)), cost)

    async def await_turn(self, line: _KeyQueue, cost: float) -> None:
        """Waits for a place; see `place`."""
        if not line.waiting:
            line.start = max(line.start, self._now)
        ticket = _WaitingRequest(cost / line.key.weight, asyncio.get_running_loop().create_future())
        if self.running >= self._places or not line.free:
            self._make_room(line)
        line.waiting.append(ticket)
        self.waiting += 1
        self._admit()
        if ticket.turn.done():
            return
        try:
            async with asyncio.timeout(self._seconds):
                await ticket.turn
        except BaseException as error:
            self._withdraw(line, ticket)
            if isinstance(error, TimeoutError):
                raise Overloaded(f"no place came free in {self._seconds:g} s", self._expected_wait()) from None
            raise

    def _make_room(self, line: _KeyQueue) -> None:
        """Room for one more to wait."""
        if self.waiting < self._most_waiting:
            return
        full = QueueFull(f"{self.waiting} requests wait already", self._expected_wait())
        longest = max(self._lines.values(), key=lambda other: other.length)
        if line.length + 1 / line.key.weight >= longest.length:
            raise full
        last = longest.waiting.pop()
        self.waiting -= 1
        if not last.turn.done():
            last.turn.set_exception(full)

    def _admit(self) -> None:
        """Gives free places to those whose turn it is."""
        while self.running < self._places:
            line = min((each for each in self._lines.values() if each.ready), key=lambda e: e.start, default=None)
            if line is None:
                return
            ticket = line.waiting.popleft()
            self.waiting -= 1
            if ticket.turn.done():  # it gave up, but its task has not run yet
                continue
            self.running += 1
            line.running += 1
            self._now = max(self._now, line.start)
            line.start += ticket.cost
            ticket.turn.set_result(None)

    def _withdraw(self, line: _KeyQueue, ticket: _WaitingRequest) -> None:
        if ticket in line.waiting:
            line.waiting.remove(ticket)
            self.waiting -= 1
            ticket.turn.cancel()
        elif not ticket.turn.cancelled() and ticket.turn.exception() is None:
            self._leave(line)

    def leave(self, line: _KeyQueue, seconds: float) -> None:
        """A request of this line is through, after so many seconds."""
        self._learn(seconds)
        self._leave(line)

    def _leave(self, line: _KeyQueue) -> None:
        self.running -= 1
        line.running -= 1
        self._admit()

    def _learn(self, seconds: float) -> None:
        self._mean = seconds if self._mean is None else self._mean + SMOOTHING * (seconds - self._mean)

    def _expected_wait(self) -> float:
        """Seconds until those who wait now are likely through; at least one."""
        return max(1.0, (self._mean or 1.0) * (self.waiting + 1) / self._places)


class QueuePlace(AbstractAsyncContextManager[None]):
    """See `FairQueue.place`."""

    def __init__(self, queue: FairQueue, line: _KeyQueue, cost: float) -> None:
        self._queue, self._line, self._cost = queue, line, cost

    async def __aenter__(self) -> None:
        await self._queue.await_turn(self._line, self._cost)
        self._begun = time.monotonic()

    async def __aexit__(self, *_: object) -> None:
        self._queue.leave(self._line, time.monotonic() - self._begun)
