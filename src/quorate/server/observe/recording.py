"""The trace store's writer: a thread of its own, so that the event loop never waits for a disk.

The loop hands over what it has anyway; records are made, compressed and written here, many a transaction.
The queue is bounded: where the disk cannot keep up, traces are lost and counted, never requests.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from quorate.orchestrator.errors import QuorateError
from quorate.storage.traces import TraceStore

from .observation import Observation
from .tracing import trace_of

__all__ = ["Recorder"]

log = logging.getLogger("quorate.server")

MOST_WAITING = 10_000
"""Traces in memory."""
BATCH = 0.2
"""Seconds that traces wait for others to be written with."""
PRUNING = 60.0
"""Seconds between looks at age and size."""
COMPLAINING = 60.0
"""Seconds between two lines about the same trouble."""


class Recorder:
    """Writes traces to a file.

    Args:
        path: of the file.
        texts: whether traces hold what was asked and answered.
        days: after which traces are deleted.
        megabytes: beyond which the oldest are.
        lost: is told how many traces were not written.

    Raises:
        BadInput: the file cannot be used.
        DataError: it is something else, or broken.
    """

    def __init__(
        self, path: Path, *, texts: bool, days: float, megabytes: float, lost: Callable[[int], object]
    ) -> None:
        self._store = TraceStore(path)
        self._texts = texts
        self._seconds = days * 86400
        self._bytes = int(megabytes * 2**20)
        self._lost = lost
        self._waiting: deque[Observation] = deque()
        self._closing = threading.Event()
        self._pruned = self._complained = -float("inf")
        self._thread = threading.Thread(target=self._write, name="quorate-traces", daemon=True)
        self._thread.start()

    def put(self, seen: Observation) -> None:
        """Takes one request to be written; never waits."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(seen)
        else:
            self._lost(1)

    def close(self) -> None:
        """Writes what is left."""
        self._closing.set()
        self._thread.join()
        self._store.close()

    def _write(self) -> None:
        while not self._closing.wait(BATCH):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            if batch:
                self._store.add([trace_of(seen, texts=self._texts) for seen in batch])
            if time.monotonic() - self._pruned > PRUNING:
                self._pruned = time.monotonic()
                self._store.prune(before=time.time() - self._seconds, most_bytes=self._bytes)
        except QuorateError as error:
            self._complain(len(batch), error)
        except Exception as error:
            # A record that cannot be made must not end the thread, which would end all traces.
            self._complain(len(batch), error)

    def _complain(self, count: int, error: Exception) -> None:
        self._lost(count)
        if time.monotonic() - self._complained > COMPLAINING:
            self._complained = time.monotonic()
            log.error("%d traces could not be written", count, exc_info=error)
