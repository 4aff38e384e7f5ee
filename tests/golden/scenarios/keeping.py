"""Banks, checkpoints, bad input."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from quorate import (
    Checkpoints,
    QuorateError,
)
from quorate.evals.bank import Bank
from quorate.evals.banked_sampler import BankedSampler
from quorate.evals.records import AnswerRecord, RecordedBank
from quorate.evals.replay import replay

from ..answering import SEED, SUM, solver
from ..scenario import Ask, Found, scenario
from ..telling import build, failure, run_answer, run_until_synthesis, told_error


@scenario
async def bank_replay() -> AsyncIterator[Ask]:
    """Samples in a bank are served again as if they had just been drawn, though the model now fails."""
    bank, lines = Bank(), [17, 18, 17, 17]
    first = build("majority@3/m", m=BankedSampler(solver(*lines), bank))
    await run_answer(first, SUM, seed=SEED, budget=None)
    yield Ask(build("majority@4/m", m=BankedSampler(solver(failure(500)), bank)), SUM)


@scenario(needs="numpy")
async def eval_replay() -> AsyncIterator[Found]:
    """Aggregators over recorded answers: accuracy, samples and tokens."""

    def item(number: int, classes: Sequence[int | None]) -> AnswerRecord:
        answers = tuple(None if c is None else str(c) for c in classes)
        columns = {"tokens": tuple(range(10, 10 + len(classes)))}
        right = tuple(c == 0 for c in classes)
        return AnswerRecord(f"q{number}", ("m",) * len(classes), answers, tuple(classes), right, columns)

    items = (
        item(0, [0, 0, 1, 0, None, 0, 1, 0]),
        item(1, [1, 1, 0, 1, 0, 0, 0, 2]),
        item(2, [2, 0, 1, 0, 0, 2, 2, 2]),
        item(3, [0] * 8),
    )
    bank = RecordedBank("bank", False, {"m": items}, len(items), frozenset({"samples", "tokens"}))
    results = replay(bank, ["plurality", "pass", "adaptive-consistency", "esc"], k=[1, 3, 8], draws=20)
    yield Found([_rounded(result.model_dump()) for result in results])


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return round(value, 6) if isinstance(value, float) else value


@scenario(needs="langgraph")
async def checkpoints_resumed() -> AsyncIterator[Ask]:
    """A thread whose stages are kept is not sampled again, though the model now fails."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        kept = await stack.enter_async_context(Checkpoints(Path(folder) / "runs.sqlite"))
        more = {"checkpoints": kept, "thread": "monday"}
        await run_until_synthesis(build("self-moa@3/m", m=solver()), SUM, seed=SEED, **more)
        yield Ask(build("self-moa@3/m", m=solver(failure(500))), SUM, more=more)


@scenario
async def bad_names() -> AsyncIterator[Found]:
    """What the catalog says to names that it cannot resolve."""
    names = (
        "nobody",
        "nobody/m",
        "majority@0/m",
        "majority@x/m",
        "majority@9999/m",
        "majority@3/m+nobody",
        "borda@3/m",
    )
    found: dict[str, Any] = {}
    for name in names:
        try:
            found[name] = build(name, m=solver()).name
        except QuorateError as error:
            found[name] = {**told_error(error), "message": str(error).partition("; ")[0]}
    yield Found(found)


@scenario
async def names() -> AsyncIterator[Found]:
    """Names that the catalog resolves, and what the pipelines call themselves."""
    models = {"a": solver(name="a"), "b": solver(name="b")}
    asked = ("a", "majority", "majority@3", "majority/a", "majority@4/a+b", "majority@2/self-moa@3/b", "gate@4/b")
    yield Found({name: build(name, **models).name for name in asked})
