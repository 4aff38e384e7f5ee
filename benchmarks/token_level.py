"""What writing together brings and costs: SAFE, every-token ensembling and single models on fresh word problems.

    python -m benchmarks.token_level [accuracy] [speed] [violations] [trace] [--questions 500] [--out FILE]

`accuracy` answers the same problems of the test split greedily with every system, many at a time, and compares SAFE
with the best single model and with every-token ensembling over the same base, template families kept together.
`speed` answers some of them one at a time (batch 1, one thread), all systems by turns on the same question, so that
what else the machine does hits all alike; ratios are medians over questions. `violations` counts on as many problems
the tokens that SAFE let stand and that asking all models would have changed. `trace` draws one answer with the
tokens that the models decided together, as docs/images/token-trace.svg.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quorate.agents import Embedded
from quorate.aggregators.token_level import (
    SAFE,
    Adaptive,
    EnsembleRule,
    EveryToken,
    GaC,
    PrefixMass,
    Safe,
    UniTE,
    count_violations,
)
from quorate.evals.statistics import compare_paired, mean_interval
from quorate.evals.tasks.stories import Problem, generate
from quorate.orchestrator.types import Answer

PRODUCT, SUM, BASE = (Embedded(f"quorate-tiny-{name}") for name in ("product", "sum", "base"))
AT_ONCE = 48
SINGLE = {model.name: SAFE([model], name=model.name) for model in (SUM, PRODUCT, BASE)}


def ensembles(models: Sequence[Embedded]) -> dict[str, SAFE]:
    """SAFE and every-token ensembling over both bases; the first model drafts."""
    rules = {
        "SAFE, UniTE": EnsembleRule(Safe(Adaptive()), UniTE(), PrefixMass()),
        "UniTE at every token": EnsembleRule(EveryToken(), UniTE(), PrefixMass()),
        "SAFE, GaC": EnsembleRule(Safe(Adaptive()), GaC(), PrefixMass()),
        "GaC at every token": EnsembleRule(EveryToken(), GaC(), PrefixMass()),
    }
    return {name: SAFE(models, rule=rule, name=name) for name, rule in rules.items()}


TWO = ensembles([PRODUCT, SUM])
THREE = ensembles([PRODUCT, SUM, BASE])


async def answers(model: SAFE, problems: Sequence[Problem]) -> list[Answer]:
    """All answers, many at a time, in the order of the problems."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(problem: Problem) -> Answer:
        async with places:
            return await model.answer(problem.question)

    return list(await asyncio.gather(*(one(problem) for problem in problems)))


def right(answer: Answer, problem: Problem) -> float:
    return float(answer.text.strip().endswith(f"Answer: {problem.answer}"))


def ensembled(found: Sequence[Answer]) -> float:
    """Share of tokens that all models decided together."""
    counts = [c.ensembling.counts for answer in found for c in answer.candidates if c.ensembling is not None]
    total = sum(sum(each.values()) for each in counts)
    return sum(each.get("ensembled", 0) for each in counts) / max(1, total)


async def accuracy(problems: Sequence[Problem]) -> dict[str, Any]:
    """A row a system, then the comparisons."""
    families = [problem.template for problem in problems]
    systems = {name: model for name, model in SINGLE.items() if name != BASE.name} | TWO
    scores: dict[str, list[float]] = {}
    rows = {}
    print(f"\n| product + sum, {len(problems)} problems | accuracy | 95 % interval | tokens ensembled |")
    print("|---|---|---|---|")
    for name, model in systems.items():
        found = await answers(model, problems)
        await model.aclose()
        scores[name] = [right(a, p) for a, p in zip(found, problems, strict=True)]
        figure, share = mean_interval(scores[name], clusters=families), ensembled(found)
        rows[name] = {"accuracy": figure.value, "low": figure.low, "high": figure.high, "ensembled": share}
        print(f"| {name} | {figure.value:.3f} | {figure.low:.3f} to {figure.high:.3f} | {share:.3f} |", flush=True)
    best = max((name for name in SINGLE if name in scores), key=lambda name: statistics.fmean(scores[name]))
    compared = {}
    print("\n| difference | | 95 % interval | p |\n|---|---|---|---|")
    for base in ("UniTE", "GaC"):
        for other in (best, f"{base} at every token"):
            found_ = compare_paired(scores[f"SAFE, {base}"], scores[other], clusters=families)
            label = f"SAFE, {base} - {other}"
            compared[label] = {"difference": found_.difference, "low": found_.low, "high": found_.high, "p": found_.p}
            print(f"| {label} | {found_.difference:+.3f} | {found_.low:+.3f} to {found_.high:+.3f} | {found_.p:.2g} |")
    return {"systems": rows, "comparisons": compared}


async def speed(problems: Sequence[Problem]) -> dict[str, Any]:
    """Tokens a second at batch 1, as ratios by question."""
    told: dict[str, Any] = {}
    for label, systems in (("two models", TWO), ("three models", THREE)):
        everything = {PRODUCT.name: SINGLE[PRODUCT.name], **systems}
        rates: dict[str, list[float]] = {name: [] for name in everything}
        shares: dict[str, list[Answer]] = {name: [] for name in everything}
        for problem in (problems[0], *problems):
            for name, model in everything.items():
                start = time.perf_counter()
                answer = await model.answer(problem.question)
                [candidate] = answer.candidates
                written = sum(candidate.ensembling.counts.values()) if candidate.ensembling else 0
                rates[name].append(written / (time.perf_counter() - start))
                shares[name].append(answer)
        for model in everything.values():
            await model.aclose()
        print(
            f"\n| {label}, batch 1, {len(problems)} problems | tokens/s | of the drafter | of every token | ensembled |"
        )
        print("|---|---|---|---|---|")
        told[label] = {}
        for name, values in rates.items():
            alone = _ratio(values, rates[PRODUCT.name])
            every = _ratio(values, rates[f"{name.removeprefix('SAFE, ')} at every token"]) if "SAFE" in name else None
            row = {"tokens_per_second": statistics.median(values[1:]), "of_drafter": alone, "of_every_token": every}
            share = ensembled(shares[name][1:])
            told[label][name] = {**row, "ensembled": share}
            shown = f"{every:.2f}" if every is not None else ""
            print(f"| {name} | {row['tokens_per_second']:.0f} | {alone:.2f} | {shown} | {share:.3f} |")
    return told


async def violated(problems: Sequence[Problem]) -> dict[str, Any]:
    """Tokens that stood by consensus, and those of them that every-token ensembling would have changed."""
    told: dict[str, Any] = {}
    print(f"\n| {len(problems)} problems | why they stood | tokens | changed by ensembling |\n|---|---|---|---|")
    for label, systems in (("two models", TWO), ("three models", THREE)):
        for name in ("SAFE, UniTE", "SAFE, GaC"):
            found = await count_violations(systems[name], [problem.question for problem in problems])
            told[f"{label}, {name}"] = rows = {w: [n, found.count_changed(w)] for w, n in sorted(found.stood.items())}
            for why, (stood, changed) in rows.items():
                print(f"| {label}, {name} | {why} | {stood} | {changed} |", flush=True)
    return told


async def trace(problems: Sequence[Problem]) -> None:
    """A right answer with at least three tokens on which the ensemble overruled the drafter, as a picture."""
    pair = SAFE([PRODUCT, SUM], traced=True)
    for problem in problems:
        answer = await pair.answer(problem.question)
        told = answer.candidates[0].ensembling
        assert told is not None
        overruled = [step for step in told.steps if step.why == "ensembled" and step.drafted != step.text]
        if right(answer, problem) and len(overruled) >= 3:
            break
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(Text(f"{problem.question}\n"))
    written = Text()
    assert told is not None
    for step in told.steps:
        style = "black on dark_orange" if step in overruled else "black on khaki1" if step.why == "ensembled" else ""
        written.append(step.text, style=style)
    console.print(written)
    table = Table("token", "why", "drafter says", "verifier says", "mixture", title="Tokens that both decided")
    for step in told.steps:
        if step.why == "ensembled":
            said = [f"{choice.text!r} {choice.probability:.2f}" for choice in step.choices]
            table.add_row(repr(step.text), step.why, *said, f"{step.probability:.2f}")
    console.print(table)
    console.save_svg("docs/images/token-trace.svg", title="safe/product+sum")


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over questions; the first only warms up."""
    return statistics.median(a / b for a, b in zip(ours[1:], theirs[1:], strict=True))


async def main() -> None:
    """Prints Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="accuracy|speed|violations|trace", help="accuracy and speed if none is named"
    )
    parser.add_argument("--tier", choices=["easy", "medium", "hard"], default="hard")
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--timed", type=int, default=24, help="problems that `speed` and `violations` answer")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    parts = given.parts or ["accuracy", "speed"]
    if unknown := set(parts) - {"accuracy", "speed", "violations", "trace"}:
        parser.error(f"there is no part {sorted(unknown)}: choose from accuracy, speed, violations, trace")
    torch.set_num_threads(1)
    problems = generate(given.tier, seed=given.seed, count=given.questions)
    found: dict[str, Any] = {"tier": given.tier, "questions": given.questions, "seed": given.seed}
    if "accuracy" in parts:
        found["accuracy"] = await accuracy(problems)
    if "speed" in parts:
        found["speed"] = await speed(problems[: given.timed])
    if "violations" in parts:
        found["violations"] = await violated(problems[: given.timed])
    if "trace" in parts:
        await trace(problems)
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
