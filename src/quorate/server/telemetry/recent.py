"""The latest runs that somebody watched, in memory: so that their links open on a server without a trace store.

They hold texts, and are shown to the key that asked for them and to nobody else.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from quorate.storage.traces import Trace, TraceLine, sum_up

from .record import RequestRecord
from .trace_writer import make_trace

__all__ = ["RecentRuns", "WatchedRun"]

MOST_BYTES = 32 * 2**20
"""Of all that was told of them, compressed; then the oldest go."""


@dataclass(frozen=True)
class WatchedRun:
    """One run, and how it looked."""

    trace: Trace
    told: bytes
    """The events, as they were sent, compressed."""

    @property
    def events(self) -> bytes:
        """Server-sent events, as `/v1/events` sent them."""
        return zlib.decompress(self.told)


class RecentRuns:
    """A bounded number of watched runs.

    Args:
        most: of them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._runs: deque[WatchedRun] = deque()
        """The oldest first."""
        self._bytes = 0

    def put(self, record: RequestRecord) -> None:
        """Keeps a run that is over."""
        told = zlib.compress(b"".join(record.watched or ()), 1)
        self._runs.append(WatchedRun(make_trace(record, texts=True), told))
        self._bytes += len(told)
        while len(self._runs) > self._most or (self._bytes > MOST_BYTES and len(self._runs) > 1):
            self._bytes -= len(self._runs.popleft().told)

    def find(self, identity: str, key: str) -> WatchedRun | None:
        """The latest of this id that the key asked for."""
        return next((run for run in self._of(key) if run.trace.id == identity), None)

    def latest(self, limit: int, key: str) -> list[TraceLine]:
        """Those that the key asked for, the latest first."""
        return [sum_up(run.trace) for run in self._of(key)][:limit]

    def _of(self, key: str) -> Iterator[WatchedRun]:
        return (run for run in reversed(self._runs) if run.trace.key == key)
