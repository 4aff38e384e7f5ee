"""The routes."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.middleware.cors import CORSMiddleware

from quorate import __version__
from quorate.orchestrator.catalogue import Catalogue

from . import errors
from .access.browsers import Browsers, cross_origin
from .api import Api, routes
from .chat import Chat
from .completions import Completions
from .documented import document
from .errors import json_response
from .house import House
from .observe.middleware import Observed
from .observe.routes import metrics_routes
from .responses import Responses
from .settings import ServerSettings

__all__ = ["create_app"]

APIS: tuple[Api[Any], ...] = (Chat(), Completions(), Responses())
"""The ways to ask; each is a package of its own."""


def create_app(catalogue: Catalogue, settings: ServerSettings | None = None) -> FastAPI:
    """The server as an ASGI application; it closes the catalogue's models when it shuts down."""
    house = House(catalogue, settings or ServerSettings())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        try:
            async with house.door.opened(), house.observer.open():
                yield
        finally:
            await catalogue.aclose()

    app = FastAPI(title="quorate", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.door = house.door
    app.state.observer = house.observer
    errors.install(app)
    app.include_router(_health())
    app.include_router(metrics_routes(house))
    app.include_router(_models(house), prefix="/v1")
    for api in APIS:
        app.include_router(routes(api, house), prefix="/v1")
    document(app, {f"/v1{api.path}": api.form for api in APIS})
    origins = house.settings.origins
    if origins:
        app.add_middleware(CORSMiddleware, **cross_origin(origins))
    app.add_middleware(Browsers, origins=origins)
    app.add_middleware(Observed, observer=house.observer)
    return app


def _health() -> APIRouter:
    router = APIRouter()

    @router.get("/health")
    async def health() -> Response:
        """This process is up; says nothing about the upstreams."""
        return json_response({"status": "ok"})

    return router


def _models(house: House) -> APIRouter:
    router = APIRouter()
    started = int(time.time())

    def listed(name: str, known: dict[str, str]) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": started,
            "owned_by": "quorate",
            "kind": known.get(name, "pipeline"),
        }

    def kinds() -> dict[str, str]:
        return {info.id: info.kind for info in house.names.catalogue.listing()}

    @router.get("/models")
    async def list_models(http: Request) -> Response:
        """Every model and configured pipeline, and the built-in pipelines over each model."""
        visitor, known = house.visitor(http), kinds()
        return json_response({"object": "list", "data": [listed(name, known) for name in await visitor.all()]})

    @router.get("/models/{name:path}")
    async def retrieve_model(http: Request, name: str) -> Response:
        """One of them, or any other name that can be asked for."""
        await house.visitor(http).resolve(name)
        return json_response(listed(name, kinds()))

    return router
