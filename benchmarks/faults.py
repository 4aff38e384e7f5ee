"""How late answers are under each fault, whether usage is exact, how soon a caller who leaves has stopped all work.

    python benchmarks/faults.py [--rounds 20]

Five samples, of which four are good after 50 ms and the fifth has the fault. Told are the time of the answer
beyond the deadline of 300 ms (of the request, then of the stage), that beyond the grace of 100 ms after the quorum
of four, each as median and worst, and whether the ledger holds what the server counted in every round. Then, for
several pipelines, the time from leaving until the server has seen the last of its connections closed.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from quorate import Budget, Endpoint, MajorityVote, Pipeline, SelfMoA, sample
from quorate.agents import BreakerPolicy, RetryPolicy
from quorate.aggregators.registry import build_pipeline
from quorate.orchestrator.types import Answer
from quorate.testing import Fault, Received, Reply, ScriptedUpstream, Step

QUESTION = "What is 17 * 24?"
GOOD = Reply("so it is 408", delay=0.05)
DEADLINE = 0.3
GRACE = 0.1

FAULTS: dict[str, Step] = {
    "hangs before its headers": Fault.hang(),
    "hangs in the middle": Fault.hang(after_chunks=2),
    "drips a word a second": Reply("one two three four five six", gap=1.0),
    "refuses (500)": Fault.status(500),
    "refuses (429, Retry-After 60)": Fault.status(429, retry_after=60),
    "resets in the middle": Fault.reset_midway(after_chunks=2),
    "ends without its end": Fault.close_midway(after_chunks=2),
    "gives no JSON": Fault.bad_body(b"<html>"),
}


def fifth(fault: Step) -> Callable[[Received], Step]:
    """The third request of every five has the fault."""
    seen = iter(range(10**9))
    return lambda _: fault if next(seen) % 5 == 2 else GOOD


def endpoint(up: ScriptedUpstream) -> Endpoint:
    never = BreakerPolicy(failures=10**6)
    return Endpoint("m", base_url=up.url, n_supported=False, retries=RetryPolicy(attempts=1), breaker=never)


async def answered(vote: Pipeline, budget: Budget | None = None) -> tuple[Answer, float]:
    start = time.monotonic()
    answer = await vote.answer(QUESTION, budget=budget)
    return answer, time.monotonic() - start


async def under(fault: Step, rounds: int) -> tuple[list[float], list[float], list[float], str]:
    """Milliseconds beyond the request's deadline, the stage's, and the quorum's grace; and whether usage was exact."""
    late: tuple[list[float], list[float], list[float]] = ([], [], [])
    exact = estimated = 0
    for _ in range(rounds):
        for place in range(3):
            async with ScriptedUpstream(fifth(fault)) as up, endpoint(up) as model:
                stage = sample(model, n=5, seconds=DEADLINE if place == 1 else None)
                if place == 2:
                    stage = sample(model, n=5, quorum=4, grace=GRACE)
                budget = Budget(seconds=DEADLINE) if place == 0 else None
                answer, seconds = await answered(stage | MajorityVote(), budget)
                await up.wait_until(lambda up: up.in_flight == 0)
                assert answer.answer == "408"
                assert sum(c.ok for c in answer.candidates) == 4
                due = DEADLINE if place < 2 else GOOD.delay + GRACE
                late[place].append(1000 * (seconds - due))
                estimated += answer.usage.estimated
                exact += (answer.usage.prompt_tokens, answer.usage.completion_tokens) == up.token_counts
    return *late, f"{exact} of {3 * rounds}" + (f" ({estimated} flagged estimated)" if estimated else "")


def then_hangs(sampled: int) -> Callable[[Received], Step]:
    """So many good, different answers; then nothing more."""
    seen = iter(range(10**9))
    hang = Fault.hang(after_chunks=1)
    return lambda _: Reply(f"so it is {place}") if (place := next(seen)) < sampled else hang


async def leaving(name: str, rounds: int) -> list[float]:
    """Milliseconds from leaving until no request is left at the server."""
    took = []
    sampled = 0 if name.startswith("majority") or name == "nested" else 4
    for _ in range(rounds):
        step = then_hangs(sampled)
        async with ScriptedUpstream(step) as up, endpoint(up) as model:
            if name == "nested":
                pipeline = sample(sample(model, n=4) | SelfMoA(model), n=4) | MajorityVote()
            else:
                pipeline = build_pipeline(name.partition("@")[0], [model], n=4)
            reader = asyncio.create_task(pipeline.answer(QUESTION))
            await up.wait_until(lambda up: len(up.requests) > sampled and up.in_flight > 0)
            await asyncio.sleep(0.05)
            start = time.monotonic()
            reader.cancel()
            await up.wait_until(lambda up: up.in_flight == 0)
            took.append(1000 * (time.monotonic() - start))
            await asyncio.gather(reader, return_exceptions=True)
    return took


def told(figures: Sequence[float]) -> str:
    return f"{statistics.median(figures):.1f} / {max(figures):.1f}"


async def main(rounds: int) -> None:
    console = Console(width=140)
    table = Table("the fifth sample", "deadline of the request", "of the stage", "quorum and grace", "usage exact")
    for name, fault in FAULTS.items():
        request, stage, quorum, exact = await under(fault, rounds)
        table.add_row(name, told(request), told(stage), told(quorum), exact)
    console.print("Milliseconds after the time at which an answer was due, median / worst; below zero: before it.")
    console.print(table)
    table = Table("pipeline", "ms from leaving to the last connection closed, median / worst")
    for name in ("majority@4", "self-moa@4", "moa@4", "rsa@4", "debate@4", "knockout@4", "usc@4", "gate@4", "nested"):
        table.add_row(name, told(await leaving(name, rounds)))
    console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    asyncio.run(main(parser.parse_args().rounds))
