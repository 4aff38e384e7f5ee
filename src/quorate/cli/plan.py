"""`quorate eval plan`: how many samples are worth buying, from a pilot; of a panel, what its voters amount to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from quorate.orchestrator.errors import BadInput, UnknownName

from .console import print_json, wide_console
from .options import Json

if TYPE_CHECKING:
    from rich.console import Console

    from quorate.evals.measures import EffectiveVotes
    from quorate.evals.planning import PanelPlan, Plan
    from quorate.evals.records import AnswerRecord, RecordedBank


def plan(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A pilot: a folder of `quorate eval run --out`, or recorded answers.")
    ],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this model; all that were sampled if not given.")
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option(help="Share of questions that one more sample must add; 0.001 if not given.")
    ] = None,
    price: Annotated[float | None, typer.Option(help="Money for a million generated tokens; with --point.")] = None,
    point: Annotated[
        float | None, typer.Option(help="Money that one point (1 %) of accuracy is worth on 1,000 questions.")
    ] = None,
    most: Annotated[int, typer.Option(help="Look at votes over up to so many samples.")] = 256,
    seed: Annotated[int, typer.Option(help="Chooses the resamples.")] = 0,
    as_json: Json = False,
) -> None:
    """Say how many samples to buy, for a vote and for a verifier; of a panel, how many independent voters it is."""
    from quorate.evals.answer_files import read_bank
    from quorate.evals.planning import plan as planned
    from quorate.evals.planning import plan_panel
    from quorate.evals.planning.plan import EPSILON
    from quorate.evals.records import PANEL

    if (price is None) != (point is None):
        raise BadInput("give --price and --point together: what tokens cost, and what accuracy is worth")
    if price is not None and epsilon is not None:
        raise BadInput("give --epsilon, or --price with --point, not both")
    if not folder.exists():
        raise BadInput(f"{folder}: there is no such folder; `quorate eval run --out DIR` makes one")
    bank = asyncio.run(read_bank(folder))
    if bank.panel and model is None:
        panel = plan_panel(bank.groups[PANEL])
        if as_json:
            print_json({"pilot": str(folder), "panel": panel.as_json()})
        else:
            _print_panel(wide_console(), bank.name, panel)
        return
    groups = _pilots(folder, bank, model)
    plans = []
    for name, records in groups.items():
        least = EPSILON if epsilon is None else epsilon
        if price is not None and point is not None:
            least = _worth(name, records, price, point)
        plans.append(planned(records, model=name, epsilon=least, most=most, seed=seed))
    if as_json:
        print_json({"pilot": str(folder), "plans": [one.as_json() for one in plans]})
        return
    console = wide_console()
    for one in plans:
        _print(console, one)


def _pilots(folder: Path, bank: RecordedBank, model: str | None) -> dict[str, tuple[AnswerRecord, ...]]:
    """The repeated samples of each model.

    Raises:
        BadInput: nothing was sampled twice.
        UnknownName: there is no such model.
    """
    from quorate.evals.records import POOLED

    if bank.panel:
        raise BadInput(
            f"{folder}: has one sample a question and model; a pilot of {model} needs 2 or more, such as majority@8"
        )
    groups = {name: group for name, group in bank.groups.items() if name != POOLED or len(bank.groups) == 1}
    if model is None:
        return groups
    if model not in groups:
        raise UnknownName("model", model, groups)
    return {model: groups[model]}


def _worth(name: str, records: tuple[AnswerRecord, ...], price: float, point: float) -> float:
    """The gain that pays for a sample: on 1,000 questions it costs 1,000 times its tokens' price."""
    from quorate.evals.measures import token_spending

    spent = token_spending(records)
    if spent is None:
        raise BadInput(f"{name}: has no tokens of its samples, so a price cannot be met; give --epsilon")
    if price <= 0 or point <= 0:
        raise BadInput(f"--price {price:g} --point {point:g}: both must be above 0")
    sample = spent.total / sum(map(len, records))
    return 1000 * sample * price / 1e6 / (100 * point)


def _print(console: Console, found: Plan) -> None:
    head = f"{found.model}: {found.questions:,} questions, a pilot of {found.pilot} samples"
    console.print(head, markup=False, style="bold")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("samples", "vote", "95 % interval", "any right", "95 % interval", "TTSPM", "tokens", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for at in found.curve:
        table.add_row(
            str(at.samples),
            f"{at.accuracy.value:.3f}",
            f"{at.accuracy.low:.3f} to {at.accuracy.high:.3f}",
            f"{at.coverage.value:.3f}",
            f"{at.coverage.low:.3f} to {at.coverage.high:.3f}",
            f"{found.coverage.at(at.samples):.3f}",
            "" if at.tokens is None else f"{at.tokens:,.0f}",
            "pilot" if at.measured else "carried on",
        )
    console.print(table)
    for line in _advice(found):
        console.print(line, markup=False)


def _advice(found: Plan) -> list[str]:
    fit, vote, oracle = found.coverage, found.vote, found.oracle
    lines = [
        f"TTSPM: {fit.f_max:.3f} ({found.f_max.low:.3f} to {found.f_max.high:.3f}) of the questions can be solved, "
        f"a sample at a chance of {fit.p:.3f} ({found.p.low:.3f} to {found.p.high:.3f}); misfit {fit.misfit:.3f}",
        f"vote: buy {vote.samples} samples ({vote.low} to {vote.high}); a sample must add {found.epsilon:.2g}",
        f"with a verifier: buy {oracle.samples} samples ({oracle.low} to {oracle.high}); TTSPM's N* is "
        f"{found.n_star.samples} ({found.n_star.low} to {found.n_star.high})",
    ]
    if found.effective is not None:
        lines.append(_describe_votes(found.effective, "samples"))
    if found.falls:
        lines.append(f"! more votes than {found.best} do harm: wrong answers are likelier on too many questions")
    if found.short:
        lines.append(f"! {found.short} questions have fewer than {found.pilot} samples and count with what they have")
    if found.beyond:
        lines.append("! this is beyond the pilot: buy some more samples and plan again")
    return lines


def _describe_votes(votes: EffectiveVotes, what: str) -> str:
    free = votes.label_free_votes
    return (
        f"effective votes: {votes.voters:.0f} {what} err like {votes.votes:.1f} independent ones "
        f"(correlation {votes.correlation:.2f})" + ("" if free is None else f"; without labels {free:.1f}")
    )


def _print_panel(console: Console, name: str, found: PanelPlan) -> None:
    console.print(f"{name}: {found.questions:,} questions, a panel of {found.voters}", markup=False, style="bold")
    for what, share in (("majority", found.vote), (found.best, found.best_accuracy)):
        console.print(f"{share.value:.3f} ({share.low:.3f} to {share.high:.3f}) {what}", markup=False)
    if found.effective is not None:
        console.print(_describe_votes(found.effective, "voters"), markup=False)
    for pair in found.alike:
        console.print(f"err alike: {pair.a} = {pair.b}, correlation {pair.correlation:.2f}", markup=False)
    for group in found.copies:
        console.print(f"! copies, which should count once: {' = '.join(group)}", markup=False, style="yellow")
