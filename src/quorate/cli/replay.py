"""`quorate eval replay`: aggregators measured on recorded answers, with no model called."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quorate.orchestrator.errors import BadInput

from .console import print_json, wide_console
from .options import Json

if TYPE_CHECKING:
    from quorate.evals.records import RecordedBank
    from quorate.evals.replay import ReplayResult


def replay(
    bank: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR", help="Recorded answers: JSONL, or a folder of them or of `quorate eval run --out`."
        ),
    ] = None,
    aggregators: Annotated[
        str, typer.Option(metavar="A,B,...", help="Names, separated by commas; --list tells them.")
    ] = "plurality,pass",
    k: Annotated[
        str | None, typer.Option("--k", metavar="1,2,4,...", help="Answers a question; all of them if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses the subsets and the resamples.")] = 0,
    draws: Annotated[int, typer.Option(help="Subsets of a question where not all can be had.")] = 200,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="MODEL", help="Leave out models, such as 'o1-*'; may be repeated."),
    ] = None,
    names: Annotated[bool, typer.Option("--list", help="List the aggregators and what each needs.")] = False,
    as_json: Json = False,
) -> None:
    """Draw subsets of recorded answers, aggregate them, and compare with plurality at equal tokens."""
    from quorate.evals.answer_files import read_bank
    from quorate.evals.replay import replay as measured

    if names:
        _list(as_json=as_json)
        return
    if bank is None:
        raise BadInput("choose recorded answers to replay: --bank FILE or --bank DIR")
    recorded = asyncio.run(read_bank(bank, without=without or ()))
    chosen = [name.strip() for name in aggregators.split(",") if name.strip()]
    results = measured(recorded, chosen, k=_sizes(k), seed=seed, draws=draws, gains=not as_json)
    if as_json:
        print_json(
            {"bank": str(bank), "questions": recorded.questions, "results": [result.as_json() for result in results]}
        )
    else:
        _print(bank, recorded, results)


def _sizes(text: str | None) -> list[int]:
    """The numbers of a list such as 1,2,4.

    Raises:
        BadInput: something in it is no number.
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()] if text else []
    except ValueError:
        raise BadInput(f"--k {text}: give whole numbers separated by commas, such as 1,2,4") from None


def _list(*, as_json: bool) -> None:
    from quorate.evals.replay.rules import replay_rules

    rows = [(e.name, e.summary, sorted(e.needs), e.source) for e in replay_rules().values()]
    if as_json:
        keys = ("name", "summary", "needs", "source")
        print_json({"aggregators": [dict(zip(keys, row, strict=True)) for row in rows]})
        return
    table = Table("name", "what it does", "needs", "source", box=None, pad_edge=False, header_style="dim")
    for name, summary, needs, source in rows:
        table.add_row(name, escape(summary), ", ".join(needs), escape(source))
    wide_console().print(table)


def _print(path: Path, bank: RecordedBank, results: list[ReplayResult]) -> None:
    console = wide_console()
    kind = "a panel, one answer a model" if bank.panel else "repeated samples"
    console.print(f"{path}: {bank.questions} questions, {kind}", markup=False, style="bold")
    spent = ("tokens", "cost", "seconds")
    head = ("aggregator", "model", "k", "accuracy", "95 % interval", "samples", *spent, "over plurality", "interval")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for position, name in enumerate(head):
        table.add_column(name, justify="left" if position < 2 else "right", no_wrap=True)
    for result in results:
        table.add_row(*map(escape, _row(result)))
    console.print(table)
    _explain(console)


def _row(result: ReplayResult) -> tuple[str, ...]:
    from quorate.evals.report.formatting import format_money, format_number

    gain = result.gain
    return (
        result.aggregator,
        result.model,
        str(result.k),
        f"{result.accuracy:.3f}",
        f"{result.low:.3f} to {result.high:.3f}",
        f"{result.samples:.1f}",
        format_number(result.tokens),
        format_money(result.cost),
        format_number(result.seconds, 2),
        "" if gain is None else f"{gain.difference:+.3f} @{gain.votes:.1f}",
        "" if gain is None else f"{gain.low:+.3f} to {gain.high:+.3f}",
    )


def _explain(console: Console) -> None:
    console.print(
        "samples, tokens, cost and seconds: mean per question; over plurality @K: paired with plurality of as many "
        "answers as the same tokens buy (the same samples, where no tokens were recorded)",
        style="dim",
        markup=False,
    )
