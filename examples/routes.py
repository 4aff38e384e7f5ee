"""A cascade and a router, trained on a bank of recorded answers and asked.

The models are scripted, so that it runs anywhere; put an `Endpoint` in their place, and a bank of `quorate eval run`.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from tempfile import TemporaryDirectory

from quorate import Question
from quorate.aggregators.registry import build_graph
from quorate.aggregators.routing.calibration import KeepBudget, StagedQuestion, StageResult
from quorate.aggregators.routing.router_training import RoutedQuestion, RouterSettings, fit_router
from quorate.aggregators.routing.training import StagePlan, train_cascade
from quorate.testing import ScriptedModel

SUM, PROOF = "How much is {} + {}?", "Prove that {} and {} have no common divisor."
PRICES: dict[str, float | None] = {"small": 0.1, "large": 5.0}


def make_records(count: int) -> tuple[list[StagedQuestion], list[RoutedQuestion]]:
    """What a bank would hold: the small model is good at sums, the large one at everything, for more money."""
    rng = random.Random(1)
    staged, routed = [], []
    for number in range(count):
        easy = rng.random() < 0.6
        question = Question.of((SUM if easy else PROOF).format(rng.randint(1, 99), rng.randint(1, 99)))
        agreement = rng.choice([1.0, 1.0, 2 / 3]) if easy else rng.choice([1 / 3, 2 / 3])
        small, large = float(rng.random() < agreement), float(rng.random() < 0.95)
        stages = (StageResult(agreement, small, 0.3), StageResult(None, large, 5.0))
        staged.append(StagedQuestion(f"q{number}", f"q{number}", question, stages))
        routed.append(RoutedQuestion(f"q{number}", f"q{number}", question, {"small": small, "large": large}, PRICES))
    return staged, routed


async def main() -> None:
    staged, routed = make_records(400)
    models = [
        ScriptedModel(lambda q, i: "The answer is 7." if "much" in q.text else f"The answer is {i}.", name="small"),
        ScriptedModel(["The large model says: the answer is 7."], name="large"),
    ]
    with TemporaryDirectory() as folder:
        plans = [StagePlan(("small",), 3), StagePlan(("large",), 1)]
        cascade_file, router_file = Path(folder) / "cascade.json", Path(folder) / "router.json"
        train_cascade(staged, plans, KeepBudget((0.5,)), words="budget 0.5").save(cascade_file)
        fit_router(routed, RouterSettings(budget=2.5)).save(router_file)
        careful = build_graph("cascade", models, options={"file": str(cascade_file)})
        best = build_graph("route", models, options={"file": str(router_file)})
        for text in ("How much is 3 + 4?", "Prove that 3 and 4 have no common divisor."):
            for graph in (careful, best):
                answer = await graph.answer(text, seed=1)
                print(f"{text} {answer.text} ({answer.route})")


if __name__ == "__main__":
    asyncio.run(main())
