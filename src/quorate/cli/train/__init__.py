"""`quorate train`: what learns from labelled candidates."""

from __future__ import annotations

import typer

from ..options import Commands
from .aggregator import aggregator
from .cascade import cascade
from .router import router
from .selector import selector

__all__ = ["app"]

app = typer.Typer(
    cls=Commands,
    help="Learn from labelled candidates how to aggregate.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Learn from labelled candidates how to aggregate."""


app.command()(aggregator)
app.command()(selector)
app.command()(cascade)
app.command()(router)
