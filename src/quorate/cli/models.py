"""`quorate models`: what there is; `add`, `ls` and `rm` for the models in the user's cache."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

from . import inspect
from .console import SafeConsole, echo, print_json
from .options import Commands, ConfigFile, Json, Upstream

__all__ = ["app"]

app = typer.Typer(cls=Commands)


@app.callback(invoke_without_command=True)
def models(context: typer.Context, upstream: Upstream = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """List the models and the pipelines over each; add real models to them, and take them away."""
    if context.invoked_subcommand is None:
        inspect.models(upstream, config, as_json)


@app.command()
def add(
    model: Annotated[
        str,
        typer.Argument(help="smollm2-135m, gemma3-270m, a .gguf file, a Hugging Face folder, or an id of the hub."),
    ],
    name: Annotated[str | None, typer.Option(help="What it is called from then on.")] = None,
    template: Annotated[
        Path | None,
        typer.Option("--chat-template", metavar="FILE", help="A Jinja template instead of the model's own."),
    ] = None,
) -> None:
    """Fetch or convert a model once, into the user's cache (QUORATE_HOME, else XDG's); it is offline from then on."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # transformers' bars; ours say it in fewer lines
    from quorate.agents.embedded.adding import add_model, find_source

    source = find_source(model)
    with _Bars() as bars:
        added, notes = add_model(source, bars.show, name=name, template=template)
    for note in notes:
        echo(f"note: {note}", err=True)
    licence = f" ({added.licence})" if added.licence else ""
    echo(f"{added.name}{licence} is in {added.folder}")
    echo(f'try: quorate ask "What is the capital of France?" --pipeline majority@5/{added.name}')


@app.command()
def ls(as_json: Json = False) -> None:
    """List the models that were added, the default first."""
    from quorate.agents.embedded.home import find_models, list_added_models

    found = list_added_models()
    sizes = [sum(file.stat().st_size for file in model.folder.iterdir() if file.is_file()) for model in found]
    if as_json:
        print_json(
            {
                "folder": str(find_models()),
                "models": [
                    {**model.model_dump(), "folder": str(model.folder), "bytes": size}
                    for model, size in zip(found, sizes, strict=True)
                ],
            }
        )
        return
    if not found:
        echo("no model was added yet: quorate models add smollm2-135m fetches one (93 MB)")
        return
    table = Table("model", "MB", "from", "licence", box=None, pad_edge=False, header_style="dim")
    for model, size in zip(found, sizes, strict=True):
        table.add_row(escape(model.name), f"{size / 1e6:,.0f}", escape(model.source), escape(model.licence or ""))
    SafeConsole(highlight=False).print(table)


@app.command()
def rm(name: Annotated[str, typer.Argument(help="As `quorate models ls` has it.")]) -> None:
    """Take an added model out of the cache."""
    from quorate.agents.embedded.home import remove_model

    removed = remove_model(name)
    echo(f"removed {removed.name}; quorate models add brings it back")


class _Bars:
    """What is being fetched and made: bars on a terminal, a line for each step elsewhere."""

    def __init__(self) -> None:
        console = SafeConsole(stderr=True, highlight=False)
        words = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"))
        self._bars = Progress(SpinnerColumn(), *words, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, what: str, done: int, total: int | None) -> None:
        """See `adding.Progress`."""
        if what not in self._tasks:
            for task in self._tasks.values():
                self._bars.remove_task(task)
            self._tasks = {what: self._bars.add_task(escape(what), total=total, amount="")}
            if self._bars.disable:
                echo(f"{what} ...", err=True)
        amount = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else ""
        self._bars.update(self._tasks[what], completed=done, total=total, amount=amount)
