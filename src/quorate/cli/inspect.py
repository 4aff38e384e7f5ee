"""`quorate models`, `quorate graph` and `quorate config-schema`: what there is, without running it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quorate.config.catalog import CatalogEntry
from quorate.config.recipes import RECIPES, STOPPING, TOGETHER
from quorate.config.recipes.recipe import Recipe, StopRecipe, TokenRecipe

from .options import ConfigFile, Json, Upstream, catalogue_of, print_json
from .show import wide_console

__all__ = ["aggregators", "config_schema", "graph", "models"]


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
    for recipe in RECIPES.values():
        console.print(f"  {recipe.name}@{recipe.n}: {recipe.summary}", markup=False)
    console.print("\nover several models, as PIPELINE/MODEL+MODEL, token by token:", style="dim")
    for together in TOGETHER.values():
        console.print(f"  {together.name}: {together.summary}", markup=False)


async def _listing(upstream: str | None, config: ConfigFile) -> list[CatalogEntry]:
    catalog = await catalogue_of(upstream, config)
    try:
        return catalog.listing()
    finally:
        await catalog.aclose()


def aggregators(as_json: Json = False) -> None:
    """List the built-in pipelines, stopping rules and what `eval replay` knows, with options and sources."""
    from quorate.evals.replay.registry import entries

    replayed = entries().values()
    if as_json:
        print_json(
            {
                "pipelines": [{**_described(r), "n": r.n} for r in RECIPES.values()],
                "together": [_described(r) for r in TOGETHER.values()],
                "stopping": [_described(r) for r in STOPPING.values()],
                "replay": [
                    {"name": e.name, "summary": e.summary, "source": e.source, "needs": sorted(e.needs)}
                    for e in replayed
                ],
            }
        )
        return
    console = wide_console()
    table = Table("name", "what it does", "options", "source", box=None, pad_edge=False, header_style="dim")
    for recipe in RECIPES.values():
        table.add_row(f"{recipe.name}@{recipe.n}", escape(recipe.summary), _options(recipe), escape(recipe.source))
    table.add_section()
    for together in TOGETHER.values():
        described = escape(together.summary), _options(together), escape(together.source)
        table.add_row(f"{together.name}/A+B", *described)
    table.add_section()
    for rule in STOPPING.values():
        table.add_row(f"stop: {rule.name}", escape(rule.summary), _options(rule), escape(rule.source))
    table.add_section()
    for entry in replayed:
        needs = f"needs {', '.join(sorted(entry.needs))}" if entry.needs else ""
        table.add_row(f"replay: {entry.name}", escape(entry.summary), needs, escape(entry.source))
    console.print(table)


def _described(recipe: Recipe | StopRecipe | TokenRecipe) -> dict[str, Any]:
    options = recipe.options.model_json_schema().get("properties", {})
    return {"name": recipe.name, "summary": recipe.summary, "source": recipe.source, "options": options}


def _options(recipe: Recipe | StopRecipe | TokenRecipe) -> str:
    fields = recipe.options.model_fields.items()
    shown = (f"{name} (needed)" if field.is_required() else f"{name}={field.default!r}" for name, field in fields)
    return escape(", ".join(shown))


def graph(
    name: Annotated[str, typer.Argument(help="A model or pipeline, as in `quorate ask --pipeline`.")],
    upstream: Upstream = None,
    config: ConfigFile = None,
) -> None:
    """Draw a pipeline as a Mermaid diagram."""
    typer.echo(asyncio.run(_drawn(name, upstream, config)))


async def _drawn(name: str, upstream: str | None, config: ConfigFile) -> str:
    from quorate.orchestrator.drawing import mermaid

    catalog = await catalogue_of(upstream, config)
    try:
        return mermaid(catalog.resolve(name))
    finally:
        await catalog.aclose()


def config_schema() -> None:
    """Print the JSON schema of quorate.yaml, for editors."""
    from quorate.config.file import schema

    print_json(schema())
