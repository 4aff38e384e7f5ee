"""Measure the embedded models and write their cards: `python -m scripts.embedded.figures`.

Every number in a model card, and in the tables of docs/embedded-models.md, is written here.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch

from quorate.evals.tasks.stories import Problem, generate

from .cards import write_card, write_tables
from .measures import Estimate, accuracy, solved, step_accuracy
from .recipes import RECIPES, TIER_SHARES
from .sampling import Sampler, Sampling

WEIGHTS = Path("src/quorate/agents/embedded/weights")
DOCS = Path("docs/embedded-models.md")
SPECIALISTS = ("quorate-tiny-sum", "quorate-tiny-product")

Table = dict[str, dict[str, Estimate]]


def problems_of(seed: int, questions: int) -> dict[str, list[Problem]]:
    """Test problems of every tier; the hard tier gets all the questions, the others a quarter."""
    return {tier: generate(tier, seed, questions if tier == "hard" else max(1, questions // 4)) for tier in TIER_SHARES}


def measure(folder: Path, problems: dict[str, list[Problem]], sampling: Sampling) -> tuple[Table, list[float]]:
    """Figures by tier, step accuracy in the hard one, and the solve rates of its questions."""
    sampler = Sampler(folder)
    table: Table = {}
    rates: list[float] = []
    for tier, chosen in problems.items():
        texts = sampler.sample(chosen, sampling)
        table[tier] = accuracy(chosen, texts)
        if tier == "hard":
            rates = solved(chosen, texts)
            table["steps"] = step_accuracy(texts)
    return table, rates


def write_figures(folder: Path, table: Table, rates: list[float], command: str) -> None:
    """`figures.json`: every estimate, the solve rates of the hard questions, the command."""
    figures = {part: {k: asdict(v) for k, v in row.items()} for part, row in table.items()}
    text = json.dumps({"command": command, "figures": figures, "hard solved": rates})
    (folder / "figures.json").write_text(text + "\n")


def main() -> None:
    """Read the command line, measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(RECIPES))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_flush_denormal(True)
    sampling = Sampling(samples=given.samples, seed=given.seed)
    problems = problems_of(given.seed, given.questions)
    for name in given.names:
        folder = given.weights / name
        table, rates = measure(folder, problems, sampling)
        command = (
            f"python -m scripts.embedded.figures {name} --questions {given.questions} "
            f"--samples {given.samples} --seed {given.seed}"
        )
        write_figures(folder, table, rates, command)
        write_card(folder, RECIPES[name], {tier: len(rows) for tier, rows in problems.items()})
        print(name, {part: {k: str(v) for k, v in row.items()} for part, row in table.items()}, flush=True)
    write_tables(DOCS, given.weights, list(RECIPES), SPECIALISTS)


if __name__ == "__main__":
    main()
