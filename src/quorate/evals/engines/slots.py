"""How many samples are in flight, and whose turn it is.

Questions differ in how many samples they draw at a time, so a server is kept full by counting
samples: many questions are under way, each draw waits for as many free slots as it has samples, and
earlier questions go first, so that what is begun is finished.
"""

from __future__ import annotations

import heapq
import time
from asyncio import Future, get_running_loop
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from typing import Any

from quorate.agents.agent import Agent
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import CandidateFailed, CandidateFinished, Event
from quorate.orchestrator.protocols import Sampler
from quorate.orchestrator.types import Question

__all__ = ["SAMPLES", "Paced", "Slots", "Turn", "turn"]

SAMPLES = 256
"""Samples in flight where nobody says otherwise: what vLLM runs at once by default on most hardware."""


@dataclass
class Turn:
    """One pipeline's turn at one question: its place in the queue, and how long it stood in it."""

    place: int
    waited: float = 0.0
    """Seconds in which some draw of it was waiting."""
    waiting: int = 0

    @contextmanager
    def in_queue(self) -> Iterator[None]:
        self.waiting += 1
        start = time.monotonic()
        try:
            yield
        finally:
            self.waiting -= 1
            if not self.waiting:
                self.waited += time.monotonic() - start


_turn: ContextVar[Turn | None] = ContextVar("turn", default=None)


@contextmanager
def turn(place: int) -> Iterator[Turn]:
    """All draws inside, in tasks started inside too, stand in the queue at this place."""
    mine = Turn(place)
    token = _turn.set(mine)
    try:
        yield mine
    finally:
        _turn.reset(token)


class Slots:
    """Room for so many samples; who needs some and comes first in order gets them first.

    Args:
        capacity: samples in flight; a draw of more than that waits for all of it.

    Raises:
        BadInput: there is no room at all.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise BadInput(f"concurrency={capacity}: at least 1 sample must be in flight")
        self.capacity = self._free = capacity
        self._queue: list[tuple[int, int, int, Future[None]]] = []
        self._tickets = count()

    async def take(self, wanted: int) -> int:
        """Waits for so many slots, at most all there are; returns how many were taken."""
        wanted = min(wanted, self.capacity)
        if wanted <= self._free and not self._queue:
            self._free -= wanted
            return wanted
        mine = _turn.get() or Turn(0)
        granted: Future[None] = get_running_loop().create_future()
        heapq.heappush(self._queue, (mine.place, next(self._tickets), wanted, granted))
        with mine.in_queue():
            self._grant()
            try:
                await granted
            except BaseException:
                # Granted and cancelled at once: the slots go back.
                if granted.done() and not granted.cancelled():
                    self.give(wanted)
                else:
                    self._grant()
                raise
        return wanted

    def give(self, slots: int) -> None:
        """Slots are free again."""
        self._free += slots
        self._grant()

    def _grant(self) -> None:
        while self._queue and (self._queue[0][3].done() or self._queue[0][2] <= self._free):
            *_, wanted, granted = heapq.heappop(self._queue)
            if not granted.done():
                self._free -= wanted
                granted.set_result(None)


class Paced(Agent):
    """An agent whose draws wait for free slots; in all else it is the agent."""

    def __init__(self, agent: Sampler, slots: Slots) -> None:
        self.name = agent.name
        self._agent, self._slots = agent, slots

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        """See `protocols.Sampler`; every finished sample makes room at once."""
        held = await self._slots.take(len(indices))
        try:
            async with aclosing(self._agent.sample(question, indices, run)) as events:
                async for event in events:
                    if held and isinstance(event, CandidateFinished | CandidateFailed):
                        held -= 1
                        self._slots.give(1)
                    yield event
        finally:
            self._slots.give(held)

    async def aclose(self) -> None:
        close: Callable[[], Any] | None = getattr(self._agent, "aclose", None)
        if close is not None:
            await close()

    def __getattr__(self, name: str) -> Any:
        """What else is known of the agent: its kind, price, settings."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._agent, name)
