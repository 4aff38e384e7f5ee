"""What `quorate serve` costs beside a bare proxy: requests a second, latency, CPU, memory, time to start.

    python benchmarks/server.py [--concurrency 1 16 64] [--seconds 4] [--rounds 5] [--base CHECKOUT]

A mock upstream answers after 200 ms; it, the load generator (this process), a naive aiohttp proxy and
`quorate serve` are processes on one machine. The systems take turns in every round, so that other work on
the machine touches all of them; shown are medians over the rounds, and of each of ours the median of its
ratio to the naive proxy that does the same work in the same round. With `--base`, the server of another
checkout of this repository takes its turns beside ours over the same upstream, and the median ratio of the CPU
of a request is shown, too. docs/server-benchmark.md has the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from serving import processes
from serving.load import Measured, System, measure, quantile
from serving.processes import Footprint, footprint, free_port

OURS = {
    "passthrough": ("many", False),
    "majority@5, five calls": ("majority@5/single", False),
    "majority@5, one call": ("majority@5/many", False),
    "gate@5, five calls": ("gate@5/single", False),
    "passthrough, streamed": ("many", True),
    "majority@5, streamed": ("majority@5/single", True),
}
"""What is asked of our server, and whether as a stream."""
NAIVE = {
    "passthrough": ("m", False),
    "majority@5, five calls": ("vote", False),
    "majority@5, one call": ("vote-n", False),
    "passthrough, streamed": ("m", True),
}
"""The same of the naive proxy."""

Round = dict[str, Measured]


@contextmanager
def open_systems(base: Path | None) -> Iterator[list[System]]:
    """All of them, running."""
    with ExitStack() as stack:
        upstream, _ = stack.enter_context(processes.mock("upstream"))
        naive, naive_pid = stack.enter_context(processes.mock("naive", upstream))
        path = write_config(Path(stack.enter_context(tempfile.TemporaryDirectory())), upstream)
        ours, pid = stack.enter_context(processes.quorate(path, free_port()))
        systems = [
            System("direct", f"{upstream}/many/v1", "m"),
            System("direct, streamed", f"{upstream}/many/v1", "m", stream=True),
        ]
        systems += [System(f"naive {w}", f"{naive}/v1", m, naive_pid, stream=s) for w, (m, s) in NAIVE.items()]
        systems += [System(f"quorate {w}", f"{ours}/v1", m, pid, stream=s) for w, (m, s) in OURS.items()]
        if base is not None:
            old, old_pid = stack.enter_context(processes.quorate(path, free_port(), base))
            systems += [System(f"base {w}", f"{old}/v1", m, old_pid, stream=s) for w, (m, s) in OURS.items()]
        # Those that are compared are measured one right after the other.
        yield sorted(systems, key=lambda system: (system.name.partition(" ")[2], system.name))


def write_config(folder: Path, upstream: str) -> Path:
    """Two models, of which one's server refuses `n`; concurrency is no limit here, as in the naive proxy."""
    models = {
        name: {"base_url": f"{upstream}/{name}/v1", "model": "m", "concurrency": 1024} for name in ("many", "single")
    }
    path = folder / "quorate.yaml"
    path.write_text(json.dumps({"models": models}))
    return path


def measure_rounds(systems: list[System], concurrency: int, options: argparse.Namespace) -> list[Round]:
    return [
        {system.name: asyncio.run(measure(system, concurrency, options.seconds)) for system in systems}
        for _ in range(options.rounds)
    ]


def make_table(systems: list[System], rounds: list[Round], concurrency: int) -> Table:
    table = Table("system", "req/s", "of naive", "p50 ms", "p95 ms", "CPU ms", "of base", "first byte p50", "p95")
    table.title = f"{concurrency} questions at a time"
    for system in systems:
        name, mine = system.name, [each[system.name] for each in rounds]
        costs = [m.cpu for m in mine if m.cpu is not None]
        firsts = [value for m in mine for value in m.first] if system.stream else []
        table.add_row(
            name,
            f"{statistics.median(m.per_second for m in mine):.0f}",
            compare(rounds, name, "naive", lambda m: m.per_second),
            f"{1000 * statistics.median(m.p50 for m in mine):.1f}",
            f"{1000 * statistics.median(m.p95 for m in mine):.1f}",
            f"{1000 * statistics.median(costs):.2f}" if costs else "",
            compare(rounds, name, "base", lambda m: m.cpu or 0.0),
            *((f"{1000 * quantile(firsts, q):.1f}" for q in (0.5, 0.95)) if firsts else ("", "")),
        )
    return table


def compare(rounds: list[Round], name: str, other: str, figure: Callable[[Measured], float]) -> str:
    """The median ratio to another system that does the same work in the same round; empty where there is none."""
    kind, _, work = name.partition(" ")
    peer = f"{other} {work}"
    if kind not in ("quorate", "base") or kind == other or peer not in rounds[0]:
        return ""
    return f"{statistics.median(figure(each[name]) / figure(each[peer]) for each in rounds):.2f}"


def measure_starts(times: int) -> list[float]:
    """Seconds from the start of the process until it answers."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_config(Path(folder), "http://127.0.0.1:9")
        for _ in range(times):
            begun = time.perf_counter()
            with processes.quorate(path, free_port()):
                found.append(time.perf_counter() - begun)
    return found


def describe(before: Footprint, after: Footprint) -> str:
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
    parser.add_argument("--base", type=Path, help="another checkout, whose server takes turns with ours")
    options = parser.parse_args()
    console = Console(width=140)
    if options.starts:
        times = sorted(measure_starts(options.starts))
        console.print(f"ready after {statistics.median(times):.2f} s ({times[0]:.2f} to {times[-1]:.2f})")
    with open_systems(options.base) as systems:
        chosen = [system for system in systems if options.only in system.name]
        ours = next(system.pid for system in systems if system.name.startswith("quorate"))
        before = footprint(ours)
        for concurrency in options.concurrency:
            rounds = measure_rounds(chosen, concurrency, options)
            console.print(make_table(chosen, rounds, concurrency))
        time.sleep(10)  # longer than an unused connection is kept
        console.print(describe(before, footprint(ours)))


if __name__ == "__main__":
    main()
