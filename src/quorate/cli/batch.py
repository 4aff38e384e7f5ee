"""`quorate batch`: a file of requests, answered through a sample bank."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from quorate.orchestrator.usage import Usage

from .console import SafeConsole, echo, print_json
from .options import (
    ConfigFile,
    Engine,
    EngineName,
    Json,
    Pipeline,
    RayAddress,
    RayGpus,
    RayWorkers,
    Upstream,
    open_catalog,
    read_config,
    refuse_ray_options,
)

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from quorate.config.catalog import Catalog
    from quorate.config.file import Config
    from quorate.evals.ray_engine import OpenCatalog
    from quorate.server import ServerSettings
    from quorate.server.batch import BatchProgress, BatchReply

Opened = tuple["ASGIApp", Callable[[], Usage]]
"""An application, and what it has drawn so far."""
SILENCE = 30.0
"""Seconds between two lines about the progress, where there is no terminal."""


def batch(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Requests in OpenAI's batch form, one a line.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The replies; what stands there is gone on with.")],
    pipeline: Pipeline = None,
    upstream: Upstream = None,
    config: ConfigFile = None,
    bank: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where samples are kept; OUT.bank.sqlite if not given.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests under way.")] = 64,
    seed: Annotated[int, typer.Option(help="Makes the run reproducible.")] = 0,
    engine: Engine = EngineName.LOCAL,
    ray_address: RayAddress = None,
    ray_workers: RayWorkers = None,
    ray_gpus: RayGpus = 0.0,
    as_json: Json = False,
) -> None:
    """Answer a file of requests: to /v1/chat/completions, /completions, /responses, /messages or /embeddings.

    A run that was killed goes on where it was when it is started again, and what was drawn is not paid for twice.
    """
    kept = bank or out.with_name(f"{out.name}.bank.sqlite")
    read = read_config(upstream, config)
    settings, opens = _settings(read, concurrency), partial(_open_models, upstream, read)
    if engine is EngineName.LOCAL:
        refuse_ray_options(ray_address, ray_workers, ray_gpus)
        opening = _open_here(opens, settings, kept)
    else:
        opening = _open_on_ray(opens, settings, kept.resolve(), (ray_address, ray_workers, ray_gpus), concurrency)
    with redirect_stdout(sys.stderr):  # where Ray tells of workers that died
        work, watcher = asyncio.run(_run(source, out, opens, pipeline, opening, concurrency, seed, quiet=as_json))
    _tell(work, watcher, out, kept, as_json=as_json)


async def _run(
    source: Path,
    out: Path,
    opens: OpenCatalog,
    pipeline: str | None,
    opening: AbstractAsyncContextManager[Opened],
    concurrency: int,
    seed: int,
    *,
    quiet: bool,
) -> tuple[BatchProgress, _Watcher]:
    from quorate.server.batch import Batch

    if pipeline is not None:
        catalog = await opens()
        try:
            catalog.resolve(pipeline)  # which says now, and not on every line, that there is none
        finally:
            await catalog.aclose()
    with Batch(source, out, model=pipeline, seed=seed) as work:
        async with opening as (app, spent):
            with _Watcher(work.progress, spent, quiet=quiet) as watcher:
                await work.run(app, concurrency=concurrency, note=watcher.note)
            return work.progress, watcher


@asynccontextmanager
async def _open_here(opens: OpenCatalog, settings: ServerSettings, bank: Path) -> AsyncGenerator[Opened, None]:
    """The application in this process, over the bank, and what it has drawn so far."""
    from quorate.evals.bank import Bank
    from quorate.evals.banked_sampler import bank_model
    from quorate.server.app import create_app

    catalog = await opens()
    try:
        with Bank(bank) as kept:
            app = create_app(catalog.wrap_models(lambda model: bank_model(model, kept)), settings)
            yield app, lambda: kept.spent.usage
    finally:
        await catalog.aclose()


@asynccontextmanager
async def _open_on_ray(
    opens: OpenCatalog,
    settings: ServerSettings,
    bank: Path,
    cluster: tuple[str | None, int | None, float],
    concurrency: int,
) -> AsyncGenerator[Opened, None]:
    """The same on a Ray cluster."""
    from quorate.evals.ray_engine import RayCluster

    from .batch_ray import RayApplication

    async with RayApplication.open(RayCluster(*cluster), opens, settings, bank, concurrency) as app:
        yield app, lambda: app.spent


async def _open_models(upstream: str | None, config: Config | None) -> Catalog:
    return await open_catalog(upstream, None) if config is None else config.catalog()


def _settings(config: Config | None, concurrency: int) -> ServerSettings:
    """The limits of one request that a server of this configuration has, for this process alone."""
    from quorate.server import ServerSettings

    settings = ServerSettings() if config is None else config.server
    nowhere = dict.fromkeys(("traces", "accounts", "state", "files"))
    alone = {**nowhere, "keys": (), "metrics": False, "otel": False}
    return settings.model_copy(update={**alone, "max_concurrent": concurrency, "queue_seconds": 1e9})


class _Watcher:
    """Shows on standard error how a batch is going, and adds up what the replies have cost."""

    def __init__(self, progress: BatchProgress, spent: Callable[[], Usage], *, quiet: bool) -> None:
        self.cost: float | None = None
        """Of the answers, drawn now or before."""
        self._progress, self._spend = progress, spent
        self.spent = Usage()
        """What was drawn now."""
        self._console = SafeConsole(stderr=True, quiet=quiet)
        columns = (TextColumn("lines"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, TextColumn("{task.fields[more]}"), console=self._console, transient=True)
        self._row = self._bar.add_task("", total=progress.total, completed=progress.before, more="")
        self._last = time.monotonic()

    def __enter__(self) -> _Watcher:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.spent = self._spend()
        if self._console.is_terminal:
            self._bar.stop()

    def note(self, reply: BatchReply) -> None:
        """Takes in one reply."""
        cost = reply.body.get("quorate", {}).get("usage", {}).get("cost") if reply.ok else None
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost
        self._bar.update(self._row, completed=self._progress.done, more=self._describe())
        if not self._console.is_terminal and time.monotonic() - self._last >= SILENCE:
            self._last = time.monotonic()
            self._console.print(f"{self._progress.done:,} of {self._progress.total:,} lines; {self._describe()}")

    def _describe(self) -> str:
        spent = self._spend()
        failed = f"{self._progress.failed:,} failed, " if self._progress.failed else ""
        cost = "" if spent.cost is None else f", cost {spent.cost:.4g}"
        return f"{failed}{spent.total_tokens:,} tokens{cost}"


def _tell(progress: BatchProgress, watcher: _Watcher, out: Path, bank: Path, *, as_json: bool) -> None:
    usage = watcher.spent
    told: dict[str, Any] = {
        "lines": progress.total,
        "before": progress.before,
        "answered": progress.answered,
        "failed": progress.failed,
        "cost": watcher.cost,
        "spent": usage.model_dump(),
        "out": str(out),
        "bank": str(bank),
    }
    if as_json:
        print_json(told)
        return
    before = f"{progress.before:,} were there, " if progress.before else ""
    cost = "" if watcher.cost is None else f"; their answers cost {watcher.cost:.4g}, {usage.cost or 0.0:.4g} of it now"
    echo(
        f"{progress.total:,} lines: {before}{progress.answered:,} answered, {progress.failed:,} failed{cost}\n"
        f"{out}; the samples are in {bank}",
        err=True,
    )
