"""What workers share, over a channel within one process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from quorate.config.server_settings import ApiKey, KeyBudget, RequestRate, ServerSettings, hash_key
from quorate.orchestrator.usage import Usage
from quorate.server.access.errors import KeyBudgetExceeded, Overloaded, QueueFull, RateExceeded
from quorate.server.workers.hub import WorkerHub

from ..conftest import wait_until
from .serving import join

ANN = ApiKey(
    name="ann", hash=hash_key("ann"), rate=RequestRate(requests=2, seconds=60), budget=KeyBudget(tokens=10, money=1.0)
)
BOB = ApiKey(name="bob", hash=hash_key("bob"))


async def test_rates_and_budgets_are_one_for_all_workers(tmp_path: Path) -> None:
    """Refusals are those of a lone server, with their times to wait."""
    settings = ServerSettings(keys=(ANN, BOB))
    hub = WorkerHub(settings, 2, tmp_path)
    async with join(hub, settings) as (one, _), join(hub, settings) as (other, _):
        await one.state.count(ANN)
        await other.state.count(ANN)
        with pytest.raises(RateExceeded, match="2 requests in 60 s") as refused:
            await one.state.count(ANN)
        assert 29 < (refused.value.retry_after or 0) <= 30
        one.state.spend(ANN, Usage(prompt_tokens=2, completion_tokens=2, cost=0.25))
        left = await one.state.left(ANN)
        assert (left.tokens, left.money) == (6, 0.75)
        other.state.spend(ANN, Usage(prompt_tokens=6))
        with pytest.raises(KeyBudgetExceeded, match="'ann'"):
            await other.state.left(ANN)


async def test_places_come_back(tmp_path: Path) -> None:
    """Of a request that is over, of one that gave up waiting, and of a worker that has ended."""
    settings = ServerSettings(keys=(BOB,), max_concurrent=1, max_queued=1, queue_seconds=5)
    hub = WorkerHub(settings, 2, tmp_path)
    async with join(hub, settings) as (one, _):
        async with join(hub, settings) as (other, channel):
            async with one.state.place(BOB, 1.0):
                waiting = asyncio.create_task(other.state.place(BOB, 1.0).__aenter__())
                await wait_until(lambda: hub.state.waiting == 1)
                with pytest.raises(QueueFull):
                    await one.state.place(BOB, 1.0).__aenter__()
                waiting.cancel()
                await wait_until(lambda: hub.state.waiting == 0)
            await other.state.place(BOB, 1.0).__aenter__()  # and never left
            channel.close()
            with pytest.raises(Overloaded, match="about to end"):
                await other.state.left(BOB)
        async with asyncio.timeout(5), one.state.place(BOB, 1.0):
            pass


@pytest.mark.parametrize("turns", range(12))
async def test_a_place_is_not_lost_to_who_leaves_as_it_comes(tmp_path: Path, turns: int) -> None:
    """Whenever the request is cancelled: before it was sent, while it is on its way, when the place is given."""
    settings = ServerSettings(keys=(BOB,), max_concurrent=1)
    hub = WorkerHub(settings, 1, tmp_path)
    async with join(hub, settings) as (one, _):
        entering = asyncio.create_task(one.state.place(BOB, 1.0).__aenter__())
        for _ in range(turns):
            await asyncio.sleep(0)
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
        if not entering.cancelled():
            return  # it had its place before
        async with asyncio.timeout(5), one.state.place(BOB, 1.0):
            pass
