"""The routes."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Response

from quorate import __version__
from quorate.orchestrator.catalogue import Catalogue

from . import errors
from .access.keys import Keys
from .api import Api, routes
from .auth import guard
from .chat import Chat
from .completions import Completions
from .documented import document
from .errors import json_response
from .names import Names
from .settings import ServerSettings
from .wire import RequestIds

__all__ = ["create_app"]

APIS: tuple[Api[Any], ...] = (Chat(), Completions())
"""The ways to ask; each is a package of its own."""


def create_app(catalogue: Catalogue, settings: ServerSettings | None = None) -> FastAPI:
    """The server as an ASGI application; it closes the catalogue's models when it shuts down."""
    settings = settings or ServerSettings()
    names = Names(catalogue)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await catalogue.aclose()

    app = FastAPI(title="quorate", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(RequestIds)
    errors.install(app)
    app.include_router(_health())
    guarded = [Depends(guard(Keys(settings.keys)))]
    app.include_router(_models(names), prefix="/v1", dependencies=guarded)
    for api in APIS:
        app.include_router(routes(api, names, settings), prefix="/v1", dependencies=guarded)
    document(app, {f"/v1{api.path}": api.form for api in APIS})
    return app


def _health() -> APIRouter:
    router = APIRouter()

    @router.get("/health")
    async def health() -> Response:
        """This process is up; says nothing about the upstreams."""
        return json_response({"status": "ok"})

    return router


def _models(names: Names) -> APIRouter:
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
        return {info.id: info.kind for info in names.catalogue.listing()}

    @router.get("/models")
    async def list_models() -> Response:
        """Every model and configured pipeline, and the built-in pipelines over each model."""
        known = kinds()
        return json_response({"object": "list", "data": [listed(name, known) for name in await names.all()]})

    @router.get("/models/{name:path}")
    async def retrieve_model(name: str) -> Response:
        """One of them, or any other name that can be asked for."""
        await names.resolve(name)
        return json_response(listed(name, kinds()))

    return router
