"""Prompts that an upstream always fails of, in a loop: is anybody else refused, or held back for long?"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from benchmarks.serving import processes

from .neighbours import KEYS, Reply, crowd, open_asker
from .row import Row, Target, open_target

__all__ = ["attack"]

CLIENTS = 8
SECONDS = 5.0
HOLD = 5.0
"""Seconds for which a Retry-After of one holds others back at most."""
SLACK = 0.5
"""Seconds for the request itself."""
TESTS = "tests/agents/test_breaker.py::"


def count_statuses(replies: list[Reply]) -> str:
    return ", ".join(f"{count} x {status}" for status, count in sorted(Counter(r.status for r in replies).items()))


async def poison(target: Target, keys: tuple[str, str], what: str, content: Callable[[int], str], test: str) -> Row:
    """Votes of sixteen that always fail, and somebody who asks something else meanwhile."""
    attacker, victim = keys
    async with open_asker(target, attacker) as heavy, open_asker(target, victim) as light:
        seen = []
        async with crowd(heavy, CLIENTS, "majority@16/single", content) as failed:
            until = asyncio.get_running_loop().time() + SECONDS
            while asyncio.get_running_loop().time() < until:
                seen.append(await light.ask("single"))
    return Row(
        f"{CLIENTS} clients with majority@16 on {what}: no other question is refused",
        f"{count_statuses(seen)}; attackers: {count_statuses(failed)}",
        all(reply.status == 200 for reply in seen) and any(reply.status >= 500 for reply in failed),
        TESTS + test,
    )


async def hold_back(target: Target) -> Row:
    """One request earns a Retry-After of a minute."""
    async with open_asker(target, "heavy") as heavy, open_asker(target, "light") as light:
        earning = asyncio.create_task(heavy.ask("single", "later"))
        await asyncio.sleep(0.3)
        reply = await light.ask("single")
        earning.cancel()
        await asyncio.gather(earning, return_exceptions=True)
    told = [each["code"] for each in reply.body["quorate"]["degraded"]] if reply.status == 200 else []
    return Row(
        f"a Retry-After of 60 s that one has earned holds others back for {HOLD:g} s at most, and the reply says so",
        f"{reply.status} after {reply.seconds:.2f} s, {told}",
        reply.status == 200 and reply.seconds <= HOLD + SLACK and told == ["held_back"],
        TESTS + "test_retry_after_of_one_holds_others_back_for_no_longer_than_the_cap",
    )


async def attack() -> list[Row]:
    with processes.mock("poison") as (upstream, _):
        models = {"single": {"base_url": f"{upstream}/single/v1", "model": "m"}}
        with open_target(models) as target:
            one = await poison(
                target, ("", ""), "one prompt", lambda _: "poison", "test_a_prompt_that_always_fails_refuses_nobody"
            )
        with open_target(models, server=KEYS) as target:
            many = await poison(
                target,
                ("heavy", "light"),
                "ever new prompts, with a key of their own",
                lambda number: f"poison {number}",
                "test_poison_of_one_caller_refuses_that_one_alone",
            )
            return [one, many, await hold_back(target)]
