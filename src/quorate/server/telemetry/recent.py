"""The latest runs that somebody watched, in memory: so that their links open on a server without a trace store.

They hold texts, and are shown to the key that asked for them and to nobody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from quorate.storage.traces import Trace, TracedChoice, TraceLine, sum_up

from .record import RequestRecord
from .trace_writer import make_trace

__all__ = ["RecentRuns", "WatchedRun", "WatchedRuns", "make_run"]

MOST_BYTES = 64 * 2**20
"""Of all questions and events; then the oldest go. What a trace has beside a question stands in its events, too."""


@dataclass(frozen=True)
class WatchedRun:
    """One run, and how it looked."""

    trace: Trace
    """Without log-probabilities, which are many times its texts."""
    events: bytes
    """Server-sent events, as `/v1/events` sent them."""
    size: int
    """About the bytes that it takes."""


class WatchedRuns(Protocol):
    """Where watched runs are kept for a while."""

    def keep(self, run: WatchedRun) -> None:
        """Takes a run that is over; never waits."""
        ...

    async def find(self, identity: str, key: str) -> WatchedRun | None:
        """The latest of this id that the key asked for."""
        ...

    async def latest(self, limit: int, key: str) -> list[TraceLine]:
        """Those that the key asked for, the latest first."""
        ...


def make_run(record: RequestRecord) -> WatchedRun:
    """The run of a watched request that is over."""
    trace, events = make_trace(record, texts=True), b"".join(record.watched or ())
    choices = tuple(_drop_logprobs(choice) for choice in trace.choices)
    size = len(events) + len(str(trace.question))
    return WatchedRun(trace.model_copy(update={"choices": choices}), events, size)


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

    def keep(self, run: WatchedRun) -> None:
        """See `WatchedRuns`."""
        self._runs.append(run)
        self._bytes += run.size
        while len(self._runs) > self._most or (self._bytes > MOST_BYTES and len(self._runs) > 1):
            self._bytes -= self._runs.popleft().size

    async def find(self, identity: str, key: str) -> WatchedRun | None:
        """See `WatchedRuns`."""
        return next((run for run in self._of(key) if run.trace.id == identity), None)

    async def latest(self, limit: int, key: str) -> list[TraceLine]:
        """See `WatchedRuns`."""
        return [sum_up(run.trace) for run in self._of(key)][:limit]

    def _of(self, key: str) -> Iterator[WatchedRun]:
        return (run for run in reversed(self._runs) if run.trace.key == key)


def _drop_logprobs(choice: TracedChoice) -> TracedChoice:
    """The choice, with its candidates in one place alone."""
    candidates = tuple(each.model_copy(update={"logprobs": None}) for each in choice.candidates)
    answer = choice.answer and choice.answer.replace(candidates=())
    return choice.model_copy(update={"answer": answer, "candidates": candidates})
