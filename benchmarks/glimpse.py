"""What a large model brings at the hard steps of a small one's answers: `glimpse/SMALL+LARGE` on fresh word problems.

    python -m benchmarks.glimpse pilot --questions 100 --seed 72
    python -m benchmarks.glimpse measure --questions 500 --seed 2026 --threshold 0.003

All answer the same problems of the hard tier's test split greedily. `pilot` shows several thresholds; `measure` takes
one, and compares glimpse with the large model alone and with a router that sends as many steps at random, template
families kept together. A step ends at a line's end and before a result, or before a result alone.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Sequence

import torch

from quorate.aggregators.token_level import SAFE, AboveEntropy, AtRandom, Glimpse
from quorate.aggregators.token_level.glimpse import StepRouter
from quorate.evals.statistics import compare_paired, mean_interval
from quorate.evals.tasks.stories import Problem, generate
from quorate.orchestrator.types import Answer

from .token_level import BASE, PRODUCT, answers, right

MARKS = {"lines and results": ("\n", "= "), "results": ("= ",)}


def with_router(router: StepRouter, marks: tuple[str, ...]) -> SAFE:
    """The product specialist writes, the default proposer takes what is sent."""
    return SAFE([PRODUCT, BASE], rule=Glimpse(router, marks))


def tokens_of(found: Sequence[Answer], model: str) -> int:
    """Tokens that a model wrote, those thrown away included."""
    members = (m for a in found for c in a.candidates if c.ensembling is not None for m in c.ensembling.members)
    return sum(member.usage.completion_tokens for member in members if member.model == model)


def share_sent(found: Sequence[Answer]) -> float:
    """Of the steps, those that the large model wrote."""
    counts: Counter[str] = Counter()
    for answer in found:
        for candidate in answer.candidates:
            counts.update(candidate.ensembling.counts if candidate.ensembling is not None else {})
    return counts["routed"] / max(1, counts["routed"] + counts["opened"])


async def ask(
    name: str, model: SAFE, problems: Sequence[Problem], whole: int | None
) -> tuple[list[Answer], list[float]]:
    """The answers, and which are right; a row of the table."""
    found = await answers(model, problems)
    await model.aclose()
    scores = [right(a, p) for a, p in zip(found, problems, strict=True)]
    figure = mean_interval(scores, clusters=[p.template for p in problems])
    large = "" if whole is None else f"{tokens_of(found, BASE.name) / whole:.3f}"
    interval = f"{figure.low:.3f} to {figure.high:.3f}"
    print(f"| {name} | {figure.value:.3f} | {interval} | {share_sent(found):.3f} | {large} |", flush=True)
    return found, scores


def head(count: int) -> None:
    print(f"\n| {count} problems | accuracy | 95 % interval | steps sent | tokens of the large model, of its own |")
    print("|---|---|---|---|---|")


async def pilot(problems: Sequence[Problem]) -> None:
    """Several thresholds."""
    head(len(problems))
    found, _ = await ask(BASE.name, SAFE([BASE]), problems, None)
    whole = tokens_of(found, BASE.name)
    for name, marks in MARKS.items():
        for threshold in (0.003, 0.01, 0.03, 0.1):
            await ask(f"{name}, {threshold}", with_router(AboveEntropy(threshold), marks), problems, whole)


async def measure(problems: Sequence[Problem], threshold: float, marked: Sequence[str]) -> None:
    """The threshold against the large model alone and against chance."""
    families = [problem.template for problem in problems]
    head(len(problems))
    await ask(PRODUCT.name, SAFE([PRODUCT]), problems, None)
    found, alone = await ask(BASE.name, SAFE([BASE]), problems, None)
    whole = tokens_of(found, BASE.name)
    scores: dict[str, tuple[list[float], list[float]]] = {}
    for name in marked:
        marks = MARKS[name]
        glimpsed, ours = await ask(f"glimpse at {name}", with_router(AboveEntropy(threshold), marks), problems, whole)
        sent = AtRandom(share_sent(glimpsed))
        _, chance = await ask(f"as many at random, {name}", with_router(sent, marks), problems, whole)
        scores[name] = (ours, chance)
    print("\n| difference | | 95 % interval | p |\n|---|---|---|---|")
    for name, (ours, chance) in scores.items():
        for other, theirs in ((BASE.name, alone), ("at random", chance)):
            found_ = compare_paired(ours, theirs, clusters=families)
            interval = f"{found_.low:+.3f} to {found_.high:+.3f}"
            print(f"| glimpse at {name} - {other} | {found_.difference:+.3f} | {interval} | {found_.p:.2g} |")


def main() -> None:
    """Prints Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["pilot", "measure"])
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--threshold", type=float, default=0.003)
    parser.add_argument("--marks", nargs="+", choices=list(MARKS), default=list(MARKS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    problems = generate("hard", seed=given.seed, count=given.questions)
    asyncio.run(pilot(problems) if given.part == "pilot" else measure(problems, given.threshold, given.marks))


if __name__ == "__main__":
    main()
