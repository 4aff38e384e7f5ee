"""`quorate eval bank`: what a sample bank holds, and samples into and out of it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import CandidateSet

from .console import print_json, wide_console
from .options import Commands, Json

if TYPE_CHECKING:
    from quorate.evals.bank import Bank
    from quorate.evals.bank.importers import ImportReport

app = typer.Typer(
    help="Look into a sample bank; bring samples in and take them out.",
    no_args_is_help=True,
    rich_markup_mode=None,
    cls=Commands,
)

Where = Annotated[Path, typer.Argument(metavar="BANK", help="A folder with bank.sqlite, or the file.")]


@app.command("import")
def import_(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Folders or files: an --out folder, recorded answers, traces, an export of a bank, or what Inspect, "
            "lm-eval, lighteval, promptfoo, evalplus, HumanEval, OpenAI's batches or vLLM's run-batch wrote.",
        ),
    ],
    bank: Annotated[Path, typer.Option(metavar="BANK", help="Made if there is none.")],
    task: Annotated[
        str | None,
        typer.Option(help="What questions are noted under where the file names no task; the file's name if not given."),
    ] = None,
    scorer: Annotated[str | None, typer.Option(help="Whose grades count: a scorer of an Inspect log.")] = None,
    answer_filter: Annotated[
        str | None, typer.Option("--filter", help="Whose answers and grades count: a filter of lm-eval's samples.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring samples in. Doing it twice adds nothing."""
    from quorate.evals.bank import Bank
    from quorate.evals.bank.importers import import_path

    done = {}
    with Bank(bank) as opened:
        for source in sources:
            done[str(source)] = import_path(opened, source, task, scorer=scorer, answer_filter=answer_filter)
            if not as_json:
                _print_report(source, done[str(source)])
    if as_json:
        print_json({source: vars(report) for source, report in done.items()})


def _print_report(source: Path, done: ImportReport) -> None:
    console = wide_console()
    known = f", {done.read - done.new:,} were there" if done.read > done.new else ""
    console.print(f"{source}: {done.new:,} samples of {done.items:,} questions added{known}", markup=False)
    for reason, count in done.left_out.items():
        console.print(f"! {count:,} of the source are left out: {reason}", markup=False, style="yellow")
    if done.unmatched:
        console.print(f"! {done.unmatched:,} samples belong to no known question", markup=False, style="yellow")
    if done.ungraded:
        console.print(f"! {done.ungraded:,} samples are not graded", markup=False, style="yellow")
    for note in done.notes:
        console.print(f"! {note}", markup=False, style="yellow")


@app.command()
def ls(where: Where, as_json: Json = False) -> None:
    """What the bank holds: questions, samples and how many are right, by task and agent; then its runs."""
    from quorate.evals.bank import Bank
    from quorate.evals.bank.queries import inventory

    with Bank(where, create=False) as bank:
        found, loose = inventory(bank.store)
        if as_json:
            runs = [run.model_dump(mode="json") for run in bank.runs()]
            print_json({"holdings": [h.model_dump(mode="json") for h in found], "loose": loose, "runs": runs})
            return
        console = wide_console()
        if not found and not loose:
            console.print(f"{where}: no samples yet; quorate eval run --out {where} ... draws some", markup=False)
        table = _table(
            "task", "split", "agent", "settings", "questions", "samples", "graded", "right", "tokens", left=4
        )
        for h in found:
            task = h.task if h.current else f"{h.task} (earlier wording)"
            right = "" if h.right is None else f"{h.right:.3f}"
            counts = (f"{n:,}" for n in (h.questions, h.samples, h.graded))
            table.add_row(*map(escape, (task, h.split, h.agent, h.sampling or "?", *counts, right, f"{h.tokens:,}")))
        console.print(table)
        if loose:
            console.print(f"{loose:,} further samples answer no task's question (later layers of pipelines)")
        for note in bank.caveats:
            console.print(f"! {note}", markup=False, style="yellow")
        _print_runs(bank)


def _print_runs(bank: Bank) -> None:
    table = _table("run", "began (UTC)", "ended", "task", "questions", "pipelines", left=4)
    for run in bank.runs():
        ended = run.finished or "not ended"
        pipelines = ", ".join(run.pipelines)
        table.add_row(*map(escape, (str(run.id), run.started, ended, run.task, f"{run.questions:,}", pipelines)))
    if table.row_count:
        wide_console().print(table)


def _table(*names: str, left: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for position, name in enumerate(names):
        table.add_column(name, justify="left" if position < left else "right")
    return table


@app.command()
def show(
    where: Where,
    item: Annotated[
        str | None, typer.Argument(metavar="[ITEM]", help="A question's id; all are listed without.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only this agent, by name or id.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Questions listed at most.")] = 50,
    as_json: Json = False,
) -> None:
    """A question with its candidates and which are right; or the list of questions."""
    from quorate.evals.bank import Bank

    with Bank(where, create=False) as bank:
        sets = (s for s in bank.sets(task, agent) if item is None or s.item == item)
        found = list(islice(sets, None if item is not None else limit))
    if item is not None and not found:
        raise BadInput(f"{where}: no samples of a question {item!r}; `quorate eval bank show {where}` lists them")
    if as_json:
        print_json({"sets": [labelled.model_dump(mode="json", exclude_defaults=True) for labelled in found]})
    elif item is None:
        _list(found)
    else:
        for labelled in found:
            _show(labelled)


def _list(found: list[CandidateSet]) -> None:
    table = _table("task", "question", "cluster", "agent", "gold", "samples", "right", left=5)
    for s in found:
        right = f"{sum(c is True for c in s.correct)}/{len(s.correct)}"
        agent = s.candidates[0].agent
        table.add_row(*map(escape, (s.task, s.item, s.cluster, agent, s.gold or "", str(len(s.candidates)), right)))
    wide_console().print(table)


def _show(labelled: CandidateSet) -> None:
    console = wide_console()
    head = " ".join(part for part in (labelled.task, labelled.item, labelled.cluster) if part)
    console.print(head, markup=False, style="bold")
    console.print(labelled.question.text or "(its wording is not known)", markup=False)
    console.print(f"right answer: {labelled.gold or 'not known'}", markup=False)
    marks = {True: "right", False: "wrong", None: "not graded"}
    for candidate, right in zip(labelled.candidates, labelled.correct, strict=True):
        made = f"{candidate.index}  {candidate.agent}  {marks[right]}  {candidate.answer or '-'}"
        console.print(f"\n{made}  ({candidate.usage.completion_tokens} tokens)", markup=False, style="bold")
        if candidate.text:
            console.print(candidate.text, markup=False)


@app.command()
def export(
    where: Where,
    out: Annotated[Path, typer.Option(metavar="DIR|FILE", help="A folder, or a file that ends in .parquet or .jsonl.")],
    form: Annotated[str, typer.Option("--format", help="Of the files in a folder: parquet or jsonl.")] = "parquet",
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only this agent, by name or id.")] = None,
    as_json: Json = False,
) -> None:
    """Write samples, questions, grades and runs into files; of a broken bank what can still be read."""
    from quorate.evals.bank import bank_file
    from quorate.evals.bank.export import export_bank
    from quorate.evals.bank.recover import recover

    if form not in ("parquet", "jsonl"):
        raise BadInput(f"--format {form}: choose parquet or jsonl")
    with recover(where) as (bank, whole):
        done = export_bank(bank, out, form=form, task=task, agent=agent)  # type: ignore[arg-type]
    if as_json:
        print_json({"samples": done.samples, "files": list(map(str, done.files)), "whole": whole})
    else:
        wide_console().print(f"{out}: {done.samples:,} samples in {len(done.files)} files", markup=False)
    if not whole:
        raise DataError(
            f"is broken; what could be read of it ({done.samples:,} samples) is in {out}", file=bank_file(where)
        )
