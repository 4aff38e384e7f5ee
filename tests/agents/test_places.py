"""The places at a server: in what order they are handed out, on a clock of its own, and that none is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quorate import Endpoint
from quorate.agents.endpoint.places import LATELY, Places
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.types import Question
from quorate.testing import Reply, ScriptedUpstream

from .asking import Drawing


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock jumps to the next timer: an hour takes no time."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def play(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)


async def ask(places: Places, caller: str, seconds: float = 1.0, **how: Any) -> float:
    """One call; how long it took with the wait."""
    begun = asyncio.get_running_loop().time()
    await places.acquire(caller, **how)
    await asyncio.sleep(seconds)
    places.release(caller)
    return asyncio.get_running_loop().time() - begun


async def vote(places: Places, caller: str, n: int, **how: Any) -> float:
    return max(await asyncio.gather(*(ask(places, caller, **how) for _ in range(n))))


class Crowd:
    """`async with`: so many clients of one caller, each with one vote after the other."""

    def __init__(self, places: Places, clients: int, n: int, caller: str = "heavy", **how: Any) -> None:
        self.votes = 0
        self._args = places, caller, n
        self._how, self._clients = how, clients

    async def _client(self) -> None:
        while True:
            await vote(*self._args, **self._how)
            self.votes += 1

    async def __aenter__(self) -> Crowd:
        self._tasks = [asyncio.create_task(self._client()) for _ in range(self._clients)]
        await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def test_a_single_call_beside_a_crowd_takes_half_as_long_again_at_most() -> None:
    """64 clients of votes over sixteen at 16 places: a place is kept, though theirs all end at the same moments."""

    async def main() -> None:
        places, took = Places(ceiling=16), list[float]()
        await ask(places, "light")
        async with Crowd(places, 64, 16) as crowd:
            for number in range(50):
                await asyncio.sleep(0.37 + number / 100)
                took.append(await ask(places, "light"))
        assert max(took) <= 1.5
        assert crowd.votes > 50  # 1 second each at 16 places, of which one is kept

    play(main())


def test_a_vote_beside_a_crowd_is_through_in_two_turns() -> None:
    """Its second sample waits for places that become free, and then comes first."""

    async def main() -> None:
        places = Places(ceiling=16)
        await ask(places, "light")
        async with Crowd(places, 64, 16):
            for number in range(20):
                await asyncio.sleep(0.37 + number / 50)
                assert await vote(places, "light", 5) <= 2.01

    play(main())


def test_who_has_not_been_here_lately_keeps_no_place() -> None:
    """One caller alone has all of them."""

    async def main() -> None:
        places = Places(ceiling=16)
        await ask(places, "light")
        async with Crowd(places, 4, 16):
            assert places.taken == 15
            await asyncio.sleep(LATELY + 2)
            assert places.taken == 16

    play(main())


def test_callers_share_by_weight() -> None:
    """Three times the weight, three times the calls; one that asks for four samples counts as four calls."""

    async def main() -> None:
        places = Places(ceiling=8)
        async with (
            Crowd(places, 40, 1, "one") as one,
            Crowd(places, 40, 1, "three", weight=3.0) as three,
            Crowd(places, 40, 1, "together", samples=4) as together,
        ):
            await asyncio.sleep(200)
        total = one.votes + three.votes + together.votes
        shares = Counter({crowd: round(crowd.votes / total * 17) for crowd in (one, three, together)})
        assert [shares[crowd] for crowd in (one, three, together)] == [4, 12, 1]

    play(main())


async def test_a_light_caller_does_not_stand_behind_a_heavy_one() -> None:
    """Places are handed out in turn: after a hundred waiting requests of one, the other's is the next but one."""
    places, order = Places(ceiling=1), list[str]()
    await places.acquire()

    async def ask(caller: str) -> None:
        await places.acquire(caller)
        order.append(caller)
        places.release(caller)

    heavy = [asyncio.create_task(ask("heavy")) for _ in range(100)]
    await asyncio.sleep(0)
    light = [asyncio.create_task(ask("light")) for _ in range(2)]
    await asyncio.sleep(0)
    places.release()
    await asyncio.gather(*heavy, *light)
    assert order[:5] == ["heavy", "light", "heavy", "light", "heavy"]
    assert places.taken == 0


async def test_one_callers_requests_wait_by_priority_then_in_order() -> None:
    """The lower number first."""
    places, order = Places(ceiling=1), list[int]()
    await places.acquire()

    async def ask(number: int, priority: float) -> None:
        await places.acquire("", priority=priority)
        order.append(number)
        places.release()

    tasks = [asyncio.create_task(ask(number, priority)) for number, priority in enumerate([1.0, 0.0, 1.0, -1.0])]
    await asyncio.sleep(0)
    places.release()
    await asyncio.gather(*tasks)
    assert order == [3, 1, 0, 2]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40), st.integers(1, 4))
def test_no_place_is_lost(asks: list[tuple[str, bool]], ceiling: int) -> None:
    """Whoever is cancelled while waiting, or in the moment of being served, takes no place with him."""

    async def play() -> Places:
        places = Places(ceiling)

        async def ask(caller: str) -> None:
            await places.acquire(caller)
            try:
                assert places.taken <= ceiling
                await asyncio.sleep(0)
            finally:
                places.release(caller)

        tasks = [(asyncio.create_task(ask(caller)), cancelled) for caller, cancelled in asks]
        await asyncio.sleep(0)
        for task, cancelled in tasks:
            if cancelled:
                task.cancel()
                await asyncio.sleep(0)
        await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
        assert all(task.done() for task, _ in tasks)
        return places

    places = asyncio.run(play())
    assert places.taken == 0
    assert not places.waiting


async def test_those_who_wait_are_let_in_when_the_limit_grows() -> None:
    """Not only when another request ends."""
    places = Places()
    places.limit.value = 1.0
    tickets = [places.limit.admit(1) for _ in range(16)]
    await places.acquire()
    waiting = asyncio.create_task(places.acquire())
    await asyncio.sleep(0)
    assert not waiting.done()
    for ticket in tickets:
        ticket.note_reply("chat", 0.2)
    await waiting
    assert places.taken == 2


async def test_two_callers_share_an_endpoint() -> None:
    """A run's `caller` is whose turn it is: the second one's only request does not wait for all of the first's."""
    async with (
        ScriptedUpstream(Reply("x", delay=0.02)) as up,
        Endpoint("m", base_url=up.url, concurrency=2, n_supported=False) as agent,
    ):
        heavy = Drawing.of(range(40))
        task = asyncio.create_task(heavy.draw(agent, "heavy"))
        await up.wait_until(lambda up: up.in_flight == 2)
        await agent.answer(Question.of("light"), RunContext(caller="light", live=False))
        assert len(up.requests) < 8
        await task
    assert all(slot.done for slot in heavy.slots)
