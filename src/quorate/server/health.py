"""`GET /health`: this process is up. `GET /ready`: it is worth sending requests to.

Readiness costs nothing: a model counts as ready until its upstreams are known not to answer, which the
requests themselves find out. So no probe of a load balancer becomes a request to a model. The routes need no
key and tell no address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from starlette.types import Receive, Scope, Send

from quorate.orchestrator.errors import UpstreamError
from quorate.orchestrator.graph import Graph
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
        if context.access.draining:
            reasons = ["the server is about to end"]
        elif not await _knows_models(context):
            reasons = ["no model is known: its upstream does not tell"]
        else:
            reasons = [f"no upstream of {name!r} answers" for name in _find_unavailable(context)]
        status = {"status": "not ready", "reasons": reasons} if reasons else {"status": "ready"}
        await send_json(send, status, 503 if reasons else 200, [(b"cache-control", b"no-store")])

    return [
        Route("/health", health, "health", "This process is up; says nothing about the upstreams."),
        Route(
            "/ready",
            ready,
            "ready",
            "Requests are welcome: models are known, each with an upstream that may answer, and the server goes on.",
        ),
    ]


async def _knows_models(context: ServerContext) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            return bool(await context.names.list_names())
    except (UpstreamError, TimeoutError):
        return False


def _find_unavailable(context: ServerContext) -> list[str]:
    """Single models, those of configured pipelines too, whose upstreams are all known to be down."""
    catalog = context.names.catalog
    models = _single_models((*catalog.models.values(), *catalog.pipelines.values()))
    return list({model.name: None for model in models if not model.available})


def _single_models(models: Iterable[Model]) -> Iterator[Model]:
    """The models that are no graphs, of these and inside them."""
    for model in models:
        if isinstance(model, Graph):
            yield from _single_models(model.parts)
        else:
            yield model
