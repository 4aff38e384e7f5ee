"""What math-verify says of two answers, remembered, and asked only where it can be killed.

math-verify needs the main thread's signals for its own timeout, and `9^{9^{9}}` keeps it busy for
ever; so it lives in `worker`. An answer that cannot be read in time, or that took part in two
comparisons that were cut off, is not asked about again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from functools import cache

from .pool import WorkerPool

__all__ = ["Algebra", "shared_algebra"]

log = logging.getLogger("quorate")

REMEMBERED = 16_384
MAX_STRIKES = 2


class Algebra:
    """Equivalence of two expressions in TeX, by computer algebra; usable from several event loops."""

    def __init__(self, pool: WorkerPool | None = None) -> None:
        self.pool = pool or WorkerPool()
        self._verdicts: dict[tuple[str, ...], bool] = {}
        self._strikes: Counter[str] = Counter()
        self._lock = threading.Lock()

    async def same(self, a: str, b: str) -> bool:
        """Whether math-verify finds them equivalent in either direction; False where that takes too long."""
        a, b = sorted((a, b))
        if (known := self._verdicts.get((a, b))) is not None:
            return known
        for answer in (a, b):
            if not await self._readable(answer):
                return False
        verdict = await self.pool.ask(a, b)
        if verdict is None:
            self._strikes.update((a, b))
        return self._remember((a, b), bool(verdict))

    async def _readable(self, answer: str) -> bool:
        if self._strikes[answer] >= MAX_STRIKES:
            return False
        if (known := self._verdicts.get((answer,))) is not None:
            return known
        return self._remember((answer,), bool(await self.pool.ask(answer)))

    def _remember(self, asked: tuple[str, ...], verdict: bool) -> bool:
        with self._lock:
            while len(self._verdicts) >= REMEMBERED:
                del self._verdicts[next(iter(self._verdicts))]
            if len(self._strikes) >= REMEMBERED:
                self._strikes.clear()
            self._verdicts[asked] = verdict
        return verdict

    async def aclose(self) -> None:
        """Ends the worker; the next question starts it again."""
        await self.pool.aclose()


def shared_algebra() -> Algebra:
    """The one of this process: pipelines share its worker and what it has learned."""
    return _algebra_of(os.getpid())


@cache
def _algebra_of(process: int) -> Algebra:
    """A forked process gets its own, for it has none of the threads and must not use its parent's pipes."""
    log.debug("equivalence worker of process %d", process)
    return Algebra()
