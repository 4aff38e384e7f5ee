"""Three hundred clients that come and go: how long does somebody wait who asks for the server's health?"""

from __future__ import annotations

import asyncio
import statistics
import time

import uvloop
from benchmarks.serving import processes

from .client import ask, beside, exchange, make_request, quantile, watch_health
from .row import Row, Target, open_target

__all__ = ["attack"]

CLIENTS = 300
SECONDS = 6.0
WARM = 1.0
"""Seconds until all clients are there."""
PROMISED = 0.1
"""Seconds in which health is told."""
CROWDS = {
    "say nothing": b"",
    "list models": make_request("/v1/models"),
    "ask a model": ask("many"),
    "ask for votes": ask("majority@5/many"),
}


async def come_and_go(port: int, request: bytes) -> int:
    """How many connections there were."""
    until, count = time.monotonic() + SECONDS, 0

    async def client() -> None:
        nonlocal count
        while time.monotonic() < until:
            reply = await exchange(port, request)
            assert reply.startswith(b"HTTP/1.1 200") or not request, reply[:200]
            count += 1

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return count


def crowd(port: int, request: bytes) -> int:
    return uvloop.run(come_and_go(port, request))


async def attack_with(target: Target, who: str, request: bytes) -> Row:
    used, over = processes.cpu(target.pid), asyncio.Event()
    async with beside(crowd, target.port, request) as coming:
        await asyncio.sleep(WARM)
        watching = asyncio.create_task(watch_health(target.port, over))
        count = await coming
    over.set()
    took = await watching
    cost = 1000 * (processes.cpu(target.pid) - used) / count
    median, p95, most = (1000 * value for value in (statistics.median(took), quantile(took, 0.95), max(took)))
    return Row(
        f"{CLIENTS} clients that come, {who} and go: /health within {1000 * PROMISED:.0f} ms",
        f"p50 {median:.0f}, p95 {p95:.0f}, max {most:.0f} ms of {len(took)}; {count / SECONDS:.0f} connections/s, "
        f"{cost:.2f} ms CPU each",
        quantile(took, 0.95) <= PROMISED,
        "tests/server/test_crowd.py::test_health_is_told_while_a_crowd_begins",
    )


async def attack() -> list[Row]:
    with processes.mock("upstream") as (upstream, _):
        models = {"many": {"base_url": f"{upstream}/many/v1", "model": "m"}}
        with open_target(models) as target:
            return [await attack_with(target, who, request) for who, request in CROWDS.items()]
