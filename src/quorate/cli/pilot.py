"""`quorate eval pilot`: which model should draft, what each should weigh, and whether writing together pays."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from .console import print_json, wide_console
from .eval_run import DEFAULT_TASK
from .options import ConfigFile, Json, Upstream, open_catalog

if TYPE_CHECKING:
    from rich.console import Console

    from quorate.evals.pilot import Pilot
    from quorate.evals.statistics import Estimate


def pilot(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Two or more that can be asked token by token.")
    ],
    task: Annotated[str | None, typer.Option(metavar="NAME", help="See `quorate eval tasks`.")] = None,
    tier: Annotated[str | None, typer.Option(help="For tasks that have tiers.")] = None,
    split: Annotated[str | None, typer.Option(help="train keeps the test split for what comes after.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Questions of your own, with id, question and, for all or none, gold."),
    ] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Leave gold answers aside: agreement tells who is able.")
    ] = False,
    trials: Annotated[
        bool, typer.Option("--try", help="Try each model as drafter, with equal weights and with those found.")
    ] = False,
    limit: Annotated[int, typer.Option(help="How many questions.")] = 50,
    seed: Annotated[int, typer.Option(help="Chooses the questions; another one than that of your evaluation.")] = 1,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Of one answer.")] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Answers written at once; speeds are of these together.")] = 16,
    upstream: Upstream = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say who should draft and what each model should weigh in safe/A+B, from a few questions."""
    from quorate.evals.pilot import pilot as asked
    from quorate.evals.registry import find_task
    from quorate.evals.task import Selection
    from quorate.evals.tasks.jsonl import Questions

    name = task or (None if data else DEFAULT_TASK)
    chosen = Questions() if name is None else find_task(name)
    items = chosen.items(Selection(limit=limit, seed=seed, tier=tier, split=split, data=data))
    gold = None if unlabelled or not any(item.gold for item in items) else [item.gold for item in items]
    families = [item.cluster for item in items]

    async def run_pilot() -> Pilot:
        async with AsyncExitStack() as stack:
            catalog = await open_catalog(upstream, config)
            stack.push_async_callback(catalog.aclose)
            return await asked(
                [catalog.resolve(model) for model in models],
                [item.question for item in items],
                gold=gold,
                clusters=families if any(families) else None,
                task=chosen,
                trials=trials,
                max_tokens=max_tokens,
                seed=seed,
                at_once=at_once,
            )

    told = asyncio.run(run_pilot())
    if as_json:
        print_json({**told.as_json(), "name": told.name, "yaml": told.yaml})
    else:
        _print(wide_console(), told, chosen.name)


def _print(console: Console, found: Pilot, task: str) -> None:
    console.print(f"{task}: {found.questions} questions, each model alone", markup=False, style="bold")
    score = "accuracy" if found.labelled else "ability"
    table = _table("model", score, "95 % interval", "tokens", "tokens/s", "by score")
    for m in found.members:
        table.add_row(escape(m.name), *_estimate(m.score), f"{m.tokens:.0f}", f"{m.speed:.0f}", f"{m.weight:.2f}")
    console.print(table)
    table = _table("agreement", "same answer", "95 % interval")
    for pair in found.agreements:
        table.add_row(escape(f"{pair.a} = {pair.b}"), *_estimate(pair.same))
    console.print(table)
    if found.trials:
        table = _table(
            "drafter", "weights", "accuracy", "95 % interval", "over the best", "95 % interval", "tokens/s", "ensembled"
        )
        for t in found.trials:
            shares = " ".join(f"{weight:.2f}" for weight in t.weights.values())
            gain = f"{t.gain.difference:+.3f}", f"{t.gain.low:+.3f} to {t.gain.high:+.3f}"
            table.add_row(escape(t.drafter), shares, *_estimate(t.accuracy), *gain, f"{t.speed:.0f}", f"{t.share:.3f}")
        console.print(table)
    console.print(f"\ndrafter: {found.drafter}; {_WORTH[found.worth]}", markup=False)
    console.print(f"{_name(found)}\n{found.yaml}", markup=False, soft_wrap=True)
    for note in found.notes:
        console.print(f"! {note}", markup=False, style="yellow")


_WORTH = {
    "yes": "together they solve more than the best model alone",
    "no": "! together they solve less than the best model alone: use that one",
    "unresolved": "whether together they solve more than the best model alone is not resolved: ask more questions",
    "untried": "whether it is worth it is untried: --try tells, for up to twice as many answers more",
}


def _name(found: Pilot) -> str:
    equal = len(set(found.weights.values())) == 1
    return found.name if equal else f"{found.name} (this name has equal weights, the pipeline those chosen)"


def _estimate(figure: Estimate) -> tuple[str, str]:
    return f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}"


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table
