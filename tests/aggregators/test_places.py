"""Places handed out in turn by who asks."""

from __future__ import annotations

import asyncio

from quorate.aggregators.equivalence.places import FairPlaces


async def test_one_caller_holds_some_places_only() -> None:
    """The others stay for others, however long its queue."""
    places, inside, go = FairPlaces(3, 2), list[str](), asyncio.Event()

    async def work(caller: str) -> None:
        async with places.held(caller):
            inside.append(caller)
            await go.wait()

    tasks = [asyncio.create_task(work(caller)) for caller in "aaaabb"]
    for _ in range(5):
        await asyncio.sleep(0)
    assert inside == ["a", "a", "b"]
    go.set()
    await asyncio.gather(*tasks)
    assert sorted(inside) == list("aaaabb")
    assert (places._free, dict(places._held), places._waiting) == (3, {}, {})


async def test_who_has_had_least_goes_first() -> None:
    """A caller that comes late does not wait for all that another has in the queue."""
    places, order, go = FairPlaces(1, 1), list[str](), asyncio.Event()

    async def work(caller: str) -> None:
        async with places.held(caller):
            await go.wait()
            order.append(caller)
            await asyncio.sleep(0.002)

    tasks = [asyncio.create_task(work(caller)) for caller in ["a"] * 4 + ["b"]]
    for _ in range(5):
        await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "a", "a", "a"]


async def test_who_leaves_the_queue_takes_nothing() -> None:
    """Cancelled while it waits, or in the turn in which it gets its place."""
    places = FairPlaces(1, 1)

    async def work() -> None:
        async with places.held("a"):
            await asyncio.sleep(0)

    for turns in range(6):
        tasks = [asyncio.create_task(work()) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (places._free, dict(places._held), places._waiting) == (1, {}, {})


def test_loops_in_several_threads_share_them() -> None:
    """Whoever waits in one loop is woken by who leaves in another."""
    places = FairPlaces(1, 1)

    async def work(caller: int) -> int:
        async with places.held(caller):
            await asyncio.sleep(0.001)
        return caller

    async def threads() -> list[int]:
        return await asyncio.gather(*(asyncio.to_thread(asyncio.run, work(n)) for n in range(6)))

    assert asyncio.run(threads()) == list(range(6))
