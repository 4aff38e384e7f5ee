"""`GET /health`: this process is up. `GET /ready`: it is worth sending requests to (see `readiness`).

The routes need no key and tell no address.
"""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from .context import ServerContext
from .http.errors import send_json
from .http.routing import Route

__all__ = ["make_health_routes"]


def make_health_routes(context: ServerContext) -> list[Route]:
    """Both routes."""

    async def health(_: Scope, __: Receive, send: Send) -> None:
        await send_json(send, {"status": "ok"})

    async def ready(_: Scope, __: Receive, send: Send) -> None:
        found = await context.fleet.assess()
        status = {"status": "not ready", "reasons": found.reasons} if found.reasons else {"status": "ready"}
        headers = [(b"cache-control", b"no-store")]
        body = {**status, "pipelines": found.pipelines, **found.beside}
        await send_json(send, body, 503 if found.reasons else 200, headers)

    return [
        Route("/health", health, "health", "This process is up; says nothing about the upstreams."),
        Route(
            "/ready",
            ready,
            "ready",
            "Requests are welcome: there are pipelines whose upstreams may answer, and the server goes on; says which.",
        ),
    ]
