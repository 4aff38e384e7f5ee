"""Do limits hold over replicas? Three servers share a Redis; a key with a budget and one with a rate ask them in turn.

    python benchmarks/replicas.py [--requests 2000] [--concurrency 48] [--seconds 15]

A redis-server, a mock upstream that answers after 200 ms, three `quorate serve --state` and this process, which sends
each request to the next of the servers as a load balancer does. Shown is what the key has spent beyond its budget, in
requests, beside those that were under way; and how many requests were let in beside what the rate allows. Ends with
status 1 where more was overspent than was under way, or the rate is off by more than 2 %.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import aiohttp
from serving import processes
from serving.load import MESSAGES
from serving.processes import free_port
from serving.upstream import TOKENS

from quorate.config.server_settings import hash_key

REPLICAS = 3
COST = 25 + TOKENS
"""Tokens of a request."""
RATE = {"requests": 60, "seconds": 1.0}


def write_config(folder: Path, upstream: str, state: str, requests: int) -> Path:
    keys = [
        {"name": "budget", "hash": hash_key("budget"), "budget": {"tokens": COST * requests // 2}},
        {"name": "rate", "hash": hash_key("rate"), "rate": RATE},
    ]
    model = {"base_url": f"{upstream}/many/v1", "model": "m", "concurrency": 1024}
    path = folder / "quorate.yaml"
    path.write_text(json.dumps({"models": {"many": model}, "server": {"keys": keys, "state": state}}))
    return path


async def ask(session: aiohttp.ClientSession, url: str, key: str) -> int:
    """The status, in which case of a 200 the tokens are known."""
    body = {"model": "many", "messages": MESSAGES}
    async with session.post(f"{url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"}) as r:
        await r.read()
        return r.status


async def spend_budget(urls: list[str], requests: int, concurrency: int) -> Counter[int]:
    """How so many requests end, so many of them at any time."""
    left, found = itertools.count(), Counter[int]()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def client() -> None:
            while (number := next(left)) < requests:
                found[await ask(session, urls[number % len(urls)], "budget")] += 1

        async with asyncio.TaskGroup() as clients:
            for _ in range(concurrency):
                clients.create_task(client())
    return found


async def measure_rate(urls: list[str], seconds: float) -> tuple[int, float]:
    """Requests that were let in, and those that may be: a burst, and the rate from then on."""
    statuses: Counter[int] = Counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as asked:
        begun = time.monotonic()

        async def one(url: str) -> None:
            statuses[await ask(session, url, "rate")] += 1

        for url in itertools.cycle(urls):
            if time.monotonic() - begun > seconds:
                break
            asked.create_task(one(url))
            await asyncio.sleep(1 / (2.5 * RATE["requests"]))
    return statuses[200], RATE["requests"] * (1 + seconds / RATE["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Do limits hold over replicas?")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=15.0, help="for the rate")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        redis = subprocess.Popen(
            ["redis-server", "--port", str(port), "--save", ""], cwd=folder, stdout=subprocess.DEVNULL
        )
        stack.callback(redis.wait)
        stack.callback(redis.terminate)
        time.sleep(0.5)
        upstream, _ = stack.enter_context(processes.mock("upstream"))
        config = write_config(folder, upstream, f"redis://127.0.0.1:{port}", options.requests)
        urls = [stack.enter_context(processes.quorate(config, free_port()))[0] for _ in range(REPLICAS)]
        statuses = asyncio.run(spend_budget(urls, options.requests, options.concurrency))
        let_in, allowed = asyncio.run(measure_rate(urls, options.seconds))
    overspent = statuses[200] - options.requests // 2
    print(f"budget of {options.requests // 2} requests: {dict(statuses)}, overspent by {overspent} requests", end=" ")
    print(f"while {options.concurrency} were under way")
    print(f"rate: {let_in} let in of {allowed:.0f} allowed ({let_in / allowed - 1:+.2%})")
    sys.exit(not 0 <= overspent <= options.concurrency or abs(let_in / allowed - 1) > 0.02)


if __name__ == "__main__":
    main()
