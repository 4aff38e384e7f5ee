"""What several processes give: votes a second of two workers beside one, memory of a worker, cost of what they share.

    nice -n -10 python benchmarks/scaling.py [--workers 1 2] [--concurrency 192] [--seconds 5] [--rounds 5]

A mock upstream answers after 200 ms, with 16 samples a request; it, the load generator (this process) and the servers
are processes on one machine, and the servers take turns in every round. Shown are, for each server: votes a second;
processor time of a vote in workers, supervisor, upstream and load generator; how full the machine was, and how much
of it was others' work; memory of a worker. The ratio is that of the votes a second in the same round, and its range;
on two cores the machine is full before two workers are, so beside it stands what their processor time says of cores of
their own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from serving import processes
from serving.load import System, measure
from serving.processes import cpu, free_port

VOTE = "majority@16/many"
STAT = Path("/proc/stat")


@dataclass(frozen=True)
class Turn:
    """One server in one round; times are processor seconds of a vote."""

    per_second: float
    workers: float
    supervisor: float
    upstream: float
    load: float
    busy: float
    """Part of the machine's time that somebody used."""
    others: float
    """Part of it that was none of ours."""

    def capacity(self, workers: int) -> float:
        """Votes a second where each worker has a core, and neither upstream nor load generator is on the machine."""
        return workers / (self.workers + self.supervisor)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]


def used() -> tuple[float, float]:
    """Seconds that all cores have worked and that they have had, since the machine began."""
    fields = [int(each) / processes.TICK for each in STAT.read_text().splitlines()[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def measure_turn(system: System, upstream: int, concurrency: int, seconds: float) -> Turn:
    assert system.pid is not None
    own = [system.pid, *children(system.pid)]

    def read() -> tuple[float, ...]:
        serving = sum(map(cpu, own[1:])) if len(own) > 1 else cpu(own[0])
        return serving, cpu(own[0]) - serving, cpu(upstream), *used()

    before, mine = read(), os.times()
    found = asyncio.run(measure(system, concurrency, seconds))
    after, now = read(), os.times()
    load = now.user + now.system - mine.user - mine.system
    # `measure` ramps up before it counts: the same share of work for each vote.
    votes = found.per_second * (now.elapsed - mine.elapsed)
    workers, supervisor, mock, busy, had = (b - a for a, b in zip(before, after, strict=True))
    ours = workers + supervisor + mock + load
    return Turn(
        found.per_second,
        workers / votes,
        supervisor / votes,
        mock / votes,
        load / votes,
        busy / had,
        max(0.0, busy - ours) / had,
    )


def resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * processes.PAGE / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description="What several processes give.")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--concurrency", type=int, default=192, help="questions at any time")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each server in each round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with ExitStack() as stack:
        upstream, upstream_pid = stack.enter_context(processes.mock("upstream"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        systems = {}
        for count in options.workers:
            path = folder / f"{count}.yaml"
            model = {"base_url": f"{upstream}/many/v1", "model": "m", "concurrency": 1024}
            path.write_text(json.dumps({"models": {"many": model}, "server": {"workers": count}}))
            url, pid = stack.enter_context(processes.quorate(path, free_port()))
            systems[count] = System(f"{count} workers", f"{url}/v1", VOTE, pid)
        rounds = [
            {
                count: measure_turn(system, upstream_pid, options.concurrency, options.seconds)
                for count, system in systems.items()
            }
            for _ in range(options.rounds)
        ]
        print_table(rounds, systems, options.concurrency)


def print_table(rounds: list[dict[int, Turn]], systems: dict[int, System], concurrency: int) -> None:
    table = Table(
        "workers",
        "votes/s",
        "of one",
        "with cores of their own",
        "worker ms",
        "supervisor",
        "upstream",
        "load",
        "busy",
        "others",
        "MiB",
    )
    table.title = f"{VOTE}, {concurrency} questions at a time, {len(rounds)} rounds"
    first = next(iter(systems))
    for count, system in systems.items():
        turns = [each[count] for each in rounds]
        ratios = sorted(each[count].per_second / each[first].per_second for each in rounds)
        capacities = sorted(each[count].capacity(count) / each[first].capacity(first) for each in rounds)
        times = [
            f"{1000 * statistics.median(values):.2f}"
            for values in zip(*((t.workers, t.supervisor, t.upstream, t.load) for t in turns), strict=True)
        ]
        assert system.pid is not None
        memory = max(map(resident, children(system.pid) or [system.pid]))
        table.add_row(
            str(count),
            f"{statistics.median(t.per_second for t in turns):.0f}",
            show(ratios),
            show(capacities),
            *times,
            f"{statistics.median(t.busy for t in turns):.0%}",
            f"{statistics.median(t.others for t in turns):.0%}",
            f"{memory:.0f}",
        )
    Console(width=140).print(table)


def show(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


if __name__ == "__main__":
    main()
