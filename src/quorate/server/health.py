"""`GET /health`: this process is up. `GET /ready`: it is worth sending requests to.

Readiness costs nothing: a model counts as ready until its upstreams are known not to answer, which the
requests themselves find out. So no probe of a load balancer becomes a request to a model. It is told for each
pipeline, and the server as a whole is ready as long as one of them is: taking it away would help nobody. The routes
need no key and tell no address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from starlette.types import Receive, Scope, Send

from quorate.orchestrator.errors import UpstreamError
from quorate.orchestrator.protocols import Model

from .context import ServerContext
from .http.errors import send_json
from .http.routing import Route

__all__ = ["make_health_routes"]

PATIENCE = 1.0
"""Seconds that an upstream has to list its models, where none is known yet."""


def make_health_routes(context: ServerContext) -> list[Route]:
    """Both routes."""

    async def health(_: Scope, __: Receive, send: Send) -> None:
        await send_json(send, {"status": "ok"})

    async def ready(_: Scope, __: Receive, send: Send) -> None:
        pipelines: dict[str, Any] = {}
        reasons: list[str] = []
        if context.access.draining:
            reasons = ["the server is about to end"]
        elif not await _knows_models(context):
            reasons = ["no model is known: its upstream does not tell"]
        else:
            catalog = context.names.catalog
            models = {**catalog.models, **catalog.pipelines}
            pipelines = {name: _describe(model) for name, model in models.items()}
            if pipelines and all(each["status"] == "unavailable" for each in pipelines.values()):
                missing = dict.fromkeys(name for each in pipelines.values() for name in each["missing"])
                reasons = [f"no upstream of {name!r} answers" for name in missing]
        status = {"status": "not ready", "reasons": reasons} if reasons else {"status": "ready"}
        headers = [(b"cache-control", b"no-store")]
        await send_json(send, {**status, "pipelines": pipelines}, 503 if reasons else 200, headers)

    return [
        Route("/health", health, "health", "This process is up; says nothing about the upstreams."),
        Route(
            "/ready",
            ready,
            "ready",
            "Requests are welcome: there are pipelines whose upstreams may answer, and the server goes on; says which.",
        ),
    ]


async def _knows_models(context: ServerContext) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            return bool(await context.names.list_names())
    except (UpstreamError, TimeoutError):
        return False


def _describe(model: Model) -> dict[str, Any]:
    """`ready`, `degraded` where it answers without a part of it, or `unavailable`; and the models that are missing."""
    missing = sorted({single.name for single in _single_models(model) if not single.available})
    if not missing:
        return {"status": "ready"}
    return {"status": "degraded" if model.available else "unavailable", "missing": missing}


def _single_models(model: Model) -> Iterator[Model]:
    """The model itself, or those that it is made of: proposers, and those that aggregators ask."""
    if not model.parts:
        yield model
    for part in model.parts:
        yield from _single_models(part)
