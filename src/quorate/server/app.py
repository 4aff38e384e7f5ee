"""The routes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from quorate import __version__
from quorate.config.catalog import Catalog

from . import errors
from .access.browsers import Browsers, cross_origin
from .api import Api, routes
from .chat import Chat
from .completions import Completions
from .documented import document
from .house import House
from .listing import models
from .observe.middleware import Observed
from .observe.routes import metrics_routes
from .ready import probes
from .responses import Responses
from .settings import ServerSettings

__all__ = ["create_app"]

APIS: tuple[Api[Any], ...] = (Chat(), Completions(), Responses())
"""The ways to ask; each is a package of its own."""


def create_app(catalog: Catalog, settings: ServerSettings | None = None) -> FastAPI:
    """The server as an ASGI application; it closes the catalog's models when it shuts down."""
    house = House(catalog, settings or ServerSettings())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        try:
            async with house.door.opened(), house.observer.open():
                yield
        finally:
            await catalog.aclose()

    app = FastAPI(title="quorate", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.door = house.door
    app.state.observer = house.observer
    errors.install(app)
    app.include_router(probes(house))
    app.include_router(metrics_routes(house))
    app.include_router(models(house), prefix="/v1")
    for api in APIS:
        app.include_router(routes(api, house), prefix="/v1")
    document(app, APIS, house.settings)
    origins = house.settings.origins
    if origins:
        app.add_middleware(CORSMiddleware, **cross_origin(origins))
    app.add_middleware(Browsers, origins=origins)
    app.add_middleware(Observed, observer=house.observer)
    return app
