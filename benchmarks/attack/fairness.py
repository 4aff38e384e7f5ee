"""A key with 64 clients of `majority@16`: how long do another key's single calls and votes take beside it?"""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from benchmarks.serving import processes

from .client import quantile
from .neighbours import KEYS, crowd, open_asker
from .row import Row, Target, open_target

__all__ = ["attack"]

CLIENTS = 64
CALLS, VOTES = 30, 8
PROMISED = 1.5
"""Times its time alone that a single call takes."""
BUDGET = 2.0
"""Seconds of a vote."""
TESTS = "tests/agents/test_places.py::"


async def crowd_out(target: Target, where: str) -> list[Row]:
    async with open_asker(target, "heavy") as heavy, open_asker(target, "light") as light:
        alone = statistics.median([(await light.ask("single")).seconds for _ in range(10)])
        async with crowd(heavy, CLIENTS, "majority@16/single", lambda _: "What is 6 * 9?") as votes:
            await asyncio.sleep(3.0)
            took = []
            for number in range(CALLS):
                took.append((await light.ask("single")).seconds / alone)
                await asyncio.sleep(0.03 + 0.005 * number)  # not always at the same moment of the crowd's
            limit = {"budget": {"seconds": BUDGET}}
            answered = [await light.ask("majority@5/single", quorate=limit) for _ in range(VOTES)]
    good = sum(reply.status == 200 for reply in answered)
    median, p95, most = statistics.median(took), quantile(took, 0.95), max(took)
    return [
        Row(
            f"beside {CLIENTS} clients of majority@16 {where}: a single call takes {PROMISED:g} times its time alone",
            f"p50 {median:.2f}, p95 {p95:.2f}, max {most:.2f} times {alone:.3f} s, of {CALLS}; {len(votes)} votes",
            p95 <= PROMISED,
            TESTS + "test_a_single_call_beside_a_crowd_takes_half_as_long_again_at_most",
        ),
        Row(
            f"beside them, a vote over five with {BUDGET:g} s gets an answer",
            f"{good} of {VOTES}, max {max(reply.seconds for reply in answered):.2f} s",
            good == VOTES,
            TESTS + "test_a_vote_beside_a_crowd_is_through_in_two_turns",
        ),
    ]


async def attack() -> list[Row]:
    rows = []
    with processes.mock("upstream") as (upstream, _):
        settings: dict[str, dict[str, Any]] = {"by default": {}, "at 16 places": {"concurrency": 16}}
        for where, more in settings.items():
            models = {"single": {"base_url": f"{upstream}/single/v1", "model": "m", **more}}
            with open_target(models, server=KEYS) as target:
                rows += await crowd_out(target, where)
    return rows
