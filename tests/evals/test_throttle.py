"""Samples in flight never exceed the places, earlier questions go first, and nothing leaks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.evals.throttle import PrioritySemaphore, Throttled
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Question
from tests.evals.fakes import Guesser

ASKED = Question.of("What is 3 + 3?")


async def test_there_must_be_room() -> None:
    """One clear error."""
    with pytest.raises(BadInput, match="at least 1 sample"):
        PrioritySemaphore(0)


@given(st.integers(1, 9), st.lists(st.integers(1, 12), min_size=1, max_size=12), st.integers(0, 2**20))
@settings(max_examples=60, deadline=None)
async def test_what_is_held_never_exceeds_the_capacity_and_all_of_it_comes_back(
    capacity: int, wanted: list[int], seed: int
) -> None:
    """Whatever is asked, in whatever order it is given back, cancelled or not."""
    places, rng = PrioritySemaphore(capacity), random.Random(seed)
    held = 0

    async def draw(place: int, count: int) -> None:
        nonlocal held
        taken = await places.acquire(count, place)
        assert taken == min(count, capacity)
        held += taken
        assert held <= capacity
        try:
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
        finally:
            held -= taken
            places.release(taken)

    tasks = [asyncio.create_task(draw(rng.randrange(5), count)) for count in wanted]
    for task in tasks:
        await asyncio.sleep(0)
        if rng.random() < 0.2:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert held == 0
    assert await asyncio.wait_for(places.acquire(capacity), 5) == capacity


async def test_earlier_questions_get_free_slots_first() -> None:
    """Whoever came first: so questions end in about the order in which they began."""
    places, order = PrioritySemaphore(2), list[int]()
    assert await places.acquire(2) == 2

    async def draw(place: int) -> None:
        await places.acquire(2, place)
        order.append(place)
        places.release(2)

    tasks = [asyncio.create_task(draw(place)) for place in (7, 3, 9, 1)]
    await asyncio.sleep(0)
    places.release(2)
    await asyncio.gather(*tasks)
    assert order == [1, 3, 7, 9]


async def test_time_in_the_queue_is_told() -> None:
    """So that it can be left out of a pipeline's own time; what does not wait has waited nothing."""
    places = PrioritySemaphore(1)
    with places.time_queue(0) as first:
        await places.acquire(1, 0)

    async def wait() -> float:
        with places.time_queue(1) as mine:
            await places.acquire(1, 1)
            return mine.seconds

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0.02)
    places.release(1)
    assert first.seconds == 0
    assert await waiting > 0


class Counting(Guesser):
    """Knows how many of its samples are under way at once."""

    under_way = most = 0

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        self.under_way += len(slots)
        type(self).most = max(self.most, self.under_way)
        for slot in slots:
            slot.add_listener(self._note_end)
        await super().sample(question, slots, run)

    def _note_end(self, _: PartialCandidate) -> None:
        self.under_way -= 1


async def test_an_agent_draws_as_many_at_once_as_there_are_slots() -> None:
    """Across calls, and each finished sample makes room for another; else it is the agent it was."""
    agent = Counting(pause=0.001)
    throttled = Throttled(agent, PrioritySemaphore(8))

    async def draw(seed: int) -> int:
        run = RunContext(seed=seed)
        slots = [PartialCandidate(index, run) for index in range(4)]
        await throttled.sample(ASKED, slots, run)
        return sum(slot.result is not None and slot.result.ok for slot in slots)

    assert await asyncio.gather(*(draw(seed) for seed in range(20))) == [4] * 20
    assert 8 <= Counting.most <= 8 + 3
    assert throttled.identity is agent.identity
