"""`quorate batch`: a file of requests, answered through a sample bank."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from quorate.orchestrator.context import Ledger

from .console import SafeConsole, echo, print_json
from .options import ConfigFile, Json, Pipeline, Upstream, open_catalog

if TYPE_CHECKING:
    from quorate.server import ServerSettings
    from quorate.server.batch import BatchProgress, BatchReply

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
    as_json: Json = False,
) -> None:
    """Answer a file of requests: to /v1/chat/completions, /completions, /responses, /messages or /embeddings.

    A run that was killed goes on where it was when it is started again, and what was drawn is not paid for twice.
    """
    kept = bank or out.with_name(f"{out.name}.bank.sqlite")
    asyncio.run(_run(source, out, kept, pipeline, upstream, config, concurrency, seed, as_json=as_json))


async def _run(
    source: Path,
    out: Path,
    kept: Path,
    pipeline: str | None,
    upstream: str | None,
    config: Path | None,
    concurrency: int,
    seed: int,
    *,
    as_json: bool,
) -> None:
    from quorate.evals.bank import Bank
    from quorate.evals.banked_sampler import bank_model
    from quorate.server.app import create_app
    from quorate.server.batch import Batch

    catalog = await open_catalog(upstream, config)
    try:
        if pipeline is not None:
            catalog.resolve(pipeline)  # which says now, and not on every line, that there is none
        with Batch(source, out, model=pipeline, seed=seed) as work, Bank(kept) as bank:
            app = create_app(catalog.wrap_models(lambda model: bank_model(model, bank)), _settings(config, concurrency))
            with _Watcher(work.progress, bank.spent, quiet=as_json) as watcher:
                await work.run(app, concurrency=concurrency, note=watcher.note)
            _tell(work.progress, bank.spent, watcher, out, kept, as_json=as_json)
    finally:
        await catalog.aclose()


def _settings(config: Path | None, concurrency: int) -> ServerSettings:
    """The limits of one request that a server of this configuration has, for this process alone."""
    from quorate.server import ServerSettings

    settings = ServerSettings()
    if config is not None:
        from quorate.config.file import load_config

        settings = load_config(config).server
    alone = {
        "keys": (),
        "metrics": False,
        "traces": None,
        "accounts": None,
        "state": None,
        "files": None,
        "otel": False,
    }
    return settings.model_copy(update={**alone, "max_concurrent": concurrency, "queue_seconds": 1e9})


class _Watcher:
    """Shows on standard error how a batch is going, and adds up what the replies have cost."""

    def __init__(self, progress: BatchProgress, spent: Ledger, *, quiet: bool) -> None:
        self.cost: float | None = None
        """Of the answers, drawn now or before."""
        self._progress, self._spent = progress, spent
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
        spent = self._spent.usage
        failed = f"{self._progress.failed:,} failed, " if self._progress.failed else ""
        cost = "" if spent.cost is None else f", cost {spent.cost:.4g}"
        return f"{failed}{spent.total_tokens:,} tokens{cost}"


def _tell(progress: BatchProgress, spent: Ledger, watcher: _Watcher, out: Path, bank: Path, *, as_json: bool) -> None:
    usage = spent.usage
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
