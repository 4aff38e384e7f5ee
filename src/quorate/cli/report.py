"""`quorate eval report`: one page about a run, to read and to mail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quorate.orchestrator.errors import BadInput

from .console import print_json, wide_console
from .options import Json

if TYPE_CHECKING:
    from quorate.evals.report.data import ReportData


def report(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder of `quorate eval run --out` or of `quorate eval bank import`."),
    ],
    run: Annotated[
        int | None,
        typer.Option(metavar="N", help="The number of a run; the latest that answered something if not given."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Which task, where the bank has several and no runs.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="DIR/report if not given.")] = None,
    pictures: Annotated[bool, typer.Option(help="PNG files as well; they need matplotlib.")] = True,
    as_json: Json = False,
) -> None:
    """Write one HTML file that needs no network, and the same figures as Markdown, CSV and PNG."""
    from quorate.evals.bank import Bank, bank_file
    from quorate.evals.report.collect import collect
    from quorate.evals.report.files import write_report
    from quorate.evals.statistics import require

    require()
    _check(folder, bank_file(folder))
    with Bank(folder, create=False) as bank:
        data = asyncio.run(collect(bank, run=run, task=task))
    home = folder if folder.is_dir() else folder.parent
    files = write_report(data, out or home / "report", pictures=pictures)
    if as_json:
        print_json(_summary(data, files))
    else:
        _print(data, files)


def _check(folder: Path, bank: Path) -> None:
    """Says what to do about folders that hold something else than a bank."""
    if bank.exists():
        return
    if not folder.exists():
        raise BadInput(f"{folder}: there is no such folder")
    raise BadInput(
        f"{folder}: holds no bank.sqlite; `quorate eval run --out DIR` makes one, `quorate eval bank import` makes one "
        "of recorded answers"
    )


def _summary(data: ReportData, files: list[Path]) -> dict[str, object]:
    return {
        "task": data.title,
        "questions": len(data.rows),
        "samples": data.samples,
        "complete": data.complete,
        "notes": list(data.notes),
        "files": [str(file) for file in files],
    }


def _print(data: ReportData, files: list[Path]) -> None:
    from quorate.evals.report.formatting import describe_finding

    console = wide_console()
    console.print(f"{data.title}: {len(data.rows):,} questions, {data.samples:,} samples", markup=False, style="bold")
    if finding := describe_finding(data):
        console.print(finding, markup=False)
    if not data.complete:
        console.print("! the run ended before its last question", markup=False, style="yellow")
    for note in data.notes:
        console.print(f"! {note}", markup=False, style="yellow")
    size = files[0].stat().st_size / 1e6
    console.print(f"{files[0]} ({size:.1f} MB), and beside it {', '.join(f.name for f in files[1:])}", markup=False)
