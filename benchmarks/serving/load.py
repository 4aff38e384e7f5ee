"""The load generator: so many questions at any time, each asked as soon as the one before is answered."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from .processes import cpu
from .upstream import DELAY, RIGHT

__all__ = ["Measured", "System", "measure", "quantile"]

MESSAGES = [{"role": "user", "content": "A bakery has 7 trays of 12 rolls. They sell 30. How many rolls are left?"}]


RAMP = 0.5
"""Seconds over which the clients begin."""


@dataclass(frozen=True)
class System:
    """Something that answers chat requests."""

    name: str
    url: str
    """With `/v1`."""
    model: str
    pid: int | None = None
    """Of the server whose CPU counts."""
    stream: bool = False


@dataclass
class Measured:
    """One system in one round."""

    per_second: float = 0.0
    cpu: float | None = None
    """Seconds of the server's processes for one request."""
    seconds: list[float] = field(default_factory=list)
    """From asking to the whole answer."""
    first: list[float] = field(default_factory=list)
    """Seconds from when the upstream's first token is due to the first byte."""

    @property
    def p50(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        return quantile(self.seconds, 0.95)


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile, a value that occurred."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def measure(system: System, concurrency: int, seconds: float) -> Measured:
    """One system under load, seen for so long once the load is steady: the clients begin one after the other."""
    found = Measured()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        stopping = asyncio.Event()

        async def client(number: int) -> None:
            await asyncio.sleep(RAMP * number / concurrency)
            while not stopping.is_set():
                await _ask(session, system, found)

        async with asyncio.TaskGroup() as clients:
            for number in range(concurrency):
                clients.create_task(client(number))
            await asyncio.sleep(2 * RAMP)
            gc.collect()
            begun, used, before = time.perf_counter(), cpu(system.pid) if system.pid else 0.0, len(found.seconds)
            await asyncio.sleep(seconds)
            found.seconds, found.first = found.seconds[before:], found.first[before:]
            found.per_second = len(found.seconds) / (time.perf_counter() - begun)
            if system.pid:
                found.cpu = (cpu(system.pid) - used) / len(found.seconds)
            answers, firsts = list(found.seconds), list(found.first)
            stopping.set()
    found.seconds, found.first = answers, firsts
    return found


async def _ask(session: aiohttp.ClientSession, system: System, found: Measured) -> None:
    body = {"model": system.model, "messages": MESSAGES, "temperature": 0.8, "stream": system.stream}
    begun = time.perf_counter()
    async with session.post(f"{system.url}/chat/completions", json=body) as reply:
        first = await reply.content.readany()
        found.first.append(time.perf_counter() - begun - DELAY)
        text = first + await reply.read()
    found.seconds.append(time.perf_counter() - begun)
    # A bare model is wrong once in five times, a vote hardly ever; the pieces of a stream cut the text.
    said = b"[DONE]" if system.stream else RIGHT.encode()[:7]
    if reply.status != 200 or said not in text:
        raise AssertionError(f"{system.name}: {reply.status} {text[:500]!r}")
