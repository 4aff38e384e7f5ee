"""A server that is stopped, killed, or shares its files: what of its replies, its accounts and its traces is lost?"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from benchmarks.serving import processes

from quorate.config.server_settings import hash_key

from .client import ask, connect, exchange, quantile
from .row import Row, Target, open_target

__all__ = ["attack"]

KEY = "an-attackers-key"
CLIENTS = 16
WINDOW = 0.1
"""Seconds of what was delivered that kill -9 may take away."""
ROUNDS = 3
Delivered = tuple[float, str, int]
"""When, which request, and its tokens."""


def settings(folder: Path) -> dict[str, Any]:
    keys = [{"name": "ann", "hash": hash_key(KEY), "budget": {"tokens": 10**9}}]
    return {"accounts": str(folder / "accounts.db"), "traces": str(folder / "traces.db"), "keys": keys}


async def keep_asking(target: Target, over: asyncio.Event) -> list[Delivered]:
    got: list[Delivered] = []

    async def client() -> None:
        while not over.is_set():
            try:
                reply = await exchange(target.port, ask("majority@3/many", key=KEY))
            except OSError:
                return
            head, _, body = reply.partition(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 200") and body.endswith(b"}"):
                name = next(line[14:] for line in head.split(b"\r\n") if line.startswith(b"x-request-id: "))
                got.append((time.monotonic(), name.decode(), json.loads(body)["usage"]["total_tokens"]))

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return got


def read_files(folder: Path) -> tuple[int, set[str]]:
    """Tokens that were accounted for, and the requests that have a trace."""
    with closing(sqlite3.connect(folder / "accounts.db")) as accounts:
        tokens = accounts.execute("SELECT coalesce(sum(tokens), 0) FROM spent").fetchone()[0]
    with closing(sqlite3.connect(folder / "traces.db")) as traces:
        return tokens, {row[0] for row in traces.execute("SELECT id FROM traces")}


async def kill(models: Mapping[str, Any]) -> list[Row]:
    delivered = unaccounted = untraced = 0
    oldest = [0.0]
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name, open_target(models, server=settings(Path(name))) as target:
            over = asyncio.Event()
            asking = asyncio.create_task(keep_asking(target, over))
            await asyncio.sleep(2 + 0.37 * number)
            killed = time.monotonic()
            os.kill(target.pid, signal.SIGKILL)
            over.set()
            got = await asking
            tokens, traced = read_files(Path(name))
        delivered += len(got)
        unaccounted += max(0, sum(tokens for when, _, tokens in got if when < killed - WINDOW) - tokens)
        lost = [killed - when for when, name, _ in got if name not in traced]
        untraced += sum(age > WINDOW for age in lost)
        oldest += lost
    return [
        Row(
            "kill -9: no tokens are forgotten that were delivered more than 100 ms before",
            f"{unaccounted} tokens of {delivered} replies in {ROUNDS} rounds",
            unaccounted == 0,
            "tests/server/access/test_accounts.py::test_spending_is_saved_without_being_asked_to",
        ),
        Row(
            "kill -9: no trace is lost of what was delivered more than 100 ms before",
            f"{untraced} of {delivered}; the oldest lost one was {1000 * max(oldest):.0f} ms old",
            untraced == 0,
            "tests/server/telemetry/test_trace_writer.py::test_what_is_in_the_file_survives_kill_9",
        ),
    ]


async def share(models: Mapping[str, Any]) -> Row:
    with tempfile.TemporaryDirectory() as name:
        with ExitStack() as stack:
            targets = [stack.enter_context(open_target(models, server=settings(Path(name)))) for _ in range(2)]
            over = asyncio.Event()
            asking = [asyncio.create_task(keep_asking(target, over)) for target in targets]
            await asyncio.sleep(3)
            over.set()
            got = [one for each in await asyncio.gather(*asking) for one in each]
        tokens, traced = read_files(Path(name))
    missing = sum(name not in traced for _, name, _ in got)
    told = sum(tokens for _, _, tokens in got)
    return Row(
        "two servers on the same files: accounts and traces are exact",
        f"{told} tokens told, {tokens} accounted; {missing} of {len(got)} traces missing",
        told == tokens and not missing,
        "tests/server/access/test_accounts.py::test_servers_that_share_a_file_count_together",
    )


async def stop(models: Mapping[str, Any], clients: int = 50) -> Row:
    got: Counter[str] = Counter()

    async def client(target: Target) -> None:
        while True:
            try:
                async with connect(target.port) as (reader, writer):
                    writer.write(ask("majority@3/many"))
                    reply = await reader.read()
            except ConnectionRefusedError:
                return
            except OSError as error:
                got[type(error).__name__] += 1
            else:
                got[reply[9:12].decode() or "nothing"] += 1

    for number in range(ROUNDS):
        with open_target(models) as target:
            asking = [asyncio.create_task(client(target)) for _ in range(clients)]
            await asyncio.sleep(1 + 0.31 * number)
            os.kill(target.pid, signal.SIGTERM)
            await asyncio.gather(*asking)
    return Row(
        "a stop without draining gives every open request a status",
        f"{clients} clients, {ROUNDS} stops: {dict(got)}",
        set(got) <= {"200", "503"},
        "tests/server/test_stopping.py::test_every_open_request_gets_a_status",
    )


async def deadline(hanging: str, concurrency: int = 32, seconds: float = 0.5) -> Row:
    late: list[float] = []
    models = {"slow": {"base_url": f"{hanging}/many/v1", "model": "m"}}
    with open_target(models) as target:

        async def client(number: int) -> None:
            await asyncio.sleep(0.02 * number)
            for _ in range(6):
                begun = time.monotonic()
                reply = await exchange(target.port, ask("majority@5/slow", quorate={"budget": {"seconds": seconds}}))
                late.append(time.monotonic() - begun - seconds)
                assert reply[9:12] in (b"200", b"504"), reply[:200]

        await asyncio.gather(*(client(number) for number in range(concurrency)))
    late = late[concurrency:]
    p50, p95, most = (1000 * value for value in (quantile(late, 0.5), quantile(late, 0.95), max(late)))
    return Row(
        f"a deadline is kept within 50 ms (p95) with {concurrency} votes at a time",
        f"p50 {p50:+.0f}, p95 {p95:+.0f}, max {most:+.0f} ms of {len(late)}",
        p95 < 50,
        "tests/faults/test_quorum.py::test_a_deadline_keeps_the_four_good_samples",
    )


async def attack() -> list[Row]:
    with processes.mock("upstream") as (upstream, _), processes.mock("hanging") as (hanging, _):
        models = {"many": {"base_url": f"{upstream}/many/v1", "model": "m"}}
        return [*await kill(models), await share(models), await stop(models), await deadline(hanging)]
