"""`quorate serve`: the OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import SecretStr

from .console import echo
from .options import ConfigFile, Upstream, open_catalog

if TYPE_CHECKING:
    from quorate.config.catalog import Catalog
    from quorate.config.file import Config
    from quorate.config.server_settings import ServerSettings
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
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Processes that serve the address together; auto is one for each core. Keys' rates, budgets and the "
            "queue hold for all of them.",
        ),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Redis where several servers count together what keys do, as in redis://host:6379/0; one with a "
            "password belongs into the environment variable QUORATE_STATE.",
        ),
    ] = None,
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
    given["state"] = None if state is None else SecretStr(state)
    given["workers"] = None if workers is None else _read_workers(workers)
    if files is not None:
        from quorate.config.server_settings import FileSettings

        given["files"] = FileSettings(folder=files)
    from quorate.server.run import loop_factory

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve({name: value for name, value in given.items() if value is not None}, upstream, config))


def _read_workers(given: str) -> int | str:
    from quorate.config.server_settings import MOST_WORKERS

    if given == "auto":
        return given
    if given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= MOST_WORKERS:
        return int(given)
    raise typer.BadParameter(f"{given!r} is neither a number from 1 to {MOST_WORKERS} nor auto", param_hint="--workers")


async def _serve(given: dict[str, Any], upstream: str | None, config: Path | None) -> None:
    from quorate.config.server_settings import ServerSettings
    from quorate.server.telemetry.logs import configure

    settings, open_models = ServerSettings(), partial(open_catalog, upstream, config, tolerant=True)
    if config is not None and upstream is None:
        from quorate.config.file import load_config

        read = load_config(config)
        settings, open_models = read.server, partial(_build_catalog, read)
    settings = settings.model_copy(update=given)
    configure(settings, secrets=settings.secrets)
    await (_serve_alone if settings.workers == 1 else _serve_workers)(open_models, settings)


async def _build_catalog(read: Config) -> Catalog:
    """So that every worker has the same, whatever becomes of the file."""
    return read.catalog()


async def _serve_alone(open_models: Callable[[], Awaitable[Catalog]], settings: ServerSettings) -> None:
    from quorate.server.run import serve, spare_the_collector

    catalog = await open_models()

    def ready(url: str) -> None:
        spare_the_collector()
        _greet(url, settings, list(catalog.models))

    try:
        workbench = _open_workbench(settings.bank)
        await serve(catalog, settings, workbench=workbench, banks=_open_batch_bank, on_ready=ready)
    finally:
        await catalog.aclose()


async def _serve_workers(open_models: Callable[[], Awaitable[Catalog]], settings: ServerSettings) -> None:
    from quorate.server.workers.supervisor import WorkerPlan, count_workers, serve_workers

    plan = WorkerPlan(open_models, settings, partial(_open_workbench, settings.bank), _open_batch_bank)

    def ready(url: str, models: Sequence[str]) -> None:
        _greet(url, settings, models, f" with {count_workers(settings)} workers")

    await serve_workers(plan, on_ready=ready)


def _greet(url: str, settings: ServerSettings, models: Sequence[str], how: str = "") -> None:
    """Says that the server is there, and to people how to ask it."""
    from quorate.server.telemetry.logs import is_for_humans

    told = f"quorate serves {len(models)} model{'s' * (len(models) != 1)}{how} at {url}/v1"
    if not is_for_humans(settings, sys.stderr):
        log.info(told, extra={"url": url})
        return
    example = "/".join(("majority@16", *models[:1]))
    look = f"look: {url}/\n" if settings.page else ""
    echo(
        f"{told} (Ctrl-C stops it)\n{look}"
        f"try: curl {url}/v1/chat/completions -H 'Content-Type: application/json' -d "
        f'\'{{"model": "{example}", "messages": [{{"role": "user", "content": "What is 17 * 24?"}}]}}\'',
        err=True,
    )


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
