"""The queue: its bounds, its order, and that nothing is lost when a request gives up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.config.server_settings import ApiKey, hash_key
from quorate.server.access.errors import Overloaded, QueueFull
from quorate.server.access.queue import FairQueue


def key(name: str, *, weight: float = 1.0, concurrency: int | None = None) -> ApiKey:
    return ApiKey(name=name, hash=hash_key(name), weight=weight, concurrency=concurrency)


ANN, BOB = key("ann"), key("bob")


async def held(queue: FairQueue, who: ApiKey, served: list[str], done: asyncio.Event, cost: float = 1.0) -> None:
    async with queue.place(who, cost):
        served.append(who.name)
        await done.wait()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def busy(queue: FairQueue, places: int = 1) -> AsyncIterator[asyncio.Event]:
    """All places taken until the event is set."""
    done = asyncio.Event()
    taken: list[str] = []
    tasks = [asyncio.create_task(held(queue, key("busy"), taken, done)) for _ in range(places)]
    await settle()
    assert len(taken) == places
    yield done
    done.set()
    await asyncio.gather(*tasks)


async def test_no_more_run_at_once_than_there_are_places() -> None:
    """The third of three waits until one of two has left."""
    queue = FairQueue(places=2, waiting=10, seconds=10)
    served: list[str] = []
    done = asyncio.Event()
    tasks = [asyncio.create_task(held(queue, ANN, served, done)) for _ in range(3)]
    await settle()
    assert (len(served), queue.running, queue.waiting) == (2, 2, 1)
    done.set()
    await asyncio.gather(*tasks)
    assert (len(served), queue.running, queue.waiting) == (3, 0, 0)


async def order(queue: FairQueue, arrivals: Sequence[tuple[ApiKey, float]]) -> list[str]:
    """Who is served in which order, one at a time, all having come while the only place was taken."""
    served: list[str] = []
    now = asyncio.Event()
    now.set()
    async with busy(queue) as first:
        tasks = []
        for who, cost in arrivals:
            tasks.append(asyncio.create_task(held(queue, who, served, now, cost)))
            await settle()
        first.set()
        await asyncio.gather(*tasks)
    return served


async def test_keys_take_turns() -> None:
    """A key that sent ten before another sent its first does not keep it waiting for all ten."""
    served = await order(FairQueue(places=1, waiting=50, seconds=10), [(ANN, 1.0)] * 10 + [(BOB, 1.0)] * 3)
    assert served[:6] == ["ann", "bob"] * 3


async def test_a_request_counts_by_its_work() -> None:
    """Votes over four samples get one turn for four of single calls."""
    served = await order(FairQueue(places=1, waiting=50, seconds=10), [(ANN, 4.0)] * 3 + [(BOB, 1.0)] * 9)
    assert Counter(served[:10]) == {"ann": 2, "bob": 8}


async def test_weights_divide_the_server() -> None:
    """A key of weight 3 is served three times as often."""
    heavy = key("heavy", weight=3.0)
    served = await order(FairQueue(places=1, waiting=50, seconds=10), [(ANN, 1.0)] * 12 + [(heavy, 1.0)] * 12)
    assert Counter(served[:12]) == {"heavy": 9, "ann": 3}


async def test_a_keys_own_limit_holds_nobody_else_up() -> None:
    """One at once for ann; her second waits while bob goes ahead."""
    queue = FairQueue(places=3, waiting=10, seconds=10)
    one = key("ann", concurrency=1)
    served: list[str] = []
    done = asyncio.Event()
    tasks = [asyncio.create_task(held(queue, who, served, done)) for who in (one, one, BOB)]
    await settle()
    assert served == ["ann", "bob"]
    done.set()
    await asyncio.gather(*tasks)
    assert served == ["ann", "bob", "ann"]


async def test_a_full_queue_says_when_to_come_back() -> None:
    """The one too many is refused with a time; those who wait are served."""
    queue = FairQueue(places=1, waiting=2, seconds=10)
    served: list[str] = []
    async with busy(queue) as done:
        tasks = [asyncio.create_task(held(queue, ANN, served, done)) for _ in range(2)]
        await settle()
        with pytest.raises(QueueFull, match="2 requests wait") as refused:
            async with queue.place(ANN):
                pass
        assert refused.value.status == 429
        assert (refused.value.retry_after or 0) >= 1
        done.set()
        await asyncio.gather(*tasks)
    assert served == ["ann", "ann"]


async def test_who_fills_the_queue_makes_room_for_others() -> None:
    """Bob's first pushes out the last of ann's three; of two as long as each other the newcomer is refused."""
    queue = FairQueue(places=1, waiting=3, seconds=10)
    served: list[str] = []
    async with busy(queue) as done:
        anns = [asyncio.create_task(held(queue, ANN, served, done)) for _ in range(3)]
        await settle()
        bob = asyncio.create_task(held(queue, BOB, served, done))
        await settle()
        assert [task.done() for task in anns] == [False, False, True]
        assert isinstance(anns[2].exception(), QueueFull)
        with pytest.raises(QueueFull):
            async with queue.place(BOB):
                pass
        done.set()
        await asyncio.gather(bob, *anns[:2])
    assert sorted(served) == ["ann", "ann", "bob"]


async def test_waiting_has_an_end() -> None:
    """No place in time is a 503 with a time to come back."""
    queue = FairQueue(places=1, waiting=5, seconds=0.01)
    async with busy(queue):
        with pytest.raises(Overloaded) as refused:
            async with queue.place(ANN):
                pass
    assert (refused.value.status, queue.waiting, queue.running) == (503, 0, 0)


async def test_no_places_to_wait_means_refusal_at_once() -> None:
    """A queue of length zero serves what it can and refuses the rest."""
    queue = FairQueue(places=1, waiting=0, seconds=5)
    async with busy(queue):
        with pytest.raises(QueueFull):
            async with queue.place(ANN):
                pass
    async with queue.place(ANN):
        assert queue.running == 1


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 6), st.integers(0, 12)), max_size=25),
    st.integers(1, 3),
    st.integers(0, 6),
)
async def test_places_are_never_lost(requests: list[tuple[str, int, int]], places: int, waiting: int) -> None:
    """However requests come, work, give up and are refused, in the end all places are free and none waits."""
    queue = FairQueue(places=places, waiting=waiting, seconds=5)
    most = 0

    async def one(name: str, delay: int, steps: int) -> None:
        nonlocal most
        for _ in range(delay):
            await asyncio.sleep(0)
        try:
            async with queue.place(key(name, concurrency=2 if name == "a" else None), 1.0):
                most = max(most, queue.running)
                for _ in range(steps):
                    await asyncio.sleep(0)
        except QueueFull:
            pass

    tasks = [asyncio.create_task(one(*request)) for request in requests]
    for number, task in enumerate(tasks):
        if number % 3 == 2:
            await asyncio.sleep(0)
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (queue.running, queue.waiting) == (0, 0)
    assert most <= places
