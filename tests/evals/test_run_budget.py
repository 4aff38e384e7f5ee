"""A run's budgets: it stops cleanly, keeps everything, says so, and a run with more goes on from there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quorate.evals import registry
from quorate.evals.bank import Bank
from quorate.evals.report import EvalResult
from quorate.evals.run import Answered, EvalSpec, Progress, run_eval, run_evals
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.identity import Price
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Question
from quorate.orchestrator.usage import Usage

from .fakes import PROMPT, Guesser, Sums, catalog


class Products(Sums):
    """Another task, for runs over several."""

    name = "products"


class Dear(Guesser):
    """A token costs 1."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(price=Price(prompt=0, completion=1e6), **settings)

    def guess(self, *asked: Any, **more: Any) -> tuple[str, Usage]:
        text, usage = super().guess(*asked, **more)
        return text, usage.model_copy(update={"cost": float(usage.completion_tokens)})


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "sums": Sums(), "products": Products()})


async def evaluated(agent: Guesser, *names: str, limit: int = 200, **more: Any) -> EvalResult:
    on_progress = more.pop("on_progress", None)
    spec = EvalSpec("sums", pipelines=names, limit=limit, **more)
    return await run_eval(catalog(agent), spec, on_progress=on_progress)


async def test_a_budget_of_tokens_ends_the_run_just_below_it(tmp_path: Path) -> None:
    """Everything sampled is kept, the result says why it is short, and the rest is drawn later."""
    agent = Guesser(pause=0.0001)
    result = await evaluated(agent, "majority@4/m", out=tmp_path, budget=Budget(tokens=2000))
    assert not result.complete
    assert "of 2,000 tokens used" in result.notes[-1]
    spent = result.questions * ((result.pipelines[0].spent or 0) + PROMPT)
    assert 1700 < spent <= 2040
    with Bank(tmp_path) as bank:
        assert len(bank) == 4 * result.questions
        assert bank.runs()[-1].finished is None
    healed = Guesser()
    whole = await evaluated(healed, "majority@4/m", out=tmp_path)
    assert whole.complete
    assert len(healed.asked) == 200 - result.questions


async def test_a_budget_of_money_counts_what_is_drawn_now(tmp_path: Path) -> None:
    """Samples from the bank are free, so the same budget gets further the second time."""
    first = await evaluated(Dear(pause=0.0001), "majority@4/m", out=tmp_path, budget=Budget(money=1000))
    second = await evaluated(Dear(pause=0.0001), "majority@4/m", out=tmp_path, budget=Budget(money=1000))
    assert "of money spent" in first.notes[-1]
    assert second.questions > 1.7 * first.questions > 0


async def test_a_budget_of_seconds_cuts_off_what_is_under_way(tmp_path: Path) -> None:
    """Nothing is left running; what was drawn is kept."""

    class Stuck(Guesser):
        """Never ends its answer to a question after the twentieth."""

        async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
            if int(question.text.split()[2]) > 20:
                await asyncio.Event().wait()
            await super().sample(question, slots, run)

    result = await evaluated(Stuck(), "m", limit=300, out=tmp_path, budget=Budget(seconds=4))
    assert (result.questions, result.complete) == (20, False)
    assert "4 seconds passed" in result.notes[-1]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with Bank(tmp_path) as bank:
        assert len(bank) == 20


async def test_the_first_question_is_always_asked() -> None:
    """It shows what one costs; a deadline before its end is one error, not an empty table."""
    result = await evaluated(Guesser(), "m", "majority@4/m", budget=Budget(tokens=1))
    assert (result.questions, result.complete) == (1, False)
    with pytest.raises(BadInput, match="before a single question was through"):
        await evaluated(Guesser(pause=600), "m", budget=Budget(seconds=0.3))


async def test_a_budget_that_suffices_changes_nothing() -> None:
    """The same result as without."""
    free = await evaluated(Guesser(), "m", "majority@4/m", limit=30)
    bounded = await evaluated(Guesser(), "m", "majority@4/m", limit=30, budget=Budget(tokens=10**6, seconds=99))
    assert bounded.complete
    assert [p.accuracy for p in bounded.pipelines] == [p.accuracy for p in free.pipelines]


async def test_several_tasks_share_bank_and_budget(tmp_path: Path) -> None:
    """Each has its results in a folder of its name; the budget ends the second one."""
    models = catalog(Guesser(pause=0.0001))
    tasks, spec = ["sums", "products"], EvalSpec(pipelines=["m", "majority@4/m"], limit=20)
    results = await run_evals(models, replace(spec, out=tmp_path), tasks)
    assert [(r.task, r.complete) for r in results] == [("sums", True), ("products", True)]
    assert sorted(os.listdir(tmp_path)) == ["bank.sqlite", "products", "sums"]
    assert sorted(os.listdir(tmp_path / "sums")) == ["results.json", "results.md"]
    with Bank(tmp_path) as bank:
        assert bank.tasks() == ["products", "sums"]
    tokens = round(20 * sum((p.spent or 0) + PROMPT for p in results[0].pipelines))
    models = catalog(Guesser(pause=0.0001))
    cut = await run_evals(models, replace(spec, pipelines=["m"], budget=Budget(tokens=tokens // 3)), tasks)
    assert [r.complete for r in cut] in ([True, False], [False])


async def test_a_task_given_twice_is_refused() -> None:
    """Before anything is drawn."""
    agent = Guesser()
    with pytest.raises(BadInput, match="--task sums is given twice"):
        await run_evals(catalog(agent), EvalSpec(pipelines=["m"], limit=2), ["sums", "sums"])
    assert not agent.asked


async def test_early_stopping_tells_what_it_would_have_needed() -> None:
    """Between the first sample and the whole waves that `tokens` counts; None where nothing stops early."""
    told: list[Progress] = []
    names = ("majority@16/m", "adaptive-consistency@16/m")
    await evaluated(Guesser(), *names, limit=40, on_progress=told.append)
    outcomes = [progress.outcome for progress in told if isinstance(progress, Answered)]
    assert all(o.needed is None for o in outcomes if o.pipeline == names[0])
    stopped = [o for o in outcomes if o.pipeline == names[1]]
    assert all(o.needed is not None and 0 < o.needed <= o.tokens for o in stopped)
    assert any(o.needed is not None and o.needed < o.tokens for o in stopped)
