"""`GET /metrics`, where metrics are on and have no port of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

if TYPE_CHECKING:
    from ..house import House

__all__ = ["metrics_routes"]


def metrics_routes(house: House) -> APIRouter:
    router = APIRouter()
    metrics = house.observer.served_metrics
    if metrics is not None:

        @router.get("/metrics")
        async def scrape(http: Request) -> Response:
            """Prometheus metrics."""
            if house.settings.metrics_key:
                house.visitor(http)
            body, content_type = metrics.exposition(http.headers.get("accept", ""))
            return Response(body, headers={"content-type": content_type})

    return router
