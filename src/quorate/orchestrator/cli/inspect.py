"""`quorate models`, `quorate graph` and `quorate config-schema`: what there is, without running it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..catalogue import BUILT_IN, ModelInfo
from .options import ConfigFile, Json, Upstream, catalogue_of, print_json

__all__ = ["config_schema", "graph", "models"]


def models(upstream: Upstream = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """List the models, and the pipelines that exist over each."""
    listing = asyncio.run(_listing(upstream, config))
    if as_json:
        print_json({"models": [{"id": m.id, "kind": m.kind, "pipelines": list(m.pipelines)} for m in listing]})
        return
    console = Console(highlight=False)
    table = Table("model", "kind", box=None, pad_edge=False, header_style="dim")
    for info in listing:
        table.add_row(escape(info.id), info.kind)
    console.print(table)
    console.print("\nover each model, as PIPELINE[@N]/MODEL or PIPELINE[@N]/MODEL+MODEL:", style="dim")
    for built_in in BUILT_IN.values():
        console.print(f"  {built_in.name}@{built_in.n}: {built_in.summary}", markup=False)


async def _listing(upstream: str | None, config: ConfigFile) -> list[ModelInfo]:
    catalogue = await catalogue_of(upstream, config)
    try:
        return catalogue.listing()
    finally:
        await catalogue.aclose()


def graph(
    name: Annotated[str, typer.Argument(help="A model or pipeline, as in `quorate ask --pipeline`.")],
    upstream: Upstream = None,
    config: ConfigFile = None,
) -> None:
    """Draw a pipeline as a Mermaid diagram."""
    typer.echo(asyncio.run(_drawn(name, upstream, config)))


async def _drawn(name: str, upstream: str | None, config: ConfigFile) -> str:
    from ..drawing import mermaid

    catalogue = await catalogue_of(upstream, config)
    try:
        return mermaid(catalogue.resolve(name))
    finally:
        await catalogue.aclose()


def config_schema() -> None:
    """Print the JSON schema of quorate.yaml, for editors."""
    from ..config import schema

    print_json(schema())
