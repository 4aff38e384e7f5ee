"""`quorate train router`: which model answers which question, measured on questions that it has not seen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from quorate.orchestrator.errors import BadInput, UnknownName

from ..console import print_json, wide_console
from ..options import Json
from .options import Bank, Folds, FoldSeed, Out, Price, Recorded, Task

if TYPE_CHECKING:
    from quorate.aggregators.routing.router import Objective, TrainedRouter
    from quorate.aggregators.routing.router_training import RoutedQuestion
    from quorate.aggregators.specs import EmbedderConfig

    from .routed import RouterMeasures


Pipelines = Annotated[
    bool, typer.Option("--pipelines", help="Choose between the pipelines of the bank's runs, not its single models.")
]
Models = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Only these models or pipelines; may be repeated.")
]
Budget = Annotated[
    float | None, typer.Option(help="Money that a question may take on average; finds the weight of money.")
]
Weights = Annotated[
    str | None, typer.Option(metavar="accuracy=1,money=-20,...", help="Weights of accuracy, money, seconds and size.")
]
Sizes = Annotated[
    str | None, typer.Option(metavar="A=SIZE,...", help="Of the models, where the objective weighs size.")
]
Embedder = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|URL,MODEL[,KEY_ENV]", help="Looks at embeddings, too: of an encoder, or of an endpoint."
    ),
]


def router(
    bank: Bank = None,
    recorded: Recorded = None,
    pipelines: Pipelines = False,
    model: Models = None,
    price: Price = None,
    budget: Budget = None,
    objective: Weights = None,
    size: Sizes = None,
    embedder: Embedder = None,
    out: Out = None,
    task: Task = None,
    folds: Folds = 5,
    seed: FoldSeed = 0,
    as_json: Json = False,
) -> None:
    """Learn from recorded answers which model answers which question; no GPU is needed and no model is called.

    Prints how right it is on questions it was not trained on, beside each model alone. A router that is not resolved to
    be worth more than the best single model becomes that model, and says so.
    """
    from quorate.aggregators.routing.router_training import RouterSettings, fit_router, route_out_of_fold
    from quorate.aggregators.routing.training import parse_prices

    from .routed import measure_router

    settings = RouterSettings(
        objective=_parse_objective(objective),
        budget=budget,
        sizes=parse_prices(size, "--size"),
        embedder=None if embedder is None else _parse_embedder(embedder),
        folds=folds,
        seed=seed,
    )
    questions = asyncio.run(_questions(bank, recorded, task, pipelines=pipelines, prices=parse_prices(price)))
    if model:
        questions = _only(questions, model)
    if settings.embedder is not None:
        questions = asyncio.run(_embed(questions, settings.embedder))
    found = measure_router(route_out_of_fold(questions, settings), seed=seed)
    learned = fit_router(questions, settings).model_copy(update={"note": found.verdict})
    left_out = sorted({name for question in questions for name in question.right} - {*learned.models})
    if out is not None:
        learned.save(out)
    if as_json:
        print_json(
            {
                "source": str(bank or recorded),
                "best": learned.best,
                "kinds": len(learned.kinds),
                "left_out": left_out,
                **found.as_json(),
            }
        )
    else:
        _print(bank or recorded, found, learned, out)
        if left_out:
            wide_console().print(f"left out, asked too few of the questions: {', '.join(left_out)}", markup=False)


def _parse_embedder(text: str) -> EmbedderConfig:
    from quorate.aggregators.specs import EmbedderConfig

    if "://" not in text:
        return EmbedderConfig(folder=text)
    url, *rest = text.split(",")
    if not 1 <= len(rest) <= 2 or not all(rest):
        raise BadInput(
            f"--embedder {text}: give address and model, such as http://localhost:8000/v1,MODEL, and behind "
            "another comma the environment variable that holds a key, where it needs one"
        )
    return EmbedderConfig(base_url=url, model=rest[0], key_env=rest[1] if len(rest) > 1 else None)


async def _embed(questions: list[RoutedQuestion], config: EmbedderConfig) -> list[RoutedQuestion]:
    from quorate.aggregators.routing.router_training import embed_questions
    from quorate.config.models import PackageProviders
    from quorate.orchestrator.context import RunContext

    embedder = PackageProviders().embedder(config)
    try:
        return await embed_questions(questions, embedder, RunContext())
    finally:
        await embedder.aclose()


def _parse_objective(text: str | None) -> Objective:
    from pydantic import ValidationError

    from quorate.aggregators.routing.router import Objective
    from quorate.orchestrator.frozen import first_fault

    given: dict[str, str] = {}
    for part in (text or "").split(","):
        if part.strip():
            name, _, value = part.partition("=")
            given[name.strip()] = value.strip()
    try:
        return Objective.model_validate(given)
    except ValidationError as error:
        where, words = first_fault(error)
        known = ", ".join(Objective.model_fields)
        raise BadInput(f"--objective {text}: {where}: {words}; there is: {known}") from None


async def _questions(
    bank: Path | None, recorded: Path | None, task: str | None, *, pipelines: bool, prices: dict[str, float]
) -> list[RoutedQuestion]:
    from quorate.aggregators.routing.router_training import mark_models

    from .material import bank_examples, outcome_questions, panel_examples

    if (bank is None) == (recorded is None):
        raise BadInput("choose what to learn from: --bank DIR or --recorded FILE (one of them)")
    if bank is not None:
        if pipelines:
            return outcome_questions(bank, task, prices)
        return mark_models(await bank_examples(bank, task=task, agent=None, size=None, seed=0), prices)
    assert recorded is not None
    return mark_models(await panel_examples(recorded), prices)


def _only(questions: list[RoutedQuestion], names: list[str]) -> list[RoutedQuestion]:
    from dataclasses import replace

    known = {name for question in questions for name in question.right}
    if strange := [name for name in names if name not in known]:
        raise UnknownName("model or pipeline", strange[0], known)
    return [replace(q, right={name: mark for name, mark in q.right.items() if name in names}) for q in questions]


def _print(source: Path | None, found: RouterMeasures, learned: TrainedRouter, out: Path | None) -> None:
    from quorate.evals.report.formatting import format_money, format_number

    console = wide_console()
    head = f"{source}: {found.questions} questions that all were asked; every question out of fold"
    console.print(head, style="bold", markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    columns = ("", "right", "95 % interval", "cost", "seconds", "asked", "router over it", "interval", "p")
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place == 0 else "right", no_wrap=True)
    for system in found.systems:
        accuracy, gain = system.accuracy, system.gain
        cells = [f"{accuracy.value:.4f}", f"{accuracy.low:.3f} to {accuracy.high:.3f}"]
        share = found.shares.get(system.name)
        cells += [format_money(system.cost), format_number(system.seconds, 2), "" if share is None else f"{share:.3f}"]
        if gain is not None:
            cells += [f"{gain.difference:+.4f}", f"{gain.low:+.4f} to {gain.high:+.4f}", f"{gain.p:.2g}"]
        table.add_row(escape(system.name), *cells)
    console.print(table)
    weights = ", ".join(f"{name} {value:g}" for name, value in learned.objective.model_dump().items() if value)
    console.print(f"objective: {weights}; {_describe_kinds(learned)}", style="dim", markup=False)
    console.print(
        f"some model is right: {found.oracle:.3f}; chances: Brier score {found.brier:.4f}, calibration error "
        f"{found.calibration_error:.3f}",
        style="dim",
        markup=False,
    )
    console.print(found.verdict, markup=False)
    if out is not None:
        console.print(f"trained on all of them: {out}", markup=False)


def _describe_kinds(learned: TrainedRouter) -> str:
    if not learned.kinds:
        return f"always the best single model, {learned.best}"
    shares: dict[str, float] = {}
    for kind in learned.kinds:
        shares[kind.by] = shares.get(kind.by, 0.0) + kind.share
    told = ", ".join(f"{source} in {100 * share:.0f} %" for source, share in shares.items())
    return f"{len(learned.kinds)} kinds of questions, decided by {told} of them"
