"""`quorate serve`: the OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import echo
from .options import ConfigFile, Upstream, open_catalog

if TYPE_CHECKING:
    from quorate.evals.bench import BankWorkbench
    from quorate.orchestrator.protocols import Model

__all__ = ["serve"]

log = logging.getLogger("quorate.server")


class LogFormat(StrEnum):
    """See `config.server_settings`."""

    auto = "auto"
    json = "json"
    human = "human"


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback unless told otherwise.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes a free one.")] = None,
    upstream: Upstream = None,
    config: ConfigFile = None,
    unguarded: Annotated[
        bool, typer.Option("--open", help="Let anyone who can reach the address ask without a key.")
    ] = False,
    traces: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep a trace of every request; `quorate trace` reads it.")
    ] = None,
    bank: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Show the evaluations of this sample bank, and keep preferences in it."),
    ] = None,
    files: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep files of /v1/files here, and answer the batches over them."),
    ] = None,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="Lines for humans, or JSON; auto decides by whether this is a terminal.")
    ] = None,
    log_prompts: Annotated[
        bool | None,
        typer.Option("--log-prompts", help="Let logs and traces hold the texts of questions and answers."),
    ] = None,
) -> None:
    """Serve models and pipelines under /v1, as OpenAI's API does; a page for people is at /, metrics at /metrics."""
    given: dict[str, Any] = {"host": host, "port": port, "open": unguarded or None}
    given |= {"bank": bank, "traces": traces, "log_prompts": log_prompts}
    given["log_format"] = log_format.value if log_format else None
    if files is not None:
        from quorate.config.server_settings import FileSettings

        given["files"] = FileSettings(folder=files)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(given, upstream, config))


async def _serve(given: dict[str, Any], upstream: str | None, config: Path | None) -> None:
    from quorate import server
    from quorate.server.telemetry.logs import configure, is_for_humans

    catalog = await open_catalog(upstream, config, tolerant=True)
    settings = server.ServerSettings()
    if config:
        from quorate.config.file import load_config

        settings = load_config(config).server
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    configure(settings)

    def ready(url: str) -> None:
        _spare_the_collector()
        told = f"quorate serves {len(catalog.models)} models at {url}/v1"
        if not is_for_humans(settings, sys.stderr):
            log.info(told, extra={"url": url})
            return
        model = f"majority@16/{next(iter(catalog.models), 'MODEL')}"
        look = f"look: {url}/\n" if settings.page else ""
        echo(
            f"{told} (Ctrl-C stops it)\n{look}"
            f"try: curl {url}/v1/chat/completions -H 'Content-Type: application/json' -d "
            f'\'{{"model": "{model}", "messages": [{{"role": "user", "content": "What is 17 * 24?"}}]}}\'',
            err=True,
        )

    try:
        await server.serve(
            catalog, settings, workbench=_open_workbench(settings.bank), banks=_open_batch_bank, on_ready=ready
        )
    finally:
        await catalog.aclose()


def _open_workbench(path: Path | None) -> BankWorkbench | None:
    if path is None:
        return None
    from quorate.evals.bank.store import bank_file
    from quorate.evals.bench import BankWorkbench

    return BankWorkbench(bank_file(path))


def _open_batch_bank(path: Path) -> AbstractContextManager[Callable[[Model], Model]]:
    """See `server.files.runner.OpenBank`; a server without batches starts without what banks need."""
    from quorate.evals.banked_sampler import keep_samples

    return keep_samples(path)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed: it halves what the event loop costs a request."""
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return None
    return uvloop.new_event_loop


def _spare_the_collector() -> None:
    """Keeps what was loaded out of Python's search for unreachable cycles, and has it search seldom.

    Requests that succeed leave no cycles behind (tests/server/test_memory.py); those that fail leave their errors'
    tracebacks, some hundred objects each. Searching every 20,000 objects, old ones too, took a fifth of a vote's CPU
    and held up all that streamed at the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 2, 1)
