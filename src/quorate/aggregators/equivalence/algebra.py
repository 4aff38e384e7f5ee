"""What math-verify says of two answers, remembered, and asked only where it can be killed.

math-verify needs the main thread's signals for its own timeout, and `9^{9^{9}}` keeps it busy for
ever; so it lives in `worker`.
"""

from __future__ import annotations

import os
import threading
from functools import cache

from .pool import WorkerPool

__all__ = ["Algebra", "shared_algebra"]

REMEMBERED = 16_384


class Algebra:
    """Equivalence of two expressions in TeX, by computer algebra; usable from several event loops.

    None stands for what took longer than the pool allows, or took its worker down.
    """

    def __init__(self, pool: WorkerPool | None = None) -> None:
        self.pool = pool or WorkerPool()
        self._replies: dict[tuple[str, ...], bool | None] = {}
        self._lock = threading.Lock()

    async def comparable(self, answer: str) -> bool | None:
        """Whether math-verify can read an answer and compare it with another."""
        return await self._reply(answer)

    async def same(self, a: str, b: str) -> bool | None:
        """Whether math-verify finds two answers equivalent, in either direction."""
        return await self._reply(*sorted((a, b)))

    async def _reply(self, *asked: str) -> bool | None:
        with self._lock:
            if asked in self._replies:
                return self._replies[asked]
        reply = await self.pool.ask(*asked)
        with self._lock:
            while len(self._replies) >= REMEMBERED:
                del self._replies[next(iter(self._replies))]
            self._replies[asked] = reply
        return reply

    async def aclose(self) -> None:
        """Ends the worker; the next question starts it again."""
        await self.pool.aclose()


def shared_algebra() -> Algebra:
    """The one of this process: pipelines share its worker and what it has learned."""
    return _algebra_of(os.getpid())


@cache
def _algebra_of(process: int) -> Algebra:  # noqa: ARG001 - the key of the cache
    """A forked process gets its own, for it has none of the threads and must not use its parent's pipes."""
    return Algebra()
