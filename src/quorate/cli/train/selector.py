"""`quorate train selector`: from labelled candidates to a selector, measured on questions it has not seen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from quorate.orchestrator.errors import BadInput

from ..console import print_json, wide_console
from ..options import Json
from .options import Bank, Folds, Out, Recorded, Task

if TYPE_CHECKING:
    from quorate.aggregators.learned.selector import Example, TrainedSelector

    from .measures import Rival, SelectorMeasures

STRONGEST = 8
"""Terms that are shown."""


def selector(
    bank: Bank = None,
    recorded: Recorded = None,
    out: Out = None,
    task: Task = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this model's (or agent's) samples; all of them otherwise.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="MODEL", help="Leave out recorded models, such as 'o1-*'; may be repeated."),
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(min=1, help="Cut the samples of a question into sets of so many.")
    ] = None,
    features: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Families of features; --list tells them.")
    ] = None,
    folds: Folds = 5,
    risk: Annotated[
        float | None,
        typer.Option(help="Learn when to abstain: the part of questions that may be answered wrongly, such as 0.1."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses folds and draws ties.")] = 0,
    names: Annotated[bool, typer.Option("--list", help="List the features.")] = False,
    as_json: Json = False,
) -> None:
    """Learn from labelled candidates which answer to trust; no GPU is needed and no model is called.

    Prints how right it is on questions it was not trained on, beside the vote and weights without labels.
    """
    from quorate.aggregators.learned.selector import SelectorSettings, fit, predict_out_of_fold

    from .measures import measure_selector

    if names:
        _list(as_json=as_json)
        return
    families = tuple(name.strip() for name in features.split(",") if name.strip()) if features else None
    settings = SelectorSettings(families=families, folds=folds, seed=seed, risk=risk)
    examples = asyncio.run(_examples(bank, recorded, task, model, without or (), candidates, seed))
    found = measure_selector(predict_out_of_fold(examples, settings), seed=seed, risk=risk)
    learned = fit(examples, settings)
    if out is not None:
        learned.save(out)
    if as_json:
        print_json({"source": str(bank or recorded), "seed": seed, **found.as_json(), "file": out and str(out)})
    else:
        _print(bank or recorded, found, learned, out)


async def _examples(
    bank: Path | None,
    recorded: Path | None,
    task: str | None,
    model: str | None,
    without: Sequence[str],
    candidates: int | None,
    seed: int,
) -> list[Example]:
    from .material import bank_examples, replay_examples

    if (bank is None) == (recorded is None):
        raise BadInput("choose what to learn from: --bank DIR or --recorded FILE (one of them)")
    if bank is not None:
        if without:
            raise BadInput("--without goes with --recorded; of a bank choose one agent with --model")
        return await bank_examples(bank, task=task, agent=model, size=candidates, seed=seed)
    assert recorded is not None
    if task is not None:
        raise BadInput("--task goes with --bank; recorded answers are one task")
    return await replay_examples(recorded, model=model, without=without, size=candidates, seed=seed)


def _list(*, as_json: bool) -> None:
    from quorate.aggregators.learned.selector import DEFAULT_FAMILIES, FAMILIES

    rows = [
        (name, feature.__name__, " ".join((feature.__doc__ or "").split()), family.needs, name in DEFAULT_FAMILIES)
        for name, family in FAMILIES.items()
        for feature in family.features
    ]
    rows.append(("models", "model:NAME", "Part of this model's candidates that voted for it.", "several models", True))
    if as_json:
        keys = ("family", "name", "summary", "needs", "default")
        print_json({"features": [dict(zip(keys, row, strict=True)) for row in rows]})
        return
    table = Table("family", "feature", "what it is", "needs", box=None, pad_edge=False, header_style="dim")
    for family, name, summary, needs, default in rows:
        table.add_row(family if default else f"({family})", name, escape(summary), needs)
    wide_console().print(table)
    wide_console().print("families in brackets must be asked for with --features", style="dim")


def _print(source: Path | None, found: SelectorMeasures, learned: TrainedSelector, out: Path | None) -> None:
    console = wide_console()
    clusters = f" in {found.clusters} clusters" if found.clusters < found.questions else ""
    console.print(
        f"{source}: {found.questions} questions{clusters}, {found.sets} sets; every question out of fold",
        style="bold",
        markup=False,
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for place, name in enumerate(("", "right", "95 % interval", "selector over it", "interval", "p", "better, worse")):
        table.add_column(name, justify="left" if place == 0 else "right", no_wrap=True)
    for rival in found.systems:
        table.add_row(*_row(rival))
    console.print(table)
    for line in _lines(found, learned):
        console.print(line, style="dim", markup=False)
    if out is not None:
        console.print(f"trained on all of them: {out}", markup=False)


def _row(rival: Rival) -> tuple[str, ...]:
    own = f"{rival.accuracy.value:.4f}", f"{rival.accuracy.low:.3f} to {rival.accuracy.high:.3f}"
    gain = rival.gain
    if gain is None:
        return rival.name, *own, "", "", "", ""
    interval = f"{gain.low:+.4f} to {gain.high:+.4f}"
    return rival.name, *own, f"{gain.difference:+.4f}", interval, f"{gain.p:.2g}", f"{gain.better}, {gain.worse}"


def _lines(found: SelectorMeasures, learned: TrainedSelector) -> list[str]:
    terms = sorted(learned.terms.items(), key=lambda item: -abs(item[1].weight))[:STRONGEST]
    lines = [
        f"some answer is right: {found.oracle:.3f}; probabilities: Brier score {found.brier:.4f}, "
        f"calibration error {found.calibration_error:.3f}",
        f"features: {', '.join(learned.families)}; C={learned.origin.regularization:g}; strongest: "
        + ", ".join(f"{name} {term.weight:+.2f}" for name, term in terms),
    ]
    if found.abstaining is not None:
        a = found.abstaining
        lines.append(
            f"abstaining at risk {a.risk:g}: answers {a.answered:.3f} of the questions, wrongly "
            f"{a.wrong.value:.3f} of all ({a.wrong.low:.3f} to {a.wrong.high:.3f})"
        )
    return lines
