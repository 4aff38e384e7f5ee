"""A switch that ends runs from outside: what has come by then is their answer, as at a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Halt"]


class Halt:
    """Shared by all runs that one event should end, such as the shutdown of a server."""

    def __init__(self) -> None:
        self.reason: str | None = None
        """Why it was pulled; None as long as it was not."""
        self.at: float | None = None
        """When it was pulled, on the monotonic clock."""
        self._limits: set[asyncio.Timeout] = set()

    def pull(self, reason: str) -> None:
        """Ends all runs now; from the thread of their event loop."""
        if self.at is not None:
            return
        self.reason, self.at = reason, time.monotonic()
        for limit in self._limits:
            limit.reschedule(asyncio.get_running_loop().time())

    @contextmanager
    def ending(self, limit: asyncio.Timeout) -> Iterator[None]:
        """Inside, pulling the switch ends what the limit is around."""
        self._limits.add(limit)
        try:
            yield
        finally:
            self._limits.discard(limit)
