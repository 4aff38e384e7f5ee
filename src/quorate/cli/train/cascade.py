"""`quorate train cascade`: from labelled candidates to thresholds, measured on questions they were not found on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from quorate.orchestrator.errors import BadInput

from ..console import print_json, wide_console
from ..options import Json
from .options import Bank, Folds, FoldSeed, Out, Price, Recorded, Task

if TYPE_CHECKING:
    from quorate.aggregators.learned.selector import Example
    from quorate.aggregators.routing.calibration import Goal, Taken
    from quorate.aggregators.routing.cascade import CascadeStage, TrainedCascade
    from quorate.aggregators.routing.training import StagePlan

    from .routed import CascadeMeasures

MARGIN = 0.005
"""Accuracy that a cascade may cost where nothing else is asked for."""


def cascade(
    bank: Bank = None,
    recorded: Recorded = None,
    stage: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B[@N]", help="Who is asked at a stage, and how often; repeated, the dearest last."),
    ] = None,
    team: Annotated[
        int | None,
        typer.Option(min=2, help="Choose the first stage: up to so many of the other models, which must agree."),
    ] = None,
    most: Annotated[
        float | None, typer.Option(help="With --team: money that a question may take, as a part of the last stage's.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="SHARE[,...]", help="Share of the questions that the last stage may take, such as 0.25."),
    ] = None,
    risk: Annotated[
        float | None, typer.Option(help="Share of the questions that may lose the last stage's right answer.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help=f"Accuracy that may be lost; {MARGIN} if nothing else is said.")
    ] = None,
    score: Annotated[
        str, typer.Option(help="What makes an answer sure: agreement, logprob or selector.")
    ] = "agreement",
    selector: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For --score selector; trained on other questions than these.")
    ] = None,
    price: Price = None,
    out: Out = None,
    task: Task = None,
    folds: Folds = 5,
    seed: FoldSeed = 0,
    as_json: Json = False,
) -> None:
    """Find the scores that answers of a cascade need, by a budget, a risk or a margin; no model is called.

    Prints how right it is and what it asks on questions it was not calibrated on, beside its last stage alone, and
    beside asking the last stage as often but at random.
    """
    from .routed import measure_cascade

    setup = _Setup(tuple(stage or ()), team, most, score, selector, price, folds, seed)
    goal, words = _choose_goal(budget, risk, margin)
    examples = asyncio.run(_examples(bank, recorded, task, seed))
    taken, learned = asyncio.run(_train(examples, setup, goal, words))
    found = measure_cascade(taken, seed=seed)
    learned = learned.model_copy(update={"note": found.verdict})
    if out is not None:
        learned.save(out)
    if as_json:
        stages = [one.model_dump(mode="json") for one in learned.stages]
        print_json({"source": str(bank or recorded), "goal": words, "stages": stages, **found.as_json()})
    else:
        _print(bank or recorded, found, learned, out)


@dataclass(frozen=True)
class _Setup:
    stages: tuple[str, ...]
    team: int | None
    most: float | None
    score: str
    selector: Path | None
    price: str | None
    folds: int
    seed: int


def _choose_goal(budget: str | None, risk: float | None, margin: float | None) -> tuple[Goal, str]:
    from quorate.aggregators.routing.calibration import KeepBudget, KeepRisk, LoseNothing

    if sum(given is not None for given in (budget, risk, margin)) > 1:
        raise BadInput("give one of --budget, --risk and --margin: each of them finds the thresholds by itself")
    if budget is not None:
        try:
            return KeepBudget(tuple(float(part) for part in budget.split(","))), f"budget {budget}"
        except ValueError:
            raise BadInput(f"--budget {budget}: give a share of the questions, such as 0.25, or one a stage") from None
    if risk is not None:
        return KeepRisk(risk), f"risk {risk:g}"
    return LoseNothing(MARGIN if margin is None else margin), f"margin {MARGIN if margin is None else margin:g}"


async def _examples(bank: Path | None, recorded: Path | None, task: str | None, seed: int) -> list[Example]:
    from .material import bank_examples, panel_examples

    if (bank is None) == (recorded is None):
        raise BadInput("choose what to learn from: --bank DIR or --recorded FILE (one of them)")
    if bank is not None:
        return await bank_examples(bank, task=task, agent=None, size=None, seed=seed)
    assert recorded is not None
    return await panel_examples(recorded)


async def _train(examples: list[Example], setup: _Setup, goal: Goal, words: str) -> tuple[list[Taken], TrainedCascade]:
    """Where it stops for each question out of fold, and the cascade of all questions."""
    from quorate.aggregators.learned.selector import TrainedSelector
    from quorate.aggregators.learned.selector.examples import select_graded
    from quorate.aggregators.routing.calibration import take_stages
    from quorate.aggregators.routing.scores import SCORES, make_scorer
    from quorate.aggregators.routing.training import (
        StagePlan,
        choose_team,
        cross_fit,
        list_models,
        parse_prices,
        split_places,
        stage_questions,
        train_cascade,
    )

    name = next((known for known in SCORES if known == setup.score), None)
    if name is None:
        raise BadInput(f"--score {setup.score}: there is: {', '.join(SCORES)}")
    chosen = None if setup.selector is None else TrainedSelector.load(setup.selector)
    scorer, prices, known = make_scorer(name, chosen), parse_prices(setup.price), select_graded(examples)
    plans = [StagePlan.parse(text) for text in setup.stages]
    if setup.most is not None and setup.team is None:
        raise BadInput("--most bounds what the team of --team may take: give both")
    if setup.team is None:
        questions = await stage_questions(known, plans or _by_price(known, prices), scorer, prices)
        taken = cross_fit(questions, goal, folds=setup.folds, seed=setup.seed)
        plans = plans or _by_price(known, prices)
    else:
        if len(plans) != 1:
            raise BadInput("--team chooses the stage before the last: give the last one alone, as --stage dear")
        pool = [model for model in list_models(known) if model not in plans[0].models]

        def choose(some: Sequence[Example]) -> list[StagePlan]:
            return [choose_team(some, plans[0], pool, setup.team or 2, goal, prices, setup.most), plans[0]]

        found: dict[int, Taken] = {}
        for train, held in split_places([example.group for example in known], setup.folds, setup.seed):
            both = choose([known[place] for place in train])
            staged = await stage_questions(known, both, scorer, prices)
            limits = goal.find_limits([staged[place] for place in train])
            found |= {place: take_stages(staged[place], limits) for place in held}
        taken, plans = [found[place] for place in range(len(known))], choose(known)
        questions = await stage_questions(known, plans, scorer, prices)
    learned = train_cascade(questions, plans, goal, words=words)
    return taken, learned.model_copy(update={"score": name, "selector": chosen})


def _by_price(examples: Sequence[Example], prices: dict[str, float]) -> list[StagePlan]:
    """Each model as a stage, the cheapest first, with as many samples as there are, and one of the dearest."""
    from quorate.aggregators.routing.training import StagePlan, list_models

    models = list_models(examples)
    if len(models) < 2:
        raise BadInput(f"there are samples of {', '.join(models) or 'no model'} alone: a cascade needs two models")
    if set(models) - set(prices):
        raise BadInput(
            "say who is asked first, as --stage cheap@3 --stage dear, or give the price of every model: "
            f"--price {','.join(f'{model}=MONEY' for model in models)}"
        )
    *before, last = sorted(models, key=lambda model: (prices[model], model))
    held = min(sum(name == before[0] for name in e.view.sources) for e in examples)
    return [*(StagePlan((model,), max(1, held)) for model in before), StagePlan((last,), 1)]


def _print(source: Path | None, found: CascadeMeasures, learned: TrainedCascade, out: Path | None) -> None:
    from quorate.evals.report.formatting import format_money

    console = wide_console()
    head = f"{source}: {found.questions} questions, {learned.goal}; every question out of fold"
    console.print(head, style="bold", markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for place, name in enumerate(("", "right", "95 % interval", "cost", "cascade over it", "interval", "p")):
        table.add_column(name, justify="left" if place == 0 else "right", no_wrap=True)
    for system in found.systems:
        gain, accuracy = system.gain, system.accuracy
        cells = [f"{accuracy.value:.4f}", f"{accuracy.low:.3f} to {accuracy.high:.3f}", format_money(system.cost)]
        if gain is not None:
            cells += [f"{gain.difference:+.4f}", f"{gain.low:+.4f} to {gain.high:+.4f}", f"{gain.p:.2g}"]
        table.add_row(escape(system.name), *cells)
    console.print(table)
    for one, share in zip(learned.stages, found.shares, strict=True):
        line = f"{one}: {_limit(learned, one)}answers {100 * share:.1f} % of the questions"
        console.print(line, style="dim", markup=False)
    console.print(found.verdict, markup=False)
    if out is not None:
        console.print(f"calibrated on all of them: {out}", markup=False)


def _limit(learned: TrainedCascade, stage: CascadeStage) -> str:
    if stage is learned.stages[-1]:
        return ""
    if stage.threshold is None:
        return "never accepted; "
    part = f", and {100 * stage.tie:.0f} % of those with just it" if stage.tie < 1 else ""
    return f"accepted from {learned.score} {stage.threshold:.3g}{part}; "
