"""`quorate serve`: the OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import ConfigFile, Upstream, catalogue_of

__all__ = ["serve"]


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback unless told otherwise.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes a free one.")] = None,
    upstream: Upstream = None,
    config: ConfigFile = None,
    unguarded: Annotated[
        bool, typer.Option("--open", help="Let anyone who can reach the address ask without a key.")
    ] = False,
) -> None:
    """Serve models and pipelines under /v1, as OpenAI's API does."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve({"host": host, "port": port, "open": unguarded or None}, upstream, config))


async def _serve(given: dict[str, Any], upstream: str | None, config: Path | None) -> None:
    from quorate import server

    catalogue = await catalogue_of(upstream, config, tolerant=True)
    settings = server.ServerSettings()
    if config:
        from ..config import load_config

        settings = load_config(config).server
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})

    def ready(url: str) -> None:
        _spare_the_collector()
        names = catalogue.names()
        model = next((name for name in names if name.startswith("majority@")), "majority@16/MODEL")
        typer.echo(
            f"quorate serves {len(catalogue.models)} models at {url}/v1 (Ctrl-C stops it)\n"
            f"try: curl {url}/v1/chat/completions -H 'Content-Type: application/json' -d "
            f'\'{{"model": "{model}", "messages": [{{"role": "user", "content": "What is 17 * 24?"}}]}}\'',
            err=True,
        )

    try:
        await server.serve(catalogue, settings, on_ready=ready)
    finally:
        await catalogue.aclose()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed: it halves what the event loop costs a request."""
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return None
    return uvloop.new_event_loop


def _spare_the_collector() -> None:
    """Keeps what was loaded out of Python's search for unreachable cycles, which took a fifth of a vote's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
