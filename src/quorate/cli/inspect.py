"""`quorate models`, `quorate graph` and `quorate config-schema`: what there is, without running it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from quorate.aggregators.registry import ENSEMBLES, GRAPHS, PIPELINES, STOPPING_RULES
from quorate.aggregators.specs import EnsembleSpec, GraphSpec, PipelineSpec, StoppingSpec
from quorate.config.catalog import CatalogEntry
from quorate.orchestrator.amplification import requests_of
from quorate.orchestrator.errors import BadInput

from .console import SafeConsole, echo, print_json, wide_console
from .options import ConfigFile, Json, Upstream, open_catalog

__all__ = ["aggregators", "config_schema", "graph", "models"]


def models(upstream: Upstream = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """List the models, and the names of the pipelines over each."""
    listing = asyncio.run(_list_models(upstream, config))
    if as_json:
        print_json({"models": [{"id": m.id, "kind": m.kind} for m in listing]})
        return
    console = SafeConsole(highlight=False)
    table = Table("model", "kind", box=None, pad_edge=False, header_style="dim")
    for info in listing:
        table.add_row(escape(info.id), info.kind)
    console.print(table)
    for head, names in (
        ("over each model, as PIPELINE[@N]/MODEL or PIPELINE[@N]/MODEL+MODEL", PIPELINES),
        ("one of several models, or one after the other, as PIPELINE[@N]/MODEL+MODEL", GRAPHS),
        ("over several models, as PIPELINE/MODEL+MODEL, token by token", ENSEMBLES),
    ):
        console.print(f"\n{head}:", style="dim", markup=False)
        console.print(Padding(", ".join(names), (0, 2)), markup=False)
    console.print("\n`quorate aggregators` says what each does, and its options", style="dim")


async def _list_models(upstream: str | None, config: ConfigFile) -> list[CatalogEntry]:
    catalog = await open_catalog(upstream, config)
    try:
        return catalog.listing()
    finally:
        await catalog.aclose()


def aggregators(as_json: Json = False) -> None:
    """List the built-in pipelines, stopping rules and what `eval replay` knows, with options and sources."""
    from quorate.evals.replay.rules import replay_rules

    replayed = replay_rules().values()
    if as_json:
        print_json(
            {
                "pipelines": [{**_describe(s), "n": s.n} for s in PIPELINES.values()],
                "graphs": [{**_describe(s), "n": s.n} for s in GRAPHS.values()],
                "ensembles": [_describe(s) for s in ENSEMBLES.values()],
                "stopping": [_describe(s) for s in STOPPING_RULES.values()],
                "replay": [
                    {"name": e.name, "summary": e.summary, "source": e.source, "needs": sorted(e.needs)}
                    for e in replayed
                ],
            }
        )
        return
    console = wide_console()
    table = Table("name", "what it does", "options", "source", box=None, pad_edge=False, header_style="dim")
    for spec in PIPELINES.values():
        table.add_row(f"{spec.name}@{spec.n}", escape(spec.summary), _options(spec), escape(spec.source))
    table.add_section()
    for routed in GRAPHS.values():
        cells = escape(routed.summary), _options(routed), escape(routed.source)
        table.add_row(f"{routed.name}@{routed.n}/A+B", *cells)
    table.add_section()
    for ensemble in ENSEMBLES.values():
        cells = escape(ensemble.summary), _options(ensemble), escape(ensemble.source)
        table.add_row(f"{ensemble.name}/A+B", *cells)
    table.add_section()
    for rule in STOPPING_RULES.values():
        table.add_row(f"stop: {rule.name}", escape(rule.summary), _options(rule), escape(rule.source))
    table.add_section()
    for entry in replayed:
        needs = f"needs {', '.join(sorted(entry.needs))}" if entry.needs else ""
        table.add_row(f"replay: {entry.name}", escape(entry.summary), needs, escape(entry.source))
    console.print(table)


def _describe(spec: PipelineSpec | GraphSpec | EnsembleSpec | StoppingSpec) -> dict[str, Any]:
    options = spec.options.model_json_schema().get("properties", {})
    return {"name": spec.name, "summary": spec.summary, "source": spec.source, "options": options}


def _options(spec: PipelineSpec | GraphSpec | EnsembleSpec | StoppingSpec) -> str:
    fields = spec.options.model_fields.items()
    shown = (f"{name} (needed)" if field.is_required() else f"{name}={field.default!r}" for name, field in fields)
    return escape(", ".join(shown))


def graph(
    name: Annotated[str, typer.Argument(help="A model or pipeline, as in `quorate ask --pipeline`.")],
    upstream: Upstream = None,
    config: ConfigFile = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it into this file.")] = None,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it into this file.")] = None,
) -> None:
    """Draw a pipeline, every node and condition of it: a Mermaid diagram, or a picture."""
    asyncio.run(_draw(name, upstream, config, [(svg, ".svg"), (png, ".png")]))


async def _draw(
    name: str, upstream: str | None, config: Path | None, pictures: Sequence[tuple[Path | None, str]]
) -> None:
    from quorate.orchestrator.drawing import draw_mermaid, save_drawing

    catalog = await open_catalog(upstream, config)
    try:
        model = catalog.resolve(name)
    finally:
        await catalog.aclose()
    wanted = [(file, ending) for file, ending in pictures if file is not None]
    for file, ending in wanted:
        if file.suffix != ending:
            raise BadInput(f"--{ending[1:]} {file}: the file's name must end in {ending}")
        save_drawing(model, file)
    if not wanted:
        echo(draw_mermaid(model))
        echo(f"%% at most {model.calls} answers of models, {requests_of(model)} requests to their servers at worst")


def config_schema() -> None:
    """Print the JSON schema of quorate.yaml, for editors."""
    from quorate.config.file import schema

    print_json(schema())
