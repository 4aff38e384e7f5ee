"""What HTTP clients cost an endpoint: requests a second and CPU for each, as ratios to bare aiohttp.

    python benchmarks/http_clients.py [--seconds 5] [--rounds 3] [--concurrency 64]

A mock upstream in a process of its own answers every chat request after 200 ms. The contestants
take turns in every round, so that other work on the machine touches all of them; what is reported
is the median over the rounds of each one's ratio to bare aiohttp in the same round. CPU is that of
the client's process alone. docs/http-clients.md has the figures and the choice made by them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx
from aiohttp import web
from httpx_aiohttp import AiohttpTransport
from openai import AsyncOpenAI, DefaultAioHttpClient
from rich.console import Console
from rich.table import Table

from quorate import Agent, ClientEndpoint, Endpoint, Question
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.partial import PartialCandidate

ANSWER = "Seven trays of twelve are 84 rolls; 84 - 30 = 54. Answer: 54"
MESSAGES: Any = [{"role": "user", "content": "A bakery has 7 trays of 12 rolls. They sell 30. How many are left?"}]
BODY = {"model": "m", "messages": MESSAGES}
DELAY = 0.2
FANOUT = 5

Ask = Callable[[], Awaitable[None]]
"""Asks once and waits for the answer."""


@dataclass(frozen=True)
class Measured:
    """One contestant in one round."""

    per_second: float
    cpu: float
    """Seconds of the client's process for one question."""


@asynccontextmanager
async def bare_aiohttp(url: str, calls: int = 1) -> AsyncIterator[Ask]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call() -> None:
            async with session.post(f"{url}/chat/completions", json=BODY) as reply:
                check((await reply.json())["choices"][0]["message"]["content"])

        yield repeat(call, calls)


@asynccontextmanager
async def httpx_client(url: str, transport: httpx.AsyncBaseTransport | None = None) -> AsyncIterator[Ask]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(transport=transport, limits=limits, timeout=60) as client:

        async def call() -> None:
            reply = await client.post(f"{url}/chat/completions", json=BODY)
            check(reply.json()["choices"][0]["message"]["content"])

        yield call


def httpx_aiohttp(url: str) -> Any:
    return httpx_client(url, AiohttpTransport(limits=httpx.Limits(max_connections=10_000)))


@asynccontextmanager
async def openai_client(url: str, calls: int = 1, *, over_aiohttp: bool = False) -> AsyncIterator[Ask]:
    options: dict[str, Any] = {"http_client": DefaultAioHttpClient()} if over_aiohttp else {}
    async with AsyncOpenAI(base_url=url, api_key="none", timeout=60, **options) as client:

        async def call() -> None:
            reply = await client.chat.completions.create(model="m", messages=MESSAGES)
            check(reply.choices[0].message.content)

        yield repeat(call, calls)


@asynccontextmanager
async def endpoint(url: str, calls: int = 1, *, n_supported: bool = True) -> AsyncIterator[Ask]:
    question = Question.of(MESSAGES)
    async with Endpoint("m", base_url=url, n_supported=n_supported) as agent:
        yield sampling(agent, question, calls)


@asynccontextmanager
async def client_endpoint(url: str, calls: int = 1) -> AsyncIterator[Ask]:
    question = Question.of(MESSAGES)
    async with AsyncOpenAI(base_url=url, api_key="none", http_client=DefaultAioHttpClient()) as client:
        yield sampling(ClientEndpoint(client, "m"), question, calls)


def sampling(agent: Agent, question: Question, calls: int) -> Ask:
    """Draws so many samples."""

    async def call() -> None:
        run = RunContext(live=False)
        slots = [PartialCandidate(index, run) for index in range(calls)]
        await agent.sample(question, slots, run)
        for slot in slots:
            check(slot.result.text if slot.result is not None else None)

    return call


SINGLE: dict[str, Callable[[str], Any]] = {
    "aiohttp, bare": bare_aiohttp,
    "httpx over aiohttp": httpx_aiohttp,
    "httpx": httpx_client,
    "openai SDK": openai_client,
    "openai SDK over aiohttp": lambda url: openai_client(url, over_aiohttp=True),
    "quorate Endpoint": endpoint,
    "quorate ClientEndpoint over aiohttp": client_endpoint,
}
FIVE: dict[str, Callable[[str], Any]] = {
    "aiohttp, bare, 5 requests": lambda url: bare_aiohttp(url, FANOUT),
    "openai SDK over aiohttp, 5 requests": lambda url: openai_client(url, FANOUT, over_aiohttp=True),
    "quorate Endpoint, 5 requests": lambda url: endpoint(url, FANOUT, n_supported=False),
    "quorate Endpoint, 1 request with n=5": lambda url: endpoint(url, FANOUT),
}


def repeat(call: Ask, calls: int) -> Ask:
    """The same call several times at once, as one question."""

    async def all_of_them() -> None:
        await asyncio.gather(*(call() for _ in range(calls)))

    return all_of_them if calls > 1 else call


def check(text: str | None) -> None:
    if text != ANSWER:
        raise AssertionError(text)


async def measure(contestant: Callable[[str], Any], url: str, seconds: float, concurrency: int) -> Measured:
    """One contestant, with so many questions at any time; the first ones, which connect, do not count."""
    async with contestant(url) as ask:
        await asyncio.gather(*(ask() for _ in range(concurrency)))
        gc.collect()
        done, begun, cpu = 0, time.perf_counter(), time.process_time()

        async def worker() -> None:
            nonlocal done
            while time.perf_counter() < begun + seconds:
                await ask()
                done += 1

        await asyncio.gather(*(worker() for _ in range(concurrency)))
        return Measured(done / (time.perf_counter() - begun), (time.process_time() - cpu) / done)


def compare(group: dict[str, Callable[[str], Any]], url: str, options: argparse.Namespace) -> Table:
    """A table of the group, its first member the measure."""
    rounds: list[dict[str, Measured]] = []
    for _ in range(options.rounds):
        results = {n: asyncio.run(measure(c, url, options.seconds, options.concurrency)) for n, c in group.items()}
        rounds.append(results)
    first = next(iter(group))
    table = Table("client", "questions/s", "ratio", "CPU ms", "ratio")
    for name in group:
        speed = statistics.median(r[name].per_second for r in rounds)
        cpu = statistics.median(r[name].cpu for r in rounds)
        speeds = statistics.median(r[name].per_second / r[first].per_second for r in rounds)
        cpus = statistics.median(r[name].cpu / r[first].cpu for r in rounds)
        table.add_row(name, f"{speed:.0f}", f"{speeds:.2f}", f"{1000 * cpu:.2f}", f"{cpus:.2f}")
    return table


def serve() -> None:
    """The mock upstream; prints its port."""

    async def answer(request: web.BaseRequest) -> web.Response:
        n = json.loads(await request.read()).get("n", 1)
        await asyncio.sleep(DELAY)
        message = {"role": "assistant", "content": ANSWER}
        choices = [{"index": i, "message": message, "finish_reason": "stop"} for i in range(n)]
        usage = {"prompt_tokens": 25, "completion_tokens": 20 * n, "total_tokens": 25 + 20 * n}
        return web.json_response(
            {"id": "x", "object": "chat.completion", "created": 1, "model": "m"} | {"choices": choices, "usage": usage}
        )

    async def run() -> None:
        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def upstream() -> Iterator[str]:
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description="What HTTP clients cost.")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each contestant in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=64, help="questions at any time")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    with upstream() as url:
        for group in (SINGLE, FIVE):
            Console().print(compare(group, url, options))


if __name__ == "__main__":
    main()
