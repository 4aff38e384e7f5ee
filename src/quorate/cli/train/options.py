"""Options that several of `quorate train` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Bank = Annotated[Path | None, typer.Option(metavar="DIR", help="A sample bank, as `quorate eval run --out` makes it.")]
Recorded = Annotated[
    Path | None, typer.Option(metavar="FILE|DIR", help="Recorded answers instead, as `quorate eval replay` reads.")
]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Where the result goes; only measured if not given.")]
Task = Annotated[str | None, typer.Option(help="Only this task of the bank.")]
Price = Annotated[
    str | None, typer.Option(metavar="A=MONEY,...", help="Of a million tokens; of one answer where none are known.")
]
Folds = Annotated[int, typer.Option(help="Of the cross-validation, by question.")]
FoldSeed = Annotated[int, typer.Option(help="Chooses the folds.")]
