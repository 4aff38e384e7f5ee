"""A router that learns from outcomes while it is used."""

from __future__ import annotations

import random

import pytest

from quorate import route
from quorate.aggregators.routing.bandit import BanditRouter
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.types import Question
from quorate.testing import ScriptedModel

RATES = {"weak": 0.3, "strong": 0.8, "best": 0.95}
MONEY = {"weak": 1.0, "strong": 2.0, "best": 10.0}


async def play(router: BanditRouter, questions: int, seed: int) -> tuple[dict[str, int], float, float]:
    """How often each model was asked, and right answers and money a question."""
    rng, asked = random.Random(seed), dict.fromkeys(RATES, 0)
    models = [ScriptedModel(name=name) for name in RATES]
    right, money = 0.0, 0.0
    for number in range(questions):
        place, _ = await router.choose(Question.of(f"Question {number}?"), models, RunContext(seed=seed))
        name = models[place].name
        mark = float(rng.random() < RATES[name])
        router.learn(name, mark)
        asked[name] += 1
        right += mark
        money += MONEY[name]
    return asked, right / questions, money / questions


async def test_the_best_model_is_found_where_money_does_not_matter() -> None:
    """In a few hundred questions."""
    asked, right, _ = await play(BanditRouter(MONEY), 600, seed=1)
    assert asked["best"] > 450
    assert right > 0.85


@pytest.mark.parametrize("seed", range(3))
async def test_a_budget_is_kept_and_used(seed: int) -> None:
    """By asking the models in shares: as right as the best mixture that takes as much, less what learning costs."""
    router = BanditRouter(MONEY, budget=4.0)
    _, right, money = await play(router, 3000, seed)
    assert money == pytest.approx(4.0, rel=0.08)
    assert right > 0.8 + (0.95 - 0.8) * (4 - 2) / (10 - 2) - 0.04


async def test_it_is_a_router_of_a_graph() -> None:
    """Told of outcomes by whoever knows them."""
    router = BanditRouter({"weak": 1.0, "strong": 1.0}, rates={"weak": 0.0, "strong": 1.0})
    graph = route(router, ScriptedModel(name="weak"), ScriptedModel(name="strong"))
    for number in range(50):
        answer = await graph.answer(f"Question {number}?", seed=1)
        router.learn(answer.path[-1].node, float(answer.path[-1].node == "strong"))
    assert (await graph.answer("And now?", seed=1)).path[-1].node == "strong"


async def test_what_cannot_be_is_refused() -> None:
    """A budget below every model, a rate that is none, a model that it does not know."""
    with pytest.raises(BadInput, match="even the cheapest model takes 1"):
        BanditRouter(MONEY, budget=0.5)
    with pytest.raises(BadInput, match="weak has"):
        BanditRouter(MONEY, rates={"weak": 1.5})
    with pytest.raises(UnknownName, match="lost"):
        BanditRouter(MONEY).learn("lost", 1.0)
    with pytest.raises(BadInput, match="right=2"):
        BanditRouter(MONEY).learn("weak", 2.0)
    with pytest.raises(UnknownName, match="other"):
        await BanditRouter(MONEY).choose(Question.of("?"), [ScriptedModel(name="other")], RunContext(seed=1))
