"""What several commands share: where models come from, and how results are printed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from quorate.config.catalog import Catalog
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Model

from .console import echo


class Commands(TyperGroup):
    """A group of commands whose listing has the first sentence of each whole, not cut to one line."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """See `TyperGroup`."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and command.help and not command.short_help:
            command.short_help = " ".join(command.help.split("\n\n")[0].split())
        return command


Upstream = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="An OpenAI-compatible server (with or without /v1) whose models are used; its key is read from "
        "QUORATE_UPSTREAM_KEY or OPENAI_API_KEY.",
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A quorate.yaml with models and pipelines.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Seed = Annotated[int | None, typer.Option(help="Makes the run reproducible.")]
Pipeline = Annotated[
    str | None,
    typer.Option(
        "--pipeline",
        "-p",
        "--model",
        "-m",
        metavar="NAME",
        help="A model, PIPELINE[@N]/MODEL or PIPELINE[@N]/MODEL+MODEL; see `quorate models`.",
    ),
]


async def open_catalog(
    upstream: str | None, config: Path | None, *, tolerant: bool = False, **settings: Any
) -> Catalog:
    """The models to work with: an upstream's, a file's, or the embedded ones.

    Args:
        tolerant: go on with no models while the upstream cannot be reached; `refresh` finds them later.
        settings: of the upstream's endpoints (`agents.Endpoint`).

    Raises:
        BadInput: both an upstream and a file were given.
        UpstreamError: the upstream does not tell its models.
    """
    if upstream is not None and config:
        raise BadInput("give --upstream or --config, not both (a config file can name several upstreams)")
    if config:
        from quorate.config.file import load_config

        return load_config(config).catalog()
    return _open_embedded() if upstream is None else await _open_upstream(upstream, tolerant, settings)


async def _open_upstream(upstream: str, tolerant: bool, settings: dict[str, Any]) -> Catalog:
    from quorate.agents.endpoint import Endpoint, discover
    from quorate.orchestrator.errors import UpstreamError

    key = os.environ.get("QUORATE_UPSTREAM_KEY") or os.environ.get("OPENAI_API_KEY")

    async def find_models() -> list[Model]:
        # The list is asked for with its own short patience, whatever the settings of samples.
        listed = await discover(upstream, api_key=key)
        return [Endpoint(one.name, base_url=upstream, api_key=key, **settings) for one in listed]

    catalog = Catalog(discover=find_models)
    try:
        await catalog.refresh()
    except UpstreamError as error:
        if not tolerant:
            raise
        echo(f"warning: {error}; looking again when asked", err=True)
    return catalog


def _open_embedded() -> Catalog:
    from quorate.agents.embedded import Embedded, list_embedded_models

    return Catalog({name: Embedded(name) for name in list_embedded_models()})
