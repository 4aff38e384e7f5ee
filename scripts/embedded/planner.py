"""Teach an embedded model to divide problems: `python -m scripts.embedded.planner --out DIR --minutes 15`.

The target is a problem's own plan (`Problem.parts` of `stories`) in the form that `decompose` reads: a line a part,
with the results of others as `#n`, and nothing computed. So it learns what belongs together on problems longer than any
that its start has seen, and no sums. The folder serves as a planner of `decompose` (docs/forms.md).
"""

import argparse
from functools import partial
from pathlib import Path
from random import Random

import torch

from quorate.agents.embedded import locate
from quorate.aggregators.decomposition import Division
from quorate.evals.tasks.stories import Problem

from .batches import batches
from .recipes import RECIPES, Recipe
from .train import Settings, train
from .vocabulary import ASSISTANT, END, USER

TIERS = {"medium": 0.1, "hard": 0.3, "long": 0.6}
"""How often each tier is drawn."""
START = "quorate-tiny-base"


def compose_plan(problem: Problem, recipe: Recipe, rng: Random) -> tuple[str, list[tuple[int, int]]]:  # noqa: ARG001
    """A problem and its plan; all of the plan is graded."""
    plan = Division(dict(enumerate(problem.parts, 1)))
    return f"{USER}{problem.question}{ASSISTANT}{plan}{END}", []


def main() -> None:
    """Read the command line and teach."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", default=START, help="an embedded model, or a folder of one, with its tokenizer")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=5)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float)
    length.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.003)
    given = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(given.threads)
    settings = Settings(
        seed=given.seed,
        minutes=given.minutes,
        steps=given.steps,
        problems=12,
        rate=given.rate,
        warmup=10,
        decay=0.6,
        every=5.0,
    )
    made = partial(batches, tiers=TIERS, compose=compose_plan)
    train(RECIPES[START], settings, given.out, locate(given.start), made)


if __name__ == "__main__":
    main()
