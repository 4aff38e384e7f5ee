"""`GET /health`: this process is up. `GET /ready`: it is worth sending requests to.

Readiness costs nothing: a model counts as ready until its upstreams are known not to answer, which the
requests themselves find out. So no probe of a load balancer becomes a request to a model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from fastapi import APIRouter, Response

from quorate.orchestrator.errors import UpstreamError

from .asking import single_models
from .errors import json_response
from .house import House

__all__ = ["probes"]

PATIENCE = 1.0
"""Seconds that an upstream has to list its models, where none is known yet."""


def probes(house: House) -> APIRouter:
    """The routes, which need no key and tell no address."""
    router = APIRouter()

    @router.get("/health")
    async def health() -> Response:
        """This process is up; says nothing about the upstreams."""
        return json_response({"status": "ok"})

    @router.get("/ready")
    async def ready() -> Response:
        """Requests are welcome: models are known, each with an upstream that may answer, and the server goes on."""
        if house.door.draining:
            reasons = ["the server is about to end"]
        elif not await _known(house):
            reasons = ["no model is known: its upstream does not tell"]
        else:
            reasons = [f"no upstream of {name!r} answers" for name in _unavailable(house)]
        status = {"status": "not ready", "reasons": reasons} if reasons else {"status": "ready"}
        return json_response(status, 503 if reasons else 200, {"cache-control": "no-store"})

    return router


async def _known(house: House) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            return bool(await house.names.all())
    except (UpstreamError, TimeoutError):
        return False


def _unavailable(house: House) -> Iterator[str]:
    """Single models, those of configured pipelines too, whose upstreams are all known to be down."""
    catalog = house.names.catalog
    models = {
        m.name: m for each in (*catalog.models.values(), *catalog.pipelines.values()) for m in single_models(each)
    }
    return (name for name, model in models.items() if not getattr(model, "available", True))
