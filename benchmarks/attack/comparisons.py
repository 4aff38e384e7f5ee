"""A key whose votes take for ever to compare: towers of powers, beside a key whose votes need algebra too."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from quorate.config.server_settings import hash_key

from .client import ask, exchange, quantile
from .row import Row, Target, open_target

__all__ = ["attack"]

COST = 0.05
"""Seconds that another key's votes may cost one."""
VOTES = 60
CLIENTS = 16
TOWERS = 400
MODEL = "majority@8/recorded"


def sums(number: int) -> list[str]:
    """Five votes for one expression, spelt in two ways, and three for others."""
    same = [f"x+{number}", f"{number}+x"] * 2 + [f"x+{number}"]
    return [*same, f"x-{number}", f"{number}x", f"x^{number}"]


def towers(number: int) -> list[str]:
    return [f"{base}^{{9^{{{number + 9}}}}}" for base in range(2, 10)]


def record(file: Path) -> None:
    """Questions of both kinds, with the answers that a vote compares."""
    kinds = (("sum", VOTES * 2, sums), ("tower", TOWERS, towers))
    with file.open("w") as lines:
        for kind, size, answers in kinds:
            for number in range(2, size + 2):
                said = [f"\\boxed{{{answer}}}" for answer in answers(number)]
                print(json.dumps({"question": f"{kind} {number}", "answers": said}), file=lines)


async def vote(target: Target, key: str, question: str) -> dict[str, Any]:
    reply = await exchange(target.port, ask(MODEL, question, key=key))
    document: dict[str, Any] = json.loads(reply.partition(b"\r\n\r\n")[2])
    return document


async def vote_on_sums(target: Target, first: int) -> tuple[list[float], int]:
    """Seconds of each vote, one after the other, and how many had five votes for one answer."""
    took, right = [], 0
    for number in range(first, first + VOTES):
        begun = time.monotonic()
        document = await vote(target, "victim", f"sum {number}")
        took.append(time.monotonic() - begun)
        right += document["quorate"]["tally"][0]["votes"] == 5
        await asyncio.sleep(0.02)
    return took, right


async def vote_on_towers(target: Target, numbers: Any) -> None:
    while (number := next(numbers)) < TOWERS:
        with suppress(OSError, ValueError):
            await vote(target, "attacker", f"tower {number}")


async def attack() -> Sequence[Row]:
    """See `Attack`."""
    keys = [{"name": name, "hash": hash_key(name)} for name in ("victim", "attacker")]
    with tempfile.TemporaryDirectory() as folder:
        record(file := Path(folder) / "answers.jsonl")
        with open_target({"recorded": {"type": "recorded", "file": str(file)}}, server={"keys": keys}) as target:
            await vote(target, "victim", "sum 2")  # starts the algebra
            alone, right_alone = await vote_on_sums(target, 2)
            numbers = count(2)
            clients = [asyncio.create_task(vote_on_towers(target, numbers)) for _ in range(CLIENTS)]
            await asyncio.sleep(1)
            beside, right_beside = await vote_on_sums(target, 2 + VOTES)
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
            codes = [note["code"] for note in (await vote(target, "attacker", "tower 2"))["quorate"]["degraded"]]
    cost = quantile(beside, 0.95) - quantile(alone, 0.95)
    return [
        Row(
            f"{CLIENTS} clients' towers of powers cost another key's vote at most {1000 * COST:.0f} ms (p95)",
            f"{1000 * quantile(alone, 0.95):.0f} ms alone, {1000 * quantile(beside, 0.95):.0f} ms beside, of {VOTES}",
            cost <= COST,
            "tests/aggregators/test_algebra.py::test_a_bomb_keeps_no_other_caller_waiting",
        ),
        Row(
            "the same samples give the same tally whatever runs beside",
            f"{right_alone} of {VOTES} votes as they should be alone, {right_beside} beside",
            right_alone == right_beside == VOTES,
            "tests/aggregators/test_algebra.py::test_a_bomb_keeps_no_other_caller_waiting",
        ),
        Row(
            "a vote whose comparisons were cut says so",
            f"degraded: {', '.join(codes)}",
            "comparison_cut" in codes,
            "tests/aggregators/test_algebra.py::test_votes_say_what_could_not_be_compared",
        ),
    ]
