"""`GET /v1/traces`: what was asked lately, and each of it whole, as `quorate trace` shows it.

A key sees what it asked itself. Runs that were watched (`/v1/events`) are there from memory, with their texts; all
others where the server has a trace store, which holds texts where `log_prompts` says so.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from quorate.orchestrator.errors import BadInput
from quorate.storage.traces import Trace, TraceLine, TraceStore

from .context import ServerContext
from .http.errors import BadField, send_json, send_reply
from .http.routing import Route

__all__ = ["UnknownTrace", "make_traces_routes"]

EVENTS = b"text/event-stream; charset=utf-8"
MOST = 500
"""Traces in one list."""


class UnknownTrace(BadInput):
    """There is no such trace, or it is another key's."""

    status = 404
    code = "unknown_trace"


def make_traces_routes(context: ServerContext) -> list[Route]:
    """The list, and one of it."""
    settings, recent = context.settings, context.telemetry.recent

    async def list_traces(scope: Scope, _: Receive, send: Send) -> None:
        key = context.identify(scope).key.name
        limit = _read_limit(scope)
        lines = {line.id: line for line in await recent.latest(limit, key)} if recent is not None else {}
        if settings.traces is not None:
            stored = await asyncio.to_thread(_read_latest, settings.traces, limit, key)
            lines = {line.id: line for line in stored} | lines
        shown = sorted(lines.values(), key=lambda line: line.began, reverse=True)[:limit]
        data = [line.model_dump(mode="json") for line in shown]
        await send_json(send, {"object": "list", "data": data, "stored": settings.traces is not None})

    async def retrieve_trace(scope: Scope, _: Receive, send: Send) -> None:
        key, identity = context.identify(scope).key.name, scope["name"]
        run = await recent.find(identity, key) if recent is not None else None
        trace = None if run is None else run.trace
        if trace is None and settings.traces is not None:
            trace = await asyncio.to_thread(_find, settings.traces, identity, key)
        if trace is None:
            raise UnknownTrace(_explain(identity, context))
        await send_json(send, {**_describe(trace), "watched": run is not None})

    async def retrieve_events(scope: Scope, _: Receive, send: Send) -> None:
        key, identity = context.identify(scope).key.name, scope["name"]
        run = await recent.find(identity, key) if recent is not None else None
        if run is None:
            raise UnknownTrace(_explain(identity, context))
        await send_reply(send, run.events, EVENTS)

    return [
        Route("/v1/traces", list_traces, "list_traces", "What the key asked lately, the latest first."),
        Route("/v1/traces/{name:path}", retrieve_trace, "retrieve_trace", "One of it, with all candidates and times."),
        Route("/v1/events/{name:path}", retrieve_events, "retrieve_events", "The events of a watched run once more."),
    ]


def _read_limit(scope: Scope) -> int:
    given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("limit", ["100"])[-1]
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= MOST):
        raise BadField(f"{given[:40]!r}, but give a number from 1 to {MOST}", "limit")
    return int(given)


def _read_latest(file: Path, limit: int, key: str) -> list[TraceLine]:
    with closing(TraceStore(file, create=False)) as store:
        return store.latest(limit, key=key)


def _find(file: Path, identity: str, key: str) -> Trace | None:
    with closing(TraceStore(file, create=False)) as store:
        return next((trace for trace in store.find(identity) if trace.key == key), None)


def _explain(identity: str, context: ServerContext) -> str:
    """Why there is none, and what keeps them."""
    settings = context.settings
    kept = f"the last {settings.watched_runs} watched runs are kept in memory until the server ends"
    if settings.traces is None:
        kept += "; start it with --traces FILE --log-prompts to keep all"
    else:
        kept += f", all others for {settings.trace_days:g} days in the trace store"
    return f"no trace {identity[:80]!r} of this key: {kept}"


def _describe(trace: Trace) -> dict[str, Any]:
    """Each candidate once, without log-probabilities, which are many times its text."""
    inner: Any = {"answer": {"candidates"}, "candidates": {"__all__": {"logprobs", "prompt_counted"}}}
    return trace.model_dump(mode="json", exclude={"choices": {"__all__": inner}})
