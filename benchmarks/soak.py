"""Does the server keep what it should let go? Twenty thousand requests of every kind, over an upstream in trouble.

    python benchmarks/soak.py [--requests 20000] [--concurrency 64]

Passed-through models, votes over both kinds of upstream, all plain and streamed, and clients that leave in the
middle; a tenth of the upstream calls fails, some by never ending. All the while another key asks single questions,
one after the other, of an upstream that has no trouble and takes 200 ms. Prints memory, sockets and files over time,
what the clients got, and how long the other key waited. Ends with status 1 if memory grew by more than a tenth
after the first quarter, if sockets are left when all is quiet, if a client got
anything but an answer or a proper error, or if the other key's 95th percentile was above 1.5 times its time alone.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table
from serving import processes
from serving.load import MESSAGES, quantile
from serving.processes import Footprint, footprint, free_port

from quorate.config.server_settings import hash_key

MODELS = ("many", "majority@5/single", "majority@5/many", "self-moa@3/many")
ERRORS = {429, 500, 502, 503, 504}
LEAVES = 0.15
"""Share of the clients that do not wait for the end."""
CROWD, NEIGHBOUR = "crowd", "neighbour"
"""The two keys."""
ALONE = 30
"""Questions of the neighbour before the crowd comes."""
SHARE = 1.5
"""Times its time alone that the neighbour may wait."""
QUIET = 8.0
"""Seconds until connections that nobody uses are closed on both sides."""


@dataclass
class Soak:
    url: str
    pid: int
    requests: int
    rng: random.Random = field(default_factory=lambda: random.Random(3))
    got: Counter[str] = field(default_factory=Counter)
    strange: list[str] = field(default_factory=list)
    seen: list[tuple[int, float, Footprint]] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    alone: list[float] = field(default_factory=list)
    """Seconds that each of the neighbour's questions took before the crowd came."""
    beside: list[float] = field(default_factory=list)
    """Likewise, beside the crowd."""

    async def run(self, concurrency: int) -> None:
        numbers = itertools.count()
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=_headers(CROWD)) as session,
            aiohttp.ClientSession(headers=_headers(NEIGHBOUR)) as neighbour,
        ):
            for _ in range(ALONE):
                self.alone.append(await self._time(neighbour))

            async def client() -> None:
                while (number := next(numbers)) < self.requests:
                    if number % (self.requests // 20) == 0:
                        self.note(number)
                    await self._ask(session)

            watching = asyncio.create_task(self._watch(neighbour))
            await asyncio.gather(*(client() for _ in range(concurrency)))
            watching.cancel()
        self.note(self.requests)
        await asyncio.sleep(QUIET)
        self.note(self.requests)

    def note(self, number: int) -> None:
        self.seen.append((number, time.monotonic() - self.begun, footprint(self.pid)))

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        while True:
            self.beside.append(await self._time(session))

    async def _time(self, session: aiohttp.ClientSession) -> float:
        """Seconds of one single question."""
        begun = time.perf_counter()
        body = {"model": "steady", "messages": MESSAGES}
        async with session.post(f"{self.url}/v1/chat/completions", json=body) as reply:
            if reply.status != 200:
                self.strange.append(f"the neighbour got {reply.status} {(await reply.text())[:300]}")
            await reply.read()
        return time.perf_counter() - begun

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        stream = self.rng.random() < 0.5
        body = {"model": self.rng.choice(MODELS), "messages": MESSAGES, "stream": stream, "temperature": 0.8}
        patience = self.rng.uniform(0.0, 0.08) if self.rng.random() < LEAVES else 30.0
        try:
            async with asyncio.timeout(patience):
                async with session.post(f"{self.url}/v1/chat/completions", json=body) as reply:
                    self._take(reply.status, await reply.text(), stream)
        except TimeoutError:
            self.got["client left" if patience < 30 else "no reply in 30 s"] += 1

    def _take(self, status: int, text: str, stream: bool) -> None:
        if status == 200 and stream and text.rpartition("data: ")[2].startswith('{"error"'):
            self.got["error in a stream"] += 1
        elif status == 200 and ("[DONE]" in text if stream else "Answer: " in text):
            self.got["answer"] += 1
        elif status in ERRORS and "error" in json.loads(text):
            self.got[f"error {status}"] += 1
        else:
            self.got["strange"] += 1
            self.strange.append(f"{status} {text[:300]}")

    def faults(self) -> list[str]:
        """What is wrong."""
        found = [f"strange reply: {text}" for text in self.strange[:5]]
        if self.got["no reply in 30 s"]:
            found.append(f"{self.got['no reply in 30 s']} requests without a reply")
        early, last = self.seen[len(self.seen) // 4][2], self.seen[-1][2]
        if last.resident > 1.1 * early.resident:
            found.append(f"memory grew from {early.resident >> 20} to {last.resident >> 20} MiB")
        if last.sockets > self.seen[0][2].sockets + 2:
            found.append(f"{last.sockets} sockets are left, {self.seen[0][2].sockets} were open at first")
        if self.slowdown > SHARE:
            found.append(f"another key's single question took {self.slowdown:.2f} times its time alone (p95)")
        return found

    @property
    def slowdown(self) -> float:
        """The neighbour's 95th percentile beside the crowd, in times of its median alone."""
        return quantile(self.beside, 0.95) / quantile(self.alone, 0.5)

    def table(self) -> Table:
        table = Table("requests", "seconds", "memory MiB", "sockets", "files")
        for number, seconds, held in self.seen:
            row = (number, f"{seconds:.0f}", f"{held.resident / 2**20:.1f}", held.sockets, held.files)
            table.add_row(*map(str, row))
        return table


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def config(folder: Path, upstream: str, steady: str) -> Path:
    models = {
        name: {"base_url": f"{upstream}/{name}/v1", "model": "m", "concurrency": 512, "timeout": 2, "retries": 1}
        for name in ("many", "single")
    }
    models["steady"] = {"base_url": f"{steady}/many/v1", "model": "m"}
    keys = [{"name": name, "hash": hash_key(name)} for name in (CROWD, NEIGHBOUR)]
    path = folder / "quorate.yaml"
    path.write_text(json.dumps({"models": models, "server": {"keys": keys}}))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Twenty thousand requests of every kind.")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=64)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        processes.mock("trouble") as (upstream, _),
        processes.mock("upstream") as (steady, _),
        processes.quorate(config(Path(folder), upstream, steady), free_port()) as (url, pid),
    ):
        soak = Soak(url, pid, options.requests)
        asyncio.run(soak.run(options.concurrency))
    console = Console(width=100)
    console.print(soak.table())
    console.print(", ".join(f"{what}: {times}" for what, times in soak.got.most_common()))
    console.print(
        f"another key's single question, p95: {soak.slowdown:.2f} times its time alone, of {len(soak.beside)}"
    )
    if faults := soak.faults():
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
