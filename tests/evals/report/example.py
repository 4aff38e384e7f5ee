"""A bank with a run in it: sums, some of whose answers would be markup if anything let them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quorate.evals.bank import Bank, BankedAgent, BankedSample, SampleRequest, grade
from quorate.evals.outcome import Outcome
from quorate.evals.task import Item
from quorate.orchestrator.types import Candidate, Failure, Question
from quorate.orchestrator.usage import Usage
from tests.evals.fakes import Sums

__all__ = ["EVIL", "PIPELINES", "SAMPLES", "filled"]

EVIL = "</script><img src=x onerror=alert(1)><b>&amp;\u2028"
PIPELINES = ("m", "majority@4/m", "broken/m")
SAMPLES = 4


class Evil(Sums):
    """Sums whose third question has an evil text, family and id."""

    name = "sums"

    def items(self, selection: object) -> list[Item]:
        plain = [Item(f"sum-{n}", Question.of(f"What is {n} + {n}?"), str(2 * n), f"mod {n % 3}") for n in range(1, 13)]
        return [*plain, Item(f"evil {EVIL}", Question.of(f"What is 9 + 9? {EVIL}"), "18", EVIL)]


async def filled(path: Path | None, *, pipelines: tuple[str, ...] = PIPELINES, finished: bool = True) -> Bank:
    """Four samples a question, of which the first is wrong for every third; one pipeline fails everywhere.

    Args:
        pipelines: without any, the bank has samples and no run.
        finished: whether the run came to its end and every pipeline was asked everything.
    """
    bank, task = Bank(path), Evil()
    items = task.items(None)
    content = bank.note_items("sums", items, revision="1", split="test")
    for number, item in enumerate(items):
        request = SampleRequest("m~abc", item.question.key, number)
        bank.note_request(request, item.question, BankedAgent(id="m~abc", name="m", kind="fake", model="m"))
        bank.add_all(_drawn(request, item, number))
        await grade(bank, task, item)
    if pipelines:
        run = bank.start_run(
            "sums",
            pipelines=pipelines,
            questions=len(items),
            revision="1",
            content=content,
            settings={"seed": 3, "tier": "small", "evil": EVIL},
            versions={"quorate": "0.1.0"},
        )
        for number, item in enumerate(items if finished else items[:5]):
            for outcome in _outcomes(item, number, pipelines):
                bank.add_outcome(run, outcome)
        if finished:
            bank.finish_run(run)
    return bank


def _drawn(request: SampleRequest, item: Item, number: int) -> Iterator[BankedSample]:
    for index in range(SAMPLES):
        wrong = index == 0 and number % 3 == 0
        text = f"{EVIL} Answer: {int(item.gold) + wrong}"
        usage = Usage(prompt_tokens=7, completion_tokens=10 + index, requests=1)
        candidate = Candidate(
            index=index, model="m", agent="m", text=text, finish_reason="stop", usage=usage, latency=0.5
        )
        yield BankedSample(**request._asdict(), index=index, candidate=candidate)


def _outcomes(item: Item, number: int, pipelines: tuple[str, ...]) -> Iterator[Outcome]:
    first_wrong = number % 3 == 0
    blank = Outcome(pipeline="", item=item.id, cluster=item.cluster, gold=item.gold)
    given: dict[str, dict[str, Any]] = {
        "m": {"answer": str(int(item.gold) + first_wrong), "correct": not first_wrong, "samples": (not first_wrong,)}
        | {"tokens": 10, "seconds": 0.5, "text": EVIL},
        "majority@4/m": {"answer": item.gold, "correct": True, "samples": (not first_wrong, True, True, True)}
        | {"tokens": 46, "cost": 0.002, "seconds": 0.6},
        "fused/m": {"answer": item.gold, "correct": number != 1, "samples": (True, True), "tokens": 20},
        "broken/m": {"error": Failure(code="x", message=f"gone {EVIL}")},
    }
    for name in pipelines:
        yield Outcome.model_validate({**blank.model_dump(), "pipeline": name, **given[name]})
