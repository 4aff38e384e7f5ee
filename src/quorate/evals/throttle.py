"""How many samples are in flight, and whose turn it is.

Questions differ in how many samples they draw at a time, so a server is kept full by counting
samples: many questions are under way, each draw waits for as many free places as it has samples, and
earlier questions go first, so that what is begun is finished.
"""

from __future__ import annotations

import heapq
import time
from asyncio import Future, get_running_loop
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.model import Agent, Wrapper
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.protocols import Sampler
from quorate.orchestrator.types import Question

IN_FLIGHT = 256
"""Samples in flight where nobody says otherwise: what vLLM runs at once by default on most hardware."""


@dataclass(frozen=True)
class Drawn:
    """Samples that are drawn, calls of judges and synthesizers included; what the bank holds is not."""

    wanted: int = 0
    """Asked for so far."""
    ended: int = 0
    tokens: int = 0
    """Generated in those that have ended."""

    def __add__(self, other: Drawn) -> Drawn:
        return Drawn(self.wanted + other.wanted, self.ended + other.ended, self.tokens + other.tokens)


@dataclass
class QueueTime:
    """How long the draws of one priority stood in the queue."""

    seconds: float = 0.0
    """In which some draw was waiting; several at once count once."""
    samples: int = 0
    """Of these draws."""
    waiting: int = 0
    """Draws that wait now."""
    since: float = 0.0

    def begin(self) -> None:
        """A draw begins to wait."""
        if not self.waiting:
            self.since = time.monotonic()
        self.waiting += 1

    def end(self) -> None:
        """A draw waits no more."""
        self.waiting -= 1
        if not self.waiting:
            self.seconds += time.monotonic() - self.since


class PrioritySemaphore:
    """Places for so many samples; who needs some and comes first in order gets them first.

    Args:
        capacity: samples in flight; a draw of more than that waits for all of it.

    Raises:
        BadInput: there is no place at all.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise BadInput(f"concurrency={capacity}: at least 1 sample must be in flight")
        self.capacity = self._free = capacity
        self._queue: list[tuple[float, int, int, Future[None]]] = []
        self._tickets = count()
        self._times: dict[float, QueueTime] = {}
        self._drawn = Drawn()
        self.on_draw: Callable[[Drawn], None] | None = None
        """Told of all draws so far when samples are asked for, and when one has ended."""

    def note_draw(self, priority: float, samples: int) -> None:
        """A draw of so many samples begins to wait."""
        self._times.get(priority, QueueTime()).samples += samples
        self._tell(Drawn(wanted=samples))

    def note_end(self, slot: PartialCandidate) -> None:
        """A sample of a draw has ended."""
        self._tell(Drawn(ended=1, tokens=slot.result.usage.completion_tokens if slot.result else 0))

    def _tell(self, more: Drawn) -> None:
        self._drawn += more
        if self.on_draw is not None:
            self.on_draw(self._drawn)

    @contextmanager
    def time_queue(self, priority: float) -> Iterator[QueueTime]:
        """How long draws of this priority wait, inside."""
        measured = self._times[priority] = QueueTime()
        try:
            yield measured
        finally:
            self._times.pop(priority, None)

    async def acquire(self, wanted: int, priority: float = 0.0) -> int:
        """Waits for so many places, at most all there are; returns how many were taken."""
        wanted = min(wanted, self.capacity)
        if wanted <= self._free and not self._queue:
            self._free -= wanted
            return wanted
        granted: Future[None] = get_running_loop().create_future()
        heapq.heappush(self._queue, (priority, next(self._tickets), wanted, granted))
        measured = self._times.get(priority, QueueTime())
        measured.begin()
        self._grant()
        try:
            await granted
        except BaseException:
            # Granted and cancelled at once: the places go back.
            if granted.done() and not granted.cancelled():
                self.release(wanted)
            else:
                self._grant()
            raise
        finally:
            measured.end()
        return wanted

    def release(self, places: int) -> None:
        """Places are free again."""
        self._free += places
        self._grant()

    def _grant(self) -> None:
        while self._queue and (self._queue[0][3].done() or self._queue[0][2] <= self._free):
            *_, wanted, granted = heapq.heappop(self._queue)
            if not granted.done():
                self._free -= wanted
                granted.set_result(None)


class Throttled(Wrapper, Agent):
    """A model whose draws wait for free places, in the order of their runs' priorities; in all else it is the model."""

    model: Sampler

    def __init__(self, model: Sampler, places: PrioritySemaphore) -> None:
        super().__init__(model)
        self._places = places

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        """See `protocols.Sampler`; every sample that ends makes room at once."""
        self._places.note_draw(run.priority, len(slots))
        for slot in slots:
            slot.add_listener(self._places.note_end)
        held = await self._places.acquire(len(slots), run.priority)

        def free_place(_: PartialCandidate) -> None:
            nonlocal held
            if held:
                held -= 1
                self._places.release(1)

        for slot in slots:
            slot.add_listener(free_place)
        try:
            await self.model.sample(question, slots, run)
        finally:
            rest, held = held, 0
            self._places.release(rest)
