"""A planner is taught what `decompose` reads: the problems' own plans, which come out right when they are computed."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from quorate.agents import Embedded
from quorate.agents.embedded import locate
from quorate.aggregators.decomposition import Division
from quorate.evals.tasks.stories import generate
from quorate.orchestrator.types import Question

pytest.importorskip("torch")

from scripts.embedded.batches import batches, training_problems
from scripts.embedded.planner import START, TIERS, compose_plan
from scripts.embedded.recipes import RECIPES
from scripts.embedded.train import Settings, train
from scripts.embedded.vocabulary import ASSISTANT, END


def test_plans_lead_to_the_answer() -> None:
    """Of problems that are not in the test split, most of them longer than any that the shipped models have seen."""
    problems = list(islice(training_problems(1, TIERS), 200))
    held = {problem.key for problem in generate("long", seed=2026, count=200)}
    assert sum(problem.tier == "long" for problem in problems) > 90
    for problem in problems:
        text, spans = compose_plan(problem, RECIPES[START], Random(1))
        told, _, plan = text.removesuffix(END).partition(ASSISTANT)
        division = Division.read(plan)
        assert division is not None
        assert " = " not in plan
        assert (division.computed().answer, spans, problem.key in held) == (problem.answer, [], False)
        assert told.endswith(problem.question)


@pytest.mark.slow
async def test_what_is_taught_can_be_served(tmp_path: Path) -> None:
    """Two steps are no training: the folder is there, with its record, and answers."""
    made = partial(batches, tiers=TIERS, compose=compose_plan)
    train(RECIPES[START], Settings(steps=2, problems=2), tmp_path / "planner", locate(START), made)
    assert (tmp_path / "planner" / "training.json").is_file()
    async with Embedded(str(tmp_path / "planner")) as planner:
        question = Question.of(generate("easy", seed=1, count=1)[0].question).with_params(max_tokens=5)
        assert (await planner.answer(question)).usage.completion_tokens > 0
