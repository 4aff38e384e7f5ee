"""Many who come at once: what is quick is not held up."""

from __future__ import annotations

import asyncio

from .conftest import Start
from .scripted import Echo

CROWD = 100


async def test_health_is_told_while_a_crowd_begins(start: Start) -> None:
    """Who comes last and asks for the server's health is answered before the crowd has been looked at."""
    model = Echo()
    async with start(model) as served:
        crowd = [asyncio.create_task(served.post()) for _ in range(CROWD)]
        await asyncio.sleep(0)
        health = asyncio.create_task(served.http.get("/health"))
        while not health.done() and len(model.questions) < CROWD:  # noqa: ASYNC110  what is looked at is no event
            await asyncio.sleep(0)
        assert health.done()
        assert len(model.questions) < CROWD
        assert (await health).json() == {"status": "ok"}
        assert {reply.status_code for reply in await asyncio.gather(*crowd)} == {200}
