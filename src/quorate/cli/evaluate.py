"""`quorate eval`: its commands."""

from __future__ import annotations

import typer

from .bank import app as bank
from .compare import compare
from .eval_run import run
from .judge import judge, rubric
from .options import Commands
from .pilot import pilot
from .plan import plan
from .replay import replay
from .report import report
from .tasks import tasks

__all__ = ["app"]

app = typer.Typer(
    cls=Commands,
    help="Measure which aggregation is worth its tokens.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Measure which aggregation is worth its tokens."""


app.command()(run)
app.command()(replay)
app.command()(compare)
app.command()(plan)
app.command()(pilot)
app.command()(judge)
app.command()(rubric)
app.command()(report)
app.command()(tasks)
app.add_typer(bank, name="bank")
