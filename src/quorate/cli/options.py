"""What several commands share: where models come from, and how results are printed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from quorate.config.catalog import Catalog
from quorate.config.opening import open_models
from quorate.orchestrator.errors import BadInput, UpstreamError

from .console import echo

if TYPE_CHECKING:
    from quorate.config.file import Config


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


class EngineName(StrEnum):
    """Where pipelines are asked."""

    LOCAL = "local"
    RAY = "ray"


Engine = Annotated[EngineName, typer.Option(help="local, or ray for a cluster.")]
RayAddress = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="A running cluster, or auto; else one is started here.")
]
RayWorkers = Annotated[int | None, typer.Option(min=1, help="One a machine if not given.")]
RayGpus = Annotated[float, typer.Option(min=0, help="Of each worker, for models in its process.")]


def refuse_ray_options(address: str | None, workers: int | None, gpus: float) -> None:
    """They mean nothing in this process.

    Raises:
        BadInput: one of them was given.
    """
    if address or workers or gpus:
        raise BadInput("--ray-address, --ray-workers and --ray-gpus go with --engine ray")


def read_config(upstream: str | None, config: Path | None) -> Config | None:
    """The configuration, read here so that it travels to other machines."""
    if upstream is not None and config is not None:
        raise BadInput("give --upstream or --config, not both (a config file can name several upstreams)")
    if config is None:
        return None
    from quorate.config.file import load_config

    return load_config(config)


async def open_catalog(
    upstream: str | None, config: Path | None, *, tolerant: bool = False, **settings: Any
) -> Catalog:
    """See `config.opening.open_models`.

    Args:
        tolerant: go on with no models while the upstream cannot be reached, and say so; `refresh` finds them later.
    """
    return await open_models(upstream, config, on_failure=_warn if tolerant else None, **settings)


def _warn(error: UpstreamError) -> None:
    echo(f"warning: {error}; looking again when asked", err=True)
