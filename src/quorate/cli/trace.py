"""`quorate trace`: what a server did for a request, from its file of traces."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.storage.traces import Trace, TraceLine, TraceStore

from .console import print_json, wide_console
from .options import ConfigFile, Json

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def trace(
    request: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A request's id, as its reply's x-request-id says.")
    ] = None,
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="As given to `quorate serve --traces`.")] = None,
    config: ConfigFile = None,
    limit: Annotated[int, typer.Option(min=1, help="How many requests to list.")] = 20,
    model: Annotated[str | None, typer.Option(help="Only requests in whose model this text stands.")] = None,
    status: Annotated[int | None, typer.Option(help="Only this status; 400 and 500 stand for 4xx and 5xx.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only requests from this on: 90s, 15m, 2h, 7d ago, or an ISO 8601 time.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show one request as a timeline, or list the latest."""
    store = TraceStore(_file(file, config), create=False)
    try:
        if request is not None:
            _show(store, request, as_json)
        else:
            begin = None if since is None else _moment(since)
            _list(store.latest(limit, model=model, status=status, since=begin), as_json)
    finally:
        store.close()


def _file(file: Path | None, config: Path | None) -> Path:
    if file is not None:
        return file
    if config is not None:
        from quorate.config.file import load_config

        configured = load_config(config).server.traces
        if configured is None:
            raise BadInput(f"{config}: server.traces names no file, so nothing is kept")
        return configured
    raise BadInput("say which file: --file FILE, or --config quorate.yaml where server.traces names it")


def _moment(text: str) -> float:
    """Seconds since 1970.

    Raises:
        BadInput: neither a span nor a time.
    """
    if span := re.fullmatch(r"(\d+)([smhd])", text):
        return time.time() - int(span[1]) * UNITS[span[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise BadInput(f"--since {text!r}: give a span such as 90s, 15m, 2h or 7d, or an ISO 8601 time") from None


def _show(store: TraceStore, request: str, as_json: bool) -> None:
    found = store.find(request)
    if not found:
        raise UnknownName("trace", request, [line.id for line in store.latest(5)])
    if as_json:
        print_json({"traces": [_document(each) for each in found]})
        return
    from .timeline import print_trace

    for each in found:
        print_trace(wide_console(), each)


def _document(trace: Trace) -> dict[str, Any]:
    """The trace in JSON, each candidate once."""
    shown = trace.model_dump(mode="json", exclude={"choices": {"__all__": {"answer": {"candidates"}}}})
    return {**shown, "began": _time(trace.began).isoformat()}


def _list(lines: list[TraceLine], as_json: bool) -> None:
    if as_json:
        print_json({"traces": [{**each.model_dump(), "began": _time(each.began).isoformat()} for each in lines]})
        return
    table = Table("time (UTC)", "request", "model", "key", box=None, pad_edge=False, header_style="dim")
    for name in ("status", "seconds", "prompt", "completion", "cost"):
        table.add_column(name, justify="right")
    for line in lines:
        table.add_row(
            f"{_time(line.began):%Y-%m-%d %H:%M:%S}",
            escape(line.id),
            escape(line.model),
            escape(line.key),
            f"[{'red' if line.status >= 400 else 'green'}]{line.status}[/]",
            f"{line.seconds:.3f}",
            f"{line.prompt_tokens:,}",
            f"{line.completion_tokens:,}",
            "" if line.cost is None else f"{line.cost:.6g}",
        )
    wide_console().print(table)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
