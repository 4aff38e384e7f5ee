"""What computer algebra says of two answers, remembered, and asked only where it can be ended.

`9^{9^{9}}` would keep it busy for ever; so it lives in `worker`, in processes that are ended by their own processor
time: what is cut off does not depend on what else the machine does. Several callers are served in turn.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Hashable
from functools import cache

from .places import FairPlaces
from .processes import Child, Gone, Nursery

__all__ = ["Algebra", "WorkerPool", "shared_algebra"]

log = logging.getLogger("quorate")

REMEMBERED = 16_384
SECONDS = 1.0
"""Of a processor, for one question; the slowest honest ones take a tenth of it."""
MEMORY = 1 << 30
"""Address space of a worker, in bytes."""
WORKERS = 4
PLACES_EACH = 2
"""Workers that one caller's questions may keep busy."""
IDLE = 8
"""Children that wait for further questions."""
TRIES = 2
"""Where a worker ended before its time was up."""


class Algebra:
    """Equivalence of two expressions in TeX, by computer algebra; usable from several event loops.

    None stands for what took longer than the pool allows, or took its worker down.
    """

    def __init__(self, pool: WorkerPool | None = None) -> None:
        self.pool = pool or WorkerPool()
        self._replies: dict[tuple[str, ...], bool | None] = {}
        self._lock = threading.Lock()

    async def comparable(self, answer: str, caller: Hashable = None) -> bool | None:
        """Whether algebra can read an answer and compare it with another."""
        return await self._reply(caller, answer)

    async def same(self, a: str, b: str, caller: Hashable = None) -> bool | None:
        """Whether algebra finds two answers equivalent, in either direction."""
        return await self._reply(caller, *sorted((a, b)))

    async def _reply(self, caller: Hashable, *asked: str) -> bool | None:
        with self._lock:
            if asked in self._replies:
                return self._replies[asked]
        reply = await self.pool.ask(caller, *asked)
        with self._lock:
            while len(self._replies) >= REMEMBERED:
                del self._replies[next(iter(self._replies))]
            self._replies[asked] = reply
        return reply

    async def aclose(self) -> None:
        """Ends the workers; the next question starts them again."""
        await self.pool.aclose()


def shared_algebra() -> Algebra:
    """The one of this process: pipelines share its workers and what it has learned."""
    return _algebra_of(os.getpid())


@cache
def _algebra_of(process: int) -> Algebra:  # noqa: ARG001 - the key of the cache
    """A forked process gets its own, for it must not use its parent's sockets."""
    return Algebra()


class WorkerPool:
    """A few workers, asked from coroutines of any event loop.

    Args:
        workers: at once.
        each: of them for one caller.
        seconds: of a processor, for one question.
        memory: address space of a worker, in bytes.
    """

    def __init__(
        self, workers: int = WORKERS, each: int = PLACES_EACH, seconds: float = SECONDS, memory: int = MEMORY
    ) -> None:
        self._seconds = seconds
        self._places = FairPlaces(workers, each)
        self._nursery = Nursery(seconds, memory)
        self._idle: list[tuple[str, Child]] = []
        """With whose they were; a child that has computed is quicker than a new one, and others' bombs end it."""
        self._lock = threading.Lock()
        self.cut_off = 0
        """Questions that were given up."""

    async def ask(self, caller: Hashable, *answers: str) -> bool | None:
        """Whether one answer can be read, or two are equivalent; None if that took too long.

        Args:
            caller: whose question it is; callers take turns.
            answers: one or two.
        """
        async with self._places.held(caller):
            for _ in range(TRIES):
                began = time.monotonic()
                try:
                    child = self._take(caller) or await self._nursery.fork()
                    began = time.monotonic()
                    reply = await self._ask(caller, child, answers)
                except Gone as gone:
                    log.debug("equivalence of %r after %.1f s: %s", answers, time.monotonic() - began, gone)
                    if time.monotonic() - began >= self._seconds:
                        break
                else:
                    self.cut_off += reply is None
                    return reply
        self.cut_off += 1
        return None

    async def _ask(self, caller: Hashable, child: Child, answers: tuple[str, ...]) -> bool | None:
        reply = None
        try:
            reply = await child.ask(answers)
        finally:
            if reply is None or child.orphan:
                child.close()
            else:
                self._put(caller, child)
        return reply

    def _take(self, caller: Hashable) -> Child | None:
        """One that has computed for this caller."""
        with self._lock:
            for place in reversed(range(len(self._idle))):
                if self._idle[place][0] == _name(caller):
                    return self._idle.pop(place)[1]
        return None

    def _put(self, caller: Hashable, child: Child) -> None:
        with self._lock:
            self._idle.append((_name(caller), child))
            old = self._idle.pop(0)[1] if len(self._idle) > IDLE else None
        if old is not None:
            old.close()

    async def aclose(self) -> None:
        """Ends the processes, those that compute as soon as they have answered; the next question starts them again.

        Needs no thread, for it also runs while the interpreter shuts down, when none can be started.
        """
        self._nursery.close()
        with self._lock:
            idle, self._idle = self._idle, []
        for _, child in idle:
            child.close()


def _name(caller: Hashable) -> str:
    """Callers without a name share children."""
    return caller if isinstance(caller, str) else ""
