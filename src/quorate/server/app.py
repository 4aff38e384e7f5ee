"""The routes, and what every request passes on its way to them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from quorate.config.catalog import Catalog
from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.turns import Turns

from .api.chat import Chat
from .api.completions import Completions
from .api.events import RunEvents
from .api.forwarded import Embeddings, Rerank
from .api.messages import make_messages_routes
from .api.responses import Responses
from .api.routes import make_route
from .context import ServerContext
from .files.batches_api import make_batches_routes
from .files.files_api import make_files_routes, make_refusing_routes
from .files.runner import BatchRunner, OpenBank, forget
from .files.store import FileStore
from .health import make_health_routes
from .http.errors import ErrorMiddleware, send_reply
from .http.routing import (
    SECURITY_HEADERS,
    HostMiddleware,
    OriginMiddleware,
    Route,
    RouteTable,
    cors_options,
    read_authorization,
    read_header,
)
from .models_api import make_models_routes
from .openapi import make_openapi_route
from .page import make_page_routes
from .telemetry.middleware import TelemetryMiddleware
from .traces_api import make_traces_routes
from .workbench import Workbench, make_workbench_routes

__all__ = ["create_app", "make_app"]

APIS = (Chat(), Completions(), Responses(), Embeddings(), Rerank(), RunEvents())
"""OpenAI's ways to ask, and one to watch."""


def create_app(
    catalog: Catalog,
    settings: ServerSettings | None = None,
    workbench: Workbench | None = None,
    banks: OpenBank = forget,
) -> ASGIApp:
    """The server as an ASGI application; it closes the catalog's models when it shuts down.

    Args:
        catalog: models and pipelines.
        settings: where it listens, whom it lets in, what it allows.
        workbench: the sample bank whose evaluations it shows and where preferences go.
        banks: opens those through which batches draw, so that a kill costs no sample twice.

    Raises:
        BadInput: settings that cannot be used.
    """
    return make_app(ServerContext(catalog, settings or ServerSettings()), workbench=workbench, banks=banks)


def make_app(
    context: ServerContext, *, local: bool = False, workbench: Workbench | None = None, banks: OpenBank = forget
) -> ASGIApp:
    """The application of this context.

    Args:
        context: what is served, to whom, and how.
        local: only programs of this machine are let in, and not web pages that found a name for it.
        workbench: see `create_app`.
        banks: see `create_app`.
    """
    settings, runner = context.settings, None

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None, None]:
        try:
            async with context.access.state.open(), context.telemetry.open(), AsyncExitStack() as batches:
                if runner is not None:
                    await batches.enter_async_context(runner.open())
                yield
        finally:
            await context.names.catalog.aclose()

    turns = Turns()
    routes = [
        *(_pace(make_route(api, context), turns) for api in APIS),
        *(_pace(route, turns) for route in make_messages_routes(context)),
        *(_pace(route, turns) for route in (*make_models_routes(context), *make_traces_routes(context))),
        *make_health_routes(context),
        *_make_metrics_routes(context),
    ]
    if workbench is not None:
        routes += (_pace(route, turns) for route in make_workbench_routes(context, workbench))
    if settings.page:
        routes += make_page_routes()
    if settings.files is not None:
        store = FileStore(settings.files)
        runner = BatchRunner(context, store, make_app, banks)
        kept = (*make_files_routes(context, store), *make_batches_routes(context, store, runner.wake))
        routes += (_pace(route, turns) for route in kept)
    routes.append(make_openapi_route(routes, settings))
    if settings.files is None:
        routes = [*routes, *make_refusing_routes()]
    app: ASGIApp = ErrorMiddleware(RouteTable(routes, lifespan))
    if origins := settings.origins:
        app = CORSMiddleware(app, **cors_options(origins))
    app = OriginMiddleware(app, origins, own=settings.page, named=bool(settings.keys))
    if local:
        app = HostMiddleware(app, settings.host)
    return TelemetryMiddleware(app, context.telemetry, SECURITY_HEADERS)


def _pace(route: Route, turns: Turns) -> Route:
    """The route, a few of whose requests begin in one turn, so that a crowd of them does not hold up the others."""

    async def begin(scope: Scope, receive: Receive, send: Send) -> None:
        # By the key that is claimed: who claims many gets no more than a crowd without keys would.
        await turns.take(read_authorization(scope))
        await route.handler(scope, receive, send)

    return replace(route, handler=begin)


def _make_metrics_routes(context: ServerContext) -> list[Route]:
    """`GET /metrics`, where metrics are on and have no port of their own."""
    if context.telemetry.served_metrics is None:
        return []

    async def scrape(scope: Scope, _: Receive, send: Send) -> None:
        if context.settings.metrics_key:
            context.identify(scope)
        body, content_type = await context.fleet.write_exposition(read_header(scope, b"accept"))
        await send_reply(send, body, content_type.encode())

    return [Route("/metrics", scrape, "metrics", "Prometheus metrics.")]
