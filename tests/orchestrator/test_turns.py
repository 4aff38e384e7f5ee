"""Work that begins a few pieces a turn."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from quorate.orchestrator.turns import TOGETHER, Turns


@given(crowds=st.lists(st.integers(0, 7), max_size=12))
async def test_a_few_begin_in_each_turn_about_in_the_order_in_which_they_came(crowds: list[int]) -> None:
    """However many come in which turn of the loop."""
    turns, begun = Turns(), list[int]()

    async def work(number: int) -> None:
        await turns.take()
        begun.append(number)

    tasks: list[asyncio.Task[None]] = []
    for crowd in crowds:
        tasks += [asyncio.create_task(work(len(tasks) + i)) for i in range(crowd)]
        before = len(begun)
        await asyncio.sleep(0)
        assert len(begun) - before <= 2 * TOGETHER  # a turn of ours ends within one of the loop's
    await asyncio.gather(*tasks)
    assert sorted(begun) == list(range(len(tasks)))
    assert all(abs(place - number) <= 2 * TOGETHER for place, number in enumerate(begun))


async def test_callers_take_turns() -> None:
    """One piece of work is not behind a hundred of somebody else's."""
    turns, begun = Turns(), list[str]()

    async def work(caller: str) -> None:
        await turns.take(caller)
        begun.append(caller)

    tasks = [asyncio.create_task(work(caller)) for caller in [*["heavy"] * 100, "light"]]
    await asyncio.gather(*tasks)
    assert begun.index("light") <= 2 * TOGETHER


async def test_who_gives_up_takes_no_turn() -> None:
    """Those behind a cancelled one move up."""
    turns, begun = Turns(), list[int]()

    async def work(number: int) -> None:
        await turns.take()
        begun.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(3 * TOGETHER)]
    await asyncio.sleep(0)
    for task in tasks[TOGETHER:-1]:
        task.cancel()
    await tasks[-1]
    assert begun == [*range(TOGETHER), 3 * TOGETHER - 1]
