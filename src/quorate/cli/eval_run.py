"""`quorate eval run`: pipelines compared on the same questions.

Exit codes: 0 done, 2 an error, 3 a budget ended the run before its last question, 130 Ctrl-C. What
was sampled is kept in every case.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quorate.config.catalog import Catalog
from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import SamplingParams

from .console import print_json, wide_console
from .options import (
    ConfigFile,
    Engine,
    EngineName,
    Json,
    RayAddress,
    RayGpus,
    RayWorkers,
    Upstream,
    open_catalog,
    read_config,
    refuse_ray_options,
)
from .progress import EvalWatcher

if TYPE_CHECKING:
    from quorate.config.file import Config
    from quorate.evals.ranking import Ranking
    from quorate.evals.ray_engine import RayEngine
    from quorate.evals.report import EvalResult
    from quorate.evals.run import EvalSpec

BUDGET_ENDED = 3
"""Exit code of a run that its budget ended."""
PATIENCE = 7200.0
"""Seconds that one request may take by default: many long samples wait in a server that is kept full."""
DEFAULT_TASK = "stories"


Pipelines = Annotated[
    list[str],
    typer.Option("--pipeline", "-p", metavar="NAME", help="A model or PIPELINE[@N]/MODEL; give it several times."),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="See `quorate eval tasks`; several times for several tasks and a ranking."),
]
DataPath = Annotated[
    Path | None, typer.Option(metavar="PATH", help="Local questions instead of the task's own source.")
]
PromptFile = Annotated[Path | None, typer.Option(metavar="FILE", help="A Jinja file in place of the task's prompt.")]
OutFolder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep samples and results; run again, only missing samples are drawn."),
]


def run(
    pipeline: Pipelines,
    task: Tasks = None,
    tier: Annotated[str | None, typer.Option(help="easy, medium or hard, for tasks that have tiers.")] = None,
    split: Annotated[str | None, typer.Option(help="test (the default) to report, train to learn from.")] = None,
    limit: Annotated[int, typer.Option(help="How many questions.")] = 100,
    seed: Annotated[int, typer.Option(help="Chooses the questions and the sampling.")] = 0,
    data: DataPath = None,
    revision: Annotated[str | None, typer.Option(help="Of the hub's data set; the newest if not given.")] = None,
    prompt: PromptFile = None,
    out: OutFolder = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="The models' own default if not given.")] = None,
    top_p: Annotated[float | None, typer.Option(help="The models' own default if not given.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Of one sample.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Samples in flight; 256 if not given.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds of one request to --upstream.")] = PATIENCE,
    budget_tokens: Annotated[
        int | None, typer.Option(min=1, help="Prompt and generated tokens of the whole run.")
    ] = None,
    budget_money: Annotated[float | None, typer.Option(help="In the currency of the configured prices.")] = None,
    budget_seconds: Annotated[float | None, typer.Option(help="Of the whole run.")] = None,
    engine: Engine = EngineName.LOCAL,
    ray_address: RayAddress = None,
    ray_workers: RayWorkers = None,
    ray_gpus: RayGpus = 0.0,
    upstream: Upstream = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Ask every pipeline the same questions, samples shared, and compare them with intervals."""
    from quorate.evals.run import EvalSpec
    from quorate.evals.throttle import IN_FLIGHT

    tasks = task if task and len(task) > 1 else None
    if tasks and (data or revision or prompt):
        raise BadInput("--data, --revision and --prompt belong to one task: run several tasks one by one with them")
    spec = EvalSpec(
        task[0] if task else (None if data else DEFAULT_TASK),
        pipelines=pipeline,
        limit=limit,
        seed=seed,
        tier=tier,
        split=split,
        data=data,
        revision=revision,
        prompt=prompt,
        out=out,
        sampling=SamplingParams(temperature=temperature, top_p=_check_share(top_p), max_tokens=max_tokens),
        concurrency=IN_FLIGHT if concurrency is None else concurrency,
        budget=_budget(budget_tokens, budget_money, budget_seconds),
    )
    opens = partial(_open_catalog, upstream, read_config(upstream, config), timeout, concurrency)
    cluster = _open_cluster(engine, opens, ray_address, ray_workers, ray_gpus)
    with redirect_stdout(sys.stderr):  # where Ray tells of workers that died
        results = asyncio.run(_evaluate(opens, spec, tasks, cluster, quiet=as_json))
    _print_results(results, several=tasks is not None, seed=seed, as_json=as_json)
    if not all(result.complete for result in results) or len(results) < len(task or [""]):
        raise typer.Exit(BUDGET_ENDED)


def _open_cluster(
    engine: EngineName, opens: partial[Any], address: str | None, workers: int | None, gpus: float
) -> RayEngine | None:
    if engine is EngineName.RAY:
        from quorate.evals.ray_engine import RayEngine

        return RayEngine(opens, address=address, workers=workers, gpus=gpus)
    refuse_ray_options(address, workers, gpus)
    return None


def _budget(tokens: int | None, money: float | None, seconds: float | None) -> Budget:
    for name, value in (("money", money), ("seconds", seconds)):
        if value is not None and not value > 0:
            raise BadInput(f"--budget-{name} {value:g}: a budget is above 0")
    return Budget(tokens=tokens, money=money, seconds=seconds)


def _check_share(top_p: float | None) -> float | None:
    if top_p is not None and not 0 < top_p <= 1:
        raise BadInput(f"--top-p {top_p:g}: lies above 0 and is at most 1")
    return top_p


async def _open_catalog(upstream: str | None, config: Config | None, timeout: float, in_flight: int | None) -> Catalog:
    """The models, with an upstream's bounds out of the way of the run's own."""
    if config is not None:
        return config.catalog()
    if upstream is None:
        return await open_catalog(None, None)
    from quorate.agents.endpoint import Timeouts
    from quorate.evals.throttle import IN_FLIGHT

    patience = Timeouts(first_byte=timeout, total=timeout)
    return await open_catalog(upstream, None, timeouts=patience, concurrency=in_flight or IN_FLIGHT)


async def _evaluate(
    opens: partial[Any], spec: EvalSpec, tasks: list[str] | None, engine: RayEngine | None, *, quiet: bool
) -> list[EvalResult]:
    from quorate.evals.run import run_eval, run_evals

    async with AsyncExitStack() as stack:
        catalog = await opens()
        stack.push_async_callback(catalog.aclose)
        watch = stack.enter_context(EvalWatcher(quiet=quiet))
        if tasks is not None:
            return await run_evals(catalog, spec, tasks, engine=engine, on_progress=watch.note)
        return [await run_eval(catalog, spec, engine=engine, on_progress=watch.note)]


def _print_results(results: list[EvalResult], *, several: bool, seed: int, as_json: bool) -> None:
    """The results on standard output; of several tasks with a ranking of the pipelines."""
    rankings = _rankings(results, seed) if len(results) > 1 else []
    if as_json and not several:
        print_json(results[0].as_json())
    elif as_json:
        print_json({"tasks": [r.as_json() for r in results], "rankings": [r.as_json() for r in rankings]})
    else:
        console = wide_console()
        for result in results:
            _print(console, result)
        if rankings:
            _print_rankings(console, rankings)


def _rankings(results: list[EvalResult], seed: int) -> list[Ranking]:
    """The pipelines' accuracies over the tasks, by every method."""
    from quorate.evals.ranking import METHODS, rank

    scores = {result.task: {p.name: p.accuracy.value for p in result.pipelines} for result in results}
    return [rank(scores, method, seed=seed) for method in METHODS]


def _print(console: Console, result: EvalResult) -> None:
    from quorate.evals.report import TOGETHER, has_ensembles, tables

    tier = f", tier {result.tier}" if result.tier else ""
    cut = "" if result.complete else " (ended before the last question)"
    head = f"{result.task}{tier}: {result.questions} questions, seed {result.seed}{cut}"
    console.print(head, markup=False, style="bold")
    for columns, rows in tables(result):
        table = Table(box=None, pad_edge=False, header_style="dim")
        for position, name in enumerate(columns):
            table.add_column(name, justify="left" if position == 0 else "right", no_wrap=position > 0)
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)
    console.print("tokens: generated, mean per question, as if alone; spent: really drawn in this run", style="dim")
    if has_ensembles(result):
        console.print(TOGETHER, markup=False, style="dim")
    at_odds = [c for c in result.comparisons if c.at_odds]
    for note in (
        *result.notes,
        *(f"{p.name}: {p.errors} failed; the first: {p.error}" for p in result.pipelines if p.error),
        *(f"{c.a} - {c.b}: interval and p are at odds, as few families make them; trust p" for c in at_odds),
    ):
        console.print(f"! {note}", markup=False, style="yellow")


def _print_rankings(console: Console, rankings: list[Ranking]) -> None:
    console.print(f"Ranks over {rankings[0].tasks} tasks by accuracy (95 % over resampled tasks)", style="bold")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("pipeline")
    for ranking in rankings:
        table.add_column(ranking.method, justify="right")
    for name in (row.system for row in rankings[-1].systems):
        found = [next(row for row in ranking.systems if row.system == name) for ranking in rankings]
        table.add_row(escape(name), *(f"{row.rank:g} ({row.low:g} to {row.high:g})" for row in found))
    console.print(table)
