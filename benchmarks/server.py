"""What `quorate serve` costs beside a bare proxy: requests a second, latency, CPU, memory, time to start.

    python benchmarks/server.py [--concurrency 1 16 64] [--seconds 4] [--rounds 5]

A mock upstream answers after 200 ms; it, the load generator (this process), a naive aiohttp proxy and
`quorate serve` are processes on one machine. The systems take turns in every round, so that other work on
the machine touches all of them; shown are medians over the rounds, and of each of ours the median of its
ratio to the naive proxy that does the same work in the same round. docs/server-benchmark.md has the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from serving import processes
from serving.load import Measured, System, at, measured
from serving.processes import Footprint, footprint, free_port

PAIRS = {
    "quorate passthrough": "naive passthrough",
    "quorate majority@5, five calls": "naive vote, five calls",
    "quorate majority@5, one call": "naive vote, one call",
    "quorate passthrough, streamed": "naive passthrough, streamed",
}
"""What each of ours is held against."""

Round = dict[str, Measured]


@contextmanager
def systems() -> Iterator[list[System]]:
    """All of them, running."""
    with (
        processes.mock("upstream") as (upstream, _),
        processes.mock("naive", upstream) as (naive, naive_pid),
        tempfile.TemporaryDirectory() as folder,
        processes.quorate(config(Path(folder), upstream), free_port()) as (ours, pid),
    ):
        many = f"{upstream}/many/v1"
        yield [
            System("direct", many, "m"),
            System("naive passthrough", f"{naive}/v1", "m", naive_pid),
            System("quorate passthrough", f"{ours}/v1", "many", pid),
            System("naive vote, five calls", f"{naive}/v1", "vote", naive_pid),
            System("quorate majority@5, five calls", f"{ours}/v1", "majority@5/single", pid),
            System("naive vote, one call", f"{naive}/v1", "vote-n", naive_pid),
            System("quorate majority@5, one call", f"{ours}/v1", "majority@5/many", pid),
            System("direct, streamed", many, "m", stream=True),
            System("naive passthrough, streamed", f"{naive}/v1", "m", naive_pid, stream=True),
            System("quorate passthrough, streamed", f"{ours}/v1", "many", pid, stream=True),
            System("quorate majority@5, streamed", f"{ours}/v1", "majority@5/single", pid, stream=True),
        ]


def config(folder: Path, upstream: str) -> Path:
    """Two models, of which one's server refuses `n`; concurrency is no limit here, as in the naive proxy."""
    models = {
        name: {"base_url": f"{upstream}/{name}/v1", "model": "m", "concurrency": 1024} for name in ("many", "single")
    }
    path = folder / "quorate.yaml"
    path.write_text(json.dumps({"models": models}))
    return path


def rounds_of(everything: list[System], concurrency: int, options: argparse.Namespace) -> list[Round]:
    return [
        {system.name: asyncio.run(measured(system, concurrency, options.seconds)) for system in everything}
        for _ in range(options.rounds)
    ]


def table(everything: list[System], rounds: list[Round], concurrency: int) -> Table:
    shown = Table("system", "req/s", "of naive", "p50 ms", "p95 ms", "CPU ms", "first byte p50", "p95")
    shown.title = f"{concurrency} questions at a time"
    for system in everything:
        name, mine = system.name, [r[system.name] for r in rounds]
        ratio = ""
        if (peer := PAIRS.get(name)) is not None:
            ratio = f"{statistics.median(r[name].per_second / r[peer].per_second for r in rounds):.2f}"
        costs = [m.cpu for m in mine if m.cpu is not None]
        firsts = [value for m in mine for value in m.first] if system.stream else []
        shown.add_row(
            name,
            f"{statistics.median(m.per_second for m in mine):.0f}",
            ratio,
            f"{1000 * statistics.median(m.p50 for m in mine):.0f}",
            f"{1000 * statistics.median(m.p95 for m in mine):.0f}",
            f"{1000 * statistics.median(costs):.2f}" if costs else "",
            *((f"{1000 * at(firsts, q):.0f}" for q in (0.5, 0.95)) if firsts else ("", "")),
        )
    return shown


def started(times: int) -> list[float]:
    """Seconds from the start of the process until it answers."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = config(Path(folder), "http://127.0.0.1:9")
        for _ in range(times):
            begun = time.perf_counter()
            with processes.quorate(path, free_port()):
                found.append(time.perf_counter() - begun)
    return found


def told(before: Footprint, after: Footprint) -> str:
    return (
        f"memory {before.resident / 2**20:.0f} -> {after.resident / 2**20:.0f} MiB, "
        f"sockets {before.sockets} -> {after.sockets}, files {before.files} -> {after.files}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What quorate serve costs beside a bare proxy.")
    parser.add_argument("--concurrency", type=int, nargs="*", default=[1, 16, 64], help="questions at any time")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each system in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=5, help="how often to measure the start")
    parser.add_argument("--only", default="", help="systems whose name holds this")
    options = parser.parse_args()
    console = Console(width=120)
    if options.starts:
        times = sorted(started(options.starts))
        console.print(f"ready after {statistics.median(times):.2f} s ({times[0]:.2f} to {times[-1]:.2f})")
    with systems() as everything:
        chosen = [system for system in everything if options.only in system.name]
        ours = next(system.pid for system in everything if system.name.startswith("quorate"))
        before = footprint(ours)
        for concurrency in options.concurrency:
            rounds = rounds_of(chosen, concurrency, options)
            console.print(table(chosen, rounds, concurrency))
        time.sleep(10)  # longer than an unused connection is kept
        console.print(told(before, footprint(ours)))


if __name__ == "__main__":
    main()
