"""Does a batch keep an upstream busy? Votes over five samples, before a server with so many slots.

python -m benchmarks.batch [--lines 2000] [--slots 16] [--seconds 0.05] [--rounds 3]

Told of each round, between the first twentieth of the lines and the last:

- busy: lines answered in that time, in those that the slots can answer in it;
- limit, under way: means of the number of requests that the endpoint found the server to bear, and of those that it
  had; the share is the mean of under way / min(limit, lines under way), each looked at every 10 ms;
- drawn: samples, by the upstream's replies; every line has five.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from quorate import Endpoint
from quorate.config.catalog import Catalog
from quorate.evals.bank import Bank
from quorate.evals.banked_sampler import bank_model
from quorate.server import ServerSettings, create_app
from quorate.server.batch import Batch, BatchReply

from .serving.processes import mock

CONCURRENCY = 64
"""Lines under way, as `quorate batch` has it."""
EDGE = 0.05


async def measure(url: str, folder: Path, lines: int, slots: int, seconds: float) -> str:
    source = folder / "in.jsonl"
    with source.open("w") as file:
        for number in range(lines):
            body = {"messages": [{"role": "user", "content": f"Question {number}: what is 6 * 9?"}]}
            file.write(json.dumps({"custom_id": str(number), "body": body}) + "\n")
    endpoint = Endpoint("m", base_url=f"{url}/v1")
    catalog = Catalog({"m": endpoint})
    ended: list[float] = []
    looks: list[tuple[float, int, float]] = []

    def note(_: BatchReply) -> None:
        ended.append(time.monotonic())

    async def look() -> None:
        while True:
            looks.extend((time.monotonic(), each.taken, each.limit.value) for each in endpoint.http.all_places())
            await asyncio.sleep(0.01)

    settings = ServerSettings(metrics=False, max_concurrent=CONCURRENCY, queue_seconds=1e9)
    with Batch(source, folder / "out.jsonl", model="majority@5/m") as batch, Bank(folder / "bank.sqlite") as bank:
        app = create_app(catalog.wrap_models(lambda model: bank_model(model, bank)), settings)
        looking = asyncio.create_task(look())
        progress = await batch.run(app, concurrency=CONCURRENCY, note=note)
        looking.cancel()
        drawn = len(bank)
    await endpoint.aclose()
    assert (progress.answered, drawn) == (lines, 5 * lines), (progress, drawn)
    first, last = int(EDGE * lines), int((1 - EDGE) * lines)
    begin, end = ended[first], ended[last]
    inside = [(taken, limit) for at, taken, limit in looks if begin <= at <= end]
    rate = (last - first) / (end - begin)
    share = statistics.mean(taken / min(limit, CONCURRENCY) for taken, limit in inside)
    return (
        f"{rate:.0f} lines/s, busy {rate * seconds / slots:.1%}; limit {statistics.mean(x[1] for x in inside):.0f}, "
        f"under way {statistics.mean(x[0] for x in inside):.1f}, share {share:.1%}; drawn {drawn}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for round_ in range(1, given.rounds + 1):
        with mock("slots", str(given.slots), str(given.seconds)) as (url, _), tempfile.TemporaryDirectory() as folder:
            told = asyncio.run(measure(url, Path(folder), given.lines, given.slots, given.seconds))
            print(f"round {round_}: {told}", flush=True)


if __name__ == "__main__":
    main()
