"""Strangers: heads, bodies and silence without end, very many connections, web pages with names that are not ours."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress

from benchmarks.serving import processes

from .client import beside, connect, exchange, make_request, quantile, read_status, watch_health
from .row import Row, Target, open_target

__all__ = ["attack"]

ENDLESS = 61 * 2**20
"""Bytes of a head."""
CROWD = 2_300
"""Connections; one address may have 2,048."""
LARGE = 15 * 2**20
POSTS = 40
CHAT = "/v1/chat/completions"


async def send_endless_head(target: Target) -> Row:
    before, sent = processes.footprint(target.pid).resident, 0
    async with connect(target.port) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\n")
        replying = asyncio.create_task(read_status(reader))
        while sent < ENDLESS and not replying.done():
            writer.write(b"a: " + b"b" * 1000 + b"\r\n")
            sent += 1005
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.05)
            await asyncio.sleep(0)
        status = await replying
    grown = (processes.footprint(target.pid).resident - before) / 2**20
    return Row(
        "a head without end is refused, and takes no memory",
        f"status {status} after {sent / 2**10:.0f} KiB; memory +{grown:.1f} MiB",
        status == 431 and grown < 8,
        "tests/server/http/test_protocol.py::test_a_head_has_a_size",
    )


async def drip_heads(target: Target, clients: int = 200) -> Row:
    async def drip() -> float:
        begun = time.monotonic()
        async with connect(target.port) as (reader, writer):
            replying = asyncio.create_task(read_status(reader))
            for byte in b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\na: " + b"b" * 1000:
                if replying.done():
                    break
                writer.write(bytes([byte]))
                await asyncio.wait((replying,), timeout=0.5)
            await replying
        return time.monotonic() - begun

    took = await asyncio.gather(*(drip() for _ in range(clients)))
    return Row(
        "a head has 10 s",
        f"{clients} clients that send a byte in half a second are gone after {min(took):.1f} to {max(took):.1f} s",
        max(took) < 12,
        "tests/server/http/test_protocol.py::test_a_head_has_a_time",
    )


async def open_many(target: Target) -> Row:
    got: Counter[int] = Counter()
    async with AsyncExitStack() as stack:
        readers = [(await stack.enter_async_context(connect(target.port)))[0] for _ in range(CROWD)]
        over = asyncio.Event()
        watching = asyncio.create_task(watch_health(target.port, over))
        for reader in readers:
            with suppress(TimeoutError):
                got[await asyncio.wait_for(read_status(reader), 0.001)] += 1
        await asyncio.sleep(1)
        over.set()
        took = await watching
    return Row(
        "connections are bounded by address; other addresses go on",
        f"{CROWD} from one address: {sum(got.values())} refused ({dict(got)}); "
        f"/health from another max {1000 * max(took):.0f} ms of {len(took)}",
        set(got) == {503} and got[503] >= CROWD - 2048,
        "tests/server/http/test_protocol.py::test_connections_are_bounded",
    )


async def send_large_bodies(target: Target) -> list[Row]:
    begun = time.monotonic()
    async with connect(target.port) as (reader, writer):
        writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {10**10}\r\n\r\n".encode())
        declared, declared_seconds = await read_status(reader), time.monotonic() - begun
    sent = 0
    async with connect(target.port) as (reader, writer):
        writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        replying = asyncio.create_task(read_status(reader))
        while not replying.done() and sent < 2**30:
            writer.write(b"10000\r\n" + b" " * 2**16 + b"\r\n")
            sent += 2**16
            with suppress(OSError):
                await writer.drain()
            await asyncio.sleep(0)
        endless = await replying
    return [
        Row(
            "a body declared too large gets 413 at once",
            f"10 GB: {declared} after {1000 * declared_seconds:.0f} ms",
            declared == 413 and declared_seconds < 0.5,
            "tests/server/http/test_protocol.py::test_a_body_that_is_declared_too_large_is_refused_at_once",
        ),
        Row(
            "a body without end gets 413 at its first byte too many",
            f"{endless} after {sent / 2**20:.1f} MiB sent of 16 allowed",
            endless == 413 and sent < 40 * 2**20,
            "tests/server/http/test_protocol.py::test_a_body_without_end_is_refused_at_its_first_byte_too_many",
        ),
    ]


def post_often(port: int, request: bytes) -> Counter[str]:
    got: Counter[str] = Counter()
    for _ in range(POSTS):
        got[asyncio.run(exchange(port, request))[9:12].decode()] += 1
    return got


async def parse_large_bodies(target: Target) -> list[Row]:
    text = {"model": "many", "messages": [{"role": "user", "content": 'so "it" is\n' * (LARGE // 14)}]}
    dense = {"model": "many", "messages": [{"role": "user", "content": "x"}] * 400_000}
    rows = []
    for what, body, status in (("one text", text, b"200"), ("400,000 messages", dense, b"400")):
        request = make_request(CHAT, json.dumps(body).encode())
        over = asyncio.Event()
        async with beside(post_often, target.port, request) as posting:
            watching = asyncio.create_task(watch_health(target.port, over))
            got = await posting
        over.set()
        took = await watching
        rows.append(
            Row(
                f"a body of {len(request) >> 20} MiB, {what}, holds nobody up by 50 ms",
                f"{POSTS} of them: {dict(got)}; /health p50 {1000 * quantile(took, 0.5):.0f}, "
                f"p95 {1000 * quantile(took, 0.95):.0f}, max {1000 * max(took):.0f} ms of {len(took)}",
                set(got) == {status.decode()} and quantile(took, 0.95) < 0.05,
                "tests/server/http/test_body.py::test_a_body_of_very_many_values_is_refused_unread",
            )
        )
    return rows


async def come_by_another_name(target: Target) -> Row:
    request = make_request("/v1/models").replace(b"Host: 127.0.0.1", b"Host: evil.example")
    status = (await exchange(target.port, request))[9:12].decode()
    return Row(
        "on loopback without keys a foreign Host is refused",
        f"status {status}",
        status == "403",
        "tests/server/http/test_protocol.py::test_a_foreign_host_is_refused_on_loopback_without_keys",
    )


async def attack() -> list[Row]:
    with processes.mock("upstream") as (upstream, _):
        models = {"many": {"base_url": f"{upstream}/many/v1", "model": "m"}}
        with open_target(models) as target:
            return [
                await send_endless_head(target),
                await drip_heads(target),
                await open_many(target),
                *await send_large_bodies(target),
                *await parse_large_bodies(target),
                await come_by_another_name(target),
            ]
